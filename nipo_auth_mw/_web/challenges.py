"""Challenges: the answers to a request that needs a session, or a requirement, first.

A navigation is redirected, so that the user sees a page. The script of a partial-page library is told to open that
page. A form that was sent is neither stored nor replayed (CVE-2008-3909): its page says that the browser still has it.
A program gets a plain refusal without WWW-Authenticate, although RFC 9110 11.6.1 asks for one: urllib, Mercurial and
caldav raise an error of their own for a scheme that they do not know, and no scheme that they know would sign in.
"""

from __future__ import annotations

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.outcomes import SESSION_ENDED, SIGN_IN_REQUIRED, Refused
from nipo_auth_mw._flows.requirement import Requirement
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw._web import problems
from nipo_auth_mw._web.body import drain
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.redirects import LONGEST, LONGEST_IN_URL
from nipo_auth_mw._web.request import (
    SAFE_METHODS,
    Environ,
    Request,
    accepts_html,
    is_framed,
    is_navigation,
    path_info,
    path_of,
)
from nipo_auth_mw._web.well_known import is_fetched_unasked


def leads_to_a_page(environ: Environ) -> bool:
    """Whether a challenge can open a page for the sender: a navigation, or the script of a partial-page library."""
    return is_navigation(environ) or _is_htmx(environ) or _is_inertia(environ)


def sign_in_first(web: WebContext, environ: Environ, wanted: str | None = None) -> Response:
    """The challenge to a visitor on a path that requires a session. A program gets 401 `sign_in_required`.

    A path that is fetched without a user, such as the icon of a site, gets 404. `wanted` is the path to return to if it
    is not the requested one.
    """
    request = web.request(environ)
    if is_fetched_unasked(path_info(environ)):
        return web.answers.refuse(request, Refused("not_found"), as_json=not is_navigation(environ))
    opened = _opened(web, request, "login", Refused(SIGN_IN_REQUIRED), wanted)
    if opened is not None:
        return opened
    sent = _sent_a_form(request)
    drain(environ)
    return web.answers.refuse(request, SESSION_ENDED if sent else Refused(SIGN_IN_REQUIRED), as_json=not sent)


def meet_first(
    web: WebContext,
    environ: Environ,
    requirement: Requirement,
    session: ActiveSession | None,
    wanted: str | None = None,
    *,
    detail: str = "",
) -> Response:
    """The answer to a signed-in user who has to meet a requirement first. A program gets 403 with its code.

    `wanted` is the path to return to if it is not the requested one. `detail` names another text of the code.
    """
    request = web.request(environ)
    web.recognise(request, session)
    refused = Refused(requirement.code, detail=detail)
    opened = _opened(web, request, requirement.route, refused, wanted)
    if opened is not None:
        return opened
    sent, first = _sent_a_form(request), web.path(request, requirement.route)
    drain(environ)
    return web.answers.refuse(request, refused, "requirement.html", as_json=not sent, first=first)


def refused_in_place(web: WebContext, request: Request, route: str, refused: Refused, wanted: str) -> Response:
    """A refusal without a redirect: the page of a route for a navigation, problem+json for a program."""
    if is_navigation(request.environ):
        return in_place(web, request, route, wanted, status=problems.status_of(refused.code))
    return web.answers.refuse(request, refused, as_json=True)


def page(web: WebContext, request: Request, route: str, wanted: str) -> str:
    """The path of a route, with `next` if `wanted` is a redirect target that a URL has room for."""
    return page_with(web, request, route, wanted) or web.path(request, route)


def page_with(web: WebContext, request: Request, route: str, wanted: str) -> str:
    """The path of a route, with `next` if `wanted` is a redirect target; "" if that is too long for a URL."""
    if len(wanted) > LONGEST_IN_URL:
        return ""
    path, target = web.path(request, route), web.redirect_target(request, wanted, default="")
    url = f"{path}?{_query(target)}" if target else path
    return url if len(url) <= LONGEST_IN_URL else ""


def in_place(web: WebContext, request: Request, route: str, wanted: str, *, status: int = 200) -> Response:
    """The page of a route as the answer to another request, whose `next` no URL has room for: its form has."""
    request.route = route
    request.wanted = web.redirect_target(request, wanted, default="")
    request.note = "" if request.wanted or len(wanted) <= LONGEST else "next_too_long"
    response = web.page_of(route)(web, request)
    response.status_code = status
    return response


def _opened(web: WebContext, request: Request, route: str, refused: Refused, instead: str | None) -> Response | None:
    """The answer that opens the page of this route in the browser, and comes back afterwards; None for other senders.

    `instead` is the path to return to if it is not the requested one.

    htmx obeys HX-Redirect with any status except a redirect, which it never sees. Inertia obeys its header with 409.
    """
    environ = request.environ
    if _is_htmx(environ):
        response = web.answers.refuse(request, refused, as_json=True)
        response.headers["HX-Redirect"] = _page_for_script(web, request, route, _current_path(web, environ))
        return response
    if _is_inertia(environ):
        wanted = _requested(web, environ, instead) if request.method == "GET" else ""
        response = web.answers.refuse(request, refused, as_json=True)
        response.status_code = 409
        response.headers["X-Inertia-Location"] = _page_for_script(web, request, route, wanted)
        return response
    if is_navigation(environ):
        wanted = _requested(web, environ, instead)
        if is_framed(environ):
            return web.answers.framed(request, web.redirect_target(request, wanted))
        url = page_with(web, request, route, wanted)
        return web.answers.redirect(url) if url else refused_in_place(web, request, route, refused, wanted)
    return None


def _requested(web: WebContext, environ: Environ, instead: str | None) -> str:
    """The path to return to."""
    return path_of(environ, web.config) if instead is None else instead


def _is_htmx(environ: Environ) -> bool:
    """Whether htmx sent the request."""
    return bool(environ.get("HTTP_HX_REQUEST") == "true")


def _is_inertia(environ: Environ) -> bool:
    """Whether Inertia sent the request."""
    return bool(environ.get("HTTP_X_INERTIA") == "true")


def _current_path(web: WebContext, environ: Environ) -> str:
    """The path of the page that htmx runs in; "" if it names none of `base_url`'s origin."""
    url = str(environ.get("HTTP_HX_CURRENT_URL") or "")
    origin = web.config.origin
    return url.removeprefix(origin) if url.startswith(origin + "/") else ""


def _page_for_script(web: WebContext, request: Request, route: str, wanted: str) -> str:
    """The path that a script opens: the route's, or the wanted page itself, which shows the route if it is too long."""
    return page_with(web, request, route, wanted) or web.redirect_target(
        request, wanted, default=web.path(request, route)
    )


def _sent_a_form(request: Request) -> bool:
    """Whether the request is a form that a browser sent."""
    return request.method not in SAFE_METHODS and accepts_html(request.environ) and not request.wants_json


def _query(path: str) -> str:
    """The query with `next`. Only characters with a meaning in a query or in HTML are escaped."""
    escaped = str.maketrans({"%": "%25", "&": "%26", "+": "%2B", "#": "%23", ";": "%3B", '"': "%22", "'": "%27"})
    return "next=" + path.translate(escaped)
