"""Where a request is sent that cannot be served yet: to sign in, to change the password, to give it once more."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw.web.request import SAFE_METHODS, Environ, Request, accepts_html, is_navigation, path_of
from nipo_auth_mw.web.site import Site


def challenge(site: Site, environ: Environ) -> Response:
    """What a visitor gets who needs a session (contract, section 3).

    A form that was sent is neither stored nor replayed (CVE-2008-3909): the page says that the browser still has it.
    """
    request = site.request(environ)
    wanted = path_of(environ, site.config)
    login = site.path(request, "login")
    if is_navigation(environ):
        kept = site.landing(request, wanted, default="")
        return site.answers.redirect(f"{login}?{_query(kept)}" if kept else login)
    shown = _sent_a_form(request)
    return site.answers.refuse(
        request,
        "sign_in_required",
        401,
        text="session_ended" if shown else "",
        template="ended.html",
        context={"login_url": login},
        as_json=not shown,
    )


def must_change(site: Site, environ: Environ) -> Response:
    """What a person gets whose password somebody else has set, until they have changed it (contract, section 1)."""
    return _first(site, environ, "password_change_required", "account/password")


def stale(site: Site, environ: Environ) -> Response:
    """What a person gets whose password was given too long ago for what is delicate: navigations are asked for it, a
    form that was sent stays in the browser (contract, section 4)."""
    return _first(site, environ, "fresh_sign_in_required", "account/confirm")


def _first(site: Site, environ: Environ, code: str, route: str) -> Response:
    """Another page has to be gone through first: 303 for a navigation, 403 for anything else."""
    request = site.request(environ)
    site.identify(request)
    wanted = site.landing(request, path_of(environ, site.config), default="")
    to = site.path(request, route)
    if is_navigation(environ):
        return site.answers.redirect(f"{to}?{_query(wanted)}" if wanted else to)
    shown = _sent_a_form(request)
    return site.answers.refuse(request, code, 403, template="stale.html", context={"first": to}, as_json=not shown)


def _sent_a_form(request: Request) -> bool:
    """Whether a person is about to see what became of a form of theirs."""
    return request.method not in SAFE_METHODS and accepts_html(request.environ) and not request.sends_json


def _query(path: str) -> str:
    from_path = str.maketrans({"%": "%25", "&": "%26", "+": "%2B", "#": "%23", ";": "%3B", '"': "%22", "'": "%27"})
    return "next=" + path.translate(from_path)
