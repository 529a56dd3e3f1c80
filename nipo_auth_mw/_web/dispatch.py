"""One request below the prefix: the checks that all routes share, then the view of the route."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from werkzeug.wrappers import Response

from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw._flows.outcomes import Refused, refusal
from nipo_auth_mw._flows.password_change import PASSWORD_CHANGE
from nipo_auth_mw._flows.reauthenticate import REAUTHENTICATION
from nipo_auth_mw._flows.requirement import Requirement
from nipo_auth_mw._runtime.failures import without_message
from nipo_auth_mw._sessions.sessions import ActiveSession
from nipo_auth_mw._web import challenges, one_time_forms, routes
from nipo_auth_mw._web.body import BadRequest
from nipo_auth_mw._web.context import View, WebContext
from nipo_auth_mw._web.origin import is_from_elsewhere, is_other_address, names_wrong_host
from nipo_auth_mw._web.request import SAFE_METHODS, Environ, Request, is_navigation
from nipo_auth_mw._web.requirements import first_unmet
from nipo_auth_mw._web.route import Route
from nipo_auth_mw.errors import AccountError, ConfigError, DatabaseUnavailable
from nipo_auth_mw.models import User

CROSS_SITE_REFUSED = EventType("cross_site_refused", EventGroup.REFUSAL)
NOT_ALLOWED = EventType("not_allowed", EventGroup.REFUSAL)

_log = logging.getLogger("nipo_auth_mw")
_UNAVAILABLE_FOR = 5


def answer(web: WebContext, environ: Environ) -> Response:
    """The answer to a request below the prefix.

    Never raises: an error of the middleware or of a store becomes 503 and a line in the log.
    """
    request = web.request(environ)
    response = or_unavailable(web, environ, partial(_answer, web, request))
    found = routes.find(request.route)
    if found is not None and found[0].mailed:
        # The path, which holds a secret, must not leave this site. With `no-referrer` browsers send "Origin: null".
        response.headers["Referrer-Policy"] = "strict-origin"
    return response


def or_unavailable(web: WebContext, environ: Environ, make: Callable[[], Response]) -> Response:
    """The answer that `make` returns; 503 and a line in the log if it raises."""
    try:
        return make()
    except Exception as problem:
        return unavailable(web, environ, problem)


def _answer(web: WebContext, request: Request) -> Response:
    """The answer of the view, or the refusal of a request that cannot be parsed."""
    try:
        return _checked(web, request)
    except BadRequest as bad:
        return web.answers.refuse(request, Refused(bad.code))


def _checked(web: WebContext, request: Request) -> Response:
    """Check host, origin, route, method and rights, in this order, and call the view.

    The origin check stops cross-site requests (ASVS 5 3.5.1). Raises `BadRequest`.
    """
    environ = request.environ
    if names_wrong_host(environ, web.config):
        return web.answers.refuse(request, Refused("wrong_host"))
    if request.method not in SAFE_METHODS and is_from_elsewhere(environ, web.config):
        _record_once_a_minute(web, request, CROSS_SITE_REFUSED)
        if is_other_address(environ, web.config):
            address = web.config.base_url
            refused = Refused("cross_site", detail="address", values={"address": address})
            return web.answers.refuse(request, refused, "login-address.html", address=address)
        return web.answers.refuse(request, Refused("cross_site"))
    found = routes.find(request.route)
    if found is None or not found[0].offered(web.services):
        return web.answers.refuse(request, Refused("not_found"))
    route, request.arguments = found
    if route.mailed:
        # The page's forms lead to the link without what a mail program has added.
        request.route = route.path.replace("<token>", request.arguments["token"])
    allowed = ", ".join(route.methods)
    if request.method == "OPTIONS" and route.options:
        response = web.answers.data({})
    elif (view := route.views.get("GET" if request.method == "HEAD" else request.method)) is None:
        response = web.answers.refuse(request, Refused("method_not_allowed"))
    else:
        if request.method == "POST":
            request.receive(upload=_may_upload(web, request, route))
        response = one_time_forms.answer(web, request, route, view, partial(_seen, web, request, route))
    response.headers["Allow"] = allowed
    return response


def _seen(web: WebContext, request: Request, route: Route, view: View) -> Response:
    """The answer of the view, or the refusal if the sender may not use the route or the view raises one."""
    if route.identifies:
        web.identify(request)
    try:
        return _refused_here(web, request, route) or view(web, request)
    except AccountError as error:
        return web.answers.refuse(request, refusal(error))


def _may_upload(web: WebContext, request: Request, route: Route) -> bool:
    """Whether the sender may send a file: no visitor makes the process hold more than a form."""
    if not route.upload:
        return False
    web.identify(request)
    return request.session is not None and request.session.user.role == route.role


def _refused_here(web: WebContext, request: Request, route: Route) -> Response | None:
    """The refusal if the sender may not use the route, else None.

    Refusals that the user can act on come first: sign-in, then requirements (ASVS 5 8.2.1).
    """
    session = request.session
    if not route.needs_user:
        return None
    if session is None:
        return challenges.sign_in_first(web, request.environ)
    unmet = first_unmet(session.user, session.state, web.config)
    if unmet is not None and not _is_open_before(unmet, route, session):
        return challenges.meet_first(web, request.environ, unmet, request.session)
    if route.role and session.user.role != route.role:
        _record_once_a_minute(web, request, NOT_ALLOWED, session.user)
        return web.answers.refuse(request, Refused("not_allowed"))
    sensitive = route.fresh or (route.fresh_if_two and session.public.two_steps)
    if sensitive and not web.services.sessions.fresh(session.public):
        return challenges.meet_first(web, request.environ, REAUTHENTICATION, request.session)
    return None


def _is_open_before(unmet: Requirement, route: Route, session: ActiveSession) -> bool:
    """Whether the route is open before the requirement is met: it meets it, or is the re-authentication that the page
    of the requirement asks an account with two steps for."""
    return unmet is route.satisfies or (session.public.two_steps and route.path == REAUTHENTICATION.route)


def change_password(web: WebContext, environ: Environ) -> Response:
    """The redirect from the well-known path to the page that changes a password, for visitors too, who sign in there.

    302, as the specification has it.
    """
    request = web.request(environ)
    response = web.answers.redirect(web.path(request, PASSWORD_CHANGE.route))
    response.status_code = 302
    return response


def mount_passed_on(web: WebContext, environ: Environ) -> Response:
    """The refusal of an own page whose path still begins with the mount.

    Without it a proxy that passes the mount on would lead the browser from the sign-in page to itself without end.
    """
    web.warnings.tell_mount_passed_on()
    refused = Refused("mount_passed_on", values={"mount": web.config.mount})
    return or_unavailable(web, environ, lambda: web.answers.refuse(web.request(environ), refused))


def unavailable(web: WebContext, environ: Environ, problem: Exception) -> Response:
    """Fail closed with 503.

    The log gets what this package says of an outage, and of an object of the host app that breaks its protocol. Of any
    other error it gets the place and the type, never the message, which may quote a field.
    """
    if isinstance(problem, (ConfigError, DatabaseUnavailable)):
        _log.error("answered 503: %s", problem)
    else:
        _log.error("answered 503 after %s", without_message(problem))
    request = web.request(environ)
    as_json = None if environ.get("PATH_INFO", "").startswith(web.config.prefix + "/") else not is_navigation(environ)
    refused = Refused("unavailable", _UNAVAILABLE_FOR)
    try:
        return web.answers.refuse(request, refused, as_json=as_json)
    except Exception as further:
        # A template of the host app may fail, and a process without a free file descriptor reads none.
        _log.error("the page of a 503 failed, so its text went alone, after %s", without_message(further))
        return web.answers.plain(request, refused)


def _record_once_a_minute(web: WebContext, request: Request, kind: EventType, user: User | None = None) -> None:
    """Record an event that an attacker can cause at will, so that it cannot fill the audit log."""
    if not web.services.quotas.once_a_minute(kind.name, request.client.address):
        return
    route = request.route[:64].encode("ascii", "backslashreplace").decode()
    web.services.log.record(kind, subject=user.id if user else None, client=request.client, route=route)
