"""One request to a page of ours, from the checks that hold for all of them to the view."""

from __future__ import annotations

import logging
import time
import traceback

from werkzeug.wrappers import Response

from nipo_auth_mw.parts.recorder import event
from nipo_auth_mw.web import detours, routes
from nipo_auth_mw.web.request import (
    SAFE_METHODS,
    BadRequest,
    Environ,
    Request,
    is_from_elsewhere,
    is_navigation,
    names_wrong_host,
)
from nipo_auth_mw.web.routes import Route
from nipo_auth_mw.web.site import Site

_log = logging.getLogger("nipo_auth_mw")
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
    if request.method not in SAFE_METHODS and is_from_elsewhere(environ, site.config):
        _record_seldom(site, request, "cross_site_refused", None)
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
        if request.method == "POST":
            request.receive()
        if route.identifies:
            site.identify(request)
        return _refused_here(site, request, route) or view(site, request)
    response.headers["Allow"] = allowed
    return response


def _refused_here(site: Site, request: Request, route: Route) -> Response | None:
    """The answer to whom this route is not open, in the order in which each can be mended."""
    live = request.live
    if not route.needs_user:
        return None
    if live is None:
        return detours.challenge(site, request.environ)
    if live.must_change and not route.before_change:
        return detours.must_change(site, request.environ)
    if route.role and live.user.role != route.role:
        _record_seldom(site, request, "not_allowed", live.user.id)
        return site.answers.refuse(request, "not_allowed", 403)
    if route.fresh and not site.services.sessions.fresh(live.stored):
        return detours.stale(site, request.environ)
    return None


def unavailable(site: Site, environ: Environ, problem: Exception) -> Response:
    """Fail closed: 503. The log gets where and what kind, never the message, which may hold what was typed."""
    frames = "".join(traceback.format_tb(problem.__traceback__))
    _log.error("answered 503 after %s\n%s", type(problem).__qualname__, frames)
    request = site.request(environ)
    as_json = None if environ.get("PATH_INFO", "").startswith(site.config.prefix + "/") else not is_navigation(environ)
    return site.answers.refuse(request, "unavailable", 503, as_json=as_json, retry_after=_UNAVAILABLE_FOR)


def _record_seldom(site: Site, request: Request, name: str, user_id: str | None) -> None:
    """What anybody can cause again and again must not fill the history."""
    if not site.services.lockout.seldom(name, request.client.address):
        return
    site.services.recorder.record(
        event(
            name,
            time=time.time(),
            client=request.client,
            user_id=user_id,
            details={"route": request.route[:64].encode("ascii", "backslashreplace").decode()},
        )
    )
