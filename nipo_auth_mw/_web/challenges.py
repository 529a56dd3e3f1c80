"""Challenges: the answers to a request that needs a session, or a requirement, first."""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.outcomes import SESSION_ENDED, SIGN_IN_REQUIRED, Refused
from nipo_auth_mw._flows.requirement import Requirement
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.request import SAFE_METHODS, Environ, Request, accepts_html, is_navigation, path_of


def sign_in_first(web: WebContext, environ: Environ) -> Response:
    """The challenge to a visitor on a path that requires a session.

    A navigation is redirected to sign-in and comes back afterwards. A form that was sent is neither stored nor replayed
    (CVE-2008-3909): the page says that the browser still has it. A program gets 401 `sign_in_required`.
    """
    request = web.request(environ)
    wanted = path_of(environ, web.config)
    login = web.path(request, "login")
    if is_navigation(environ):
        target = web.redirect_target(request, wanted, default="")
        return web.answers.redirect(f"{login}?{_query(target)}" if target else login)
    sent = _sent_a_form(request)
    return web.answers.refuse(request, SESSION_ENDED if sent else Refused(SIGN_IN_REQUIRED), as_json=not sent)


def meet_first(web: WebContext, environ: Environ, requirement: Requirement) -> Response:
    """The answer to a signed-in user who has to meet a requirement first.

    A navigation is redirected to the requirement's page and comes back afterwards. A form that was sent stays in the
    browser: the page opens the requirement's page in another tab. A program gets 403 with the requirement's code.
    """
    request = web.request(environ)
    web.identify(request)
    wanted = web.redirect_target(request, path_of(environ, web.config), default="")
    page = web.path(request, requirement.route)
    if is_navigation(environ):
        return web.answers.redirect(f"{page}?{_query(wanted)}" if wanted else page)
    sent = _sent_a_form(request)
    return web.answers.refuse(request, Refused(requirement.code), "requirement.html", as_json=not sent, first=page)


def _sent_a_form(request: Request) -> bool:
    """Whether the request is a form that a browser sent."""
    return request.method not in SAFE_METHODS and accepts_html(request.environ) and not request.sends_json


def _query(path: str) -> str:
    """The query with `next`. Only characters with a meaning in a query or in HTML are escaped."""
    escaped = str.maketrans({"%": "%25", "&": "%26", "+": "%2B", "#": "%23", ";": "%3B", '"': "%22", "'": "%27"})
    return "next=" + path.translate(escaped)
