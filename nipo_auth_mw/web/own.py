"""One request to a page of ours, from the checks that hold for all of them to the view."""

from __future__ import annotations

import logging
import time
import traceback

from werkzeug.wrappers import Response

from nipo_auth_mw.parts.recorder import event
from nipo_auth_mw.web import routes
from nipo_auth_mw.web.request import (
    BadRequest,
    Environ,
    Request,
    accepts_html,
    is_from_elsewhere,
    is_navigation,
    names_wrong_host,
    path_of,
)
from nipo_auth_mw.web.site import Site

_log = logging.getLogger("nipo_auth_mw")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_UNAVAILABLE_FOR = 5


def answer(site: Site, environ: Environ) -> Response:
    """The answer to a request below our prefix. Never raises: what goes wrong in us is a 503 and a line in the log."""
    request = site.request(environ)
    try:
        response = _answer(site, request)
    except BadRequest as bad:
        response = site.answers.refuse(request, bad.code, bad.status)
    except Exception as problem:
        response = unavailable(site, environ, problem)
    found = routes.find(request.route)
    if found is not None and found[0].mailed:
        # No path leaves this site; `no-referrer` would make browsers send "Origin: null" with the form.
        response.headers["Referrer-Policy"] = "strict-origin"
    return response


def _answer(site: Site, request: Request) -> Response:
    environ = request.environ
    if names_wrong_host(environ, site.config):
        return site.answers.refuse(request, "wrong_host", 400)
    if request.method not in _SAFE_METHODS and is_from_elsewhere(environ, site.config):
        _record_cross_site(site, request)
        return site.answers.refuse(request, "cross_site", 403)
    found = routes.find(request.route)
    if found is None:
        return site.answers.refuse(request, "not_found", 404)
    route, request.arguments = found
    allowed = ", ".join(route.methods)
    if request.method == "OPTIONS":
        response = site.answers.data({})
    elif (view := route.views.get("GET" if request.method == "HEAD" else request.method)) is None:
        response = site.answers.refuse(request, "method_not_allowed", 405)
    else:
        if route.identifies:
            site.identify(request)
        if route.needs_user and request.live is None:
            return challenge(site, environ)
        return view(site, request)
    response.headers["Allow"] = allowed
    return response


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
    shown = request.method not in _SAFE_METHODS and accepts_html(environ)
    return site.answers.refuse(
        request,
        "sign_in_required",
        401,
        text="session_ended" if shown else "",
        template="ended.html",
        context={"login_url": login},
        as_json=not shown,
    )


def unavailable(site: Site, environ: Environ, problem: Exception) -> Response:
    """Fail closed: 503. The log gets where and what kind, never the message, which may hold what was typed."""
    frames = "".join(traceback.format_tb(problem.__traceback__))
    _log.error("answered 503 after %s\n%s", type(problem).__qualname__, frames)
    request = site.request(environ)
    as_json = None if environ.get("PATH_INFO", "").startswith(site.config.prefix + "/") else not is_navigation(environ)
    return site.answers.refuse(request, "unavailable", 503, as_json=as_json, retry_after=_UNAVAILABLE_FOR)


def _query(path: str) -> str:
    from_path = str.maketrans({"%": "%25", "&": "%26", "+": "%2B", "#": "%23", ";": "%3B", '"': "%22", "'": "%27"})
    return "next=" + path.translate(from_path)


def _record_cross_site(site: Site, request: Request) -> None:
    if not site.services.lockout.seldom("cross-site", request.client.address):
        return
    site.services.recorder.record(
        event(
            "cross_site_refused",
            time=time.time(),
            client=request.client,
            details={"route": request.route[:64].encode("ascii", "backslashreplace").decode()},
        )
    )
