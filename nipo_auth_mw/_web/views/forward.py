"""Forward authentication: the answer that decides whether a proxy passes a request on to a server of any kind.

nginx's `auth_request` knows 200, 401 and 403, and drops the rest of a refusal. Traefik and Caddy send a refusal to the
browser as it is, so theirs opens sign-in. They say what was asked for in X-Forwarded-Method and X-Forwarded-Uri.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.outcomes import SIGN_IN_REQUIRED, Refused
from nipo_auth_mw._flows.requirement import Requirement
from nipo_auth_mw._web import challenges, cookie_renewal
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.host_api import header_values
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.request import Environ, Request, is_navigation, quoted_url
from nipo_auth_mw._web.requirements import first_unmet

SIGN_IN_AT = "X-Sign-In"


@takes("role", gives={})
def show(web: WebContext, request: Request) -> Response:
    """Answer 200 with the headers of `identity_headers` for a user with one of the roles of `role`; else 401 or 403.

    The session and the role alone decide. A proxy's headers name the page to return to and nothing else, since a client
    may have sent them (CVE-2026-34457, CVE-2026-40575; ASVS 5 8.3.1). Every request through the proxy arrives from one
    address, so none counts towards a client limit.
    """
    roles = set(filter(None, request.query.get("role").split(",")))
    if not roles <= set(web.config.roles) or (not roles and "role" in request.query):
        return web.answers.refuse(request, Refused("unknown_role"), as_json=True)
    if not roles:
        web.warnings.notice_parameters(request.query)
    session = request.session
    unmet = first_unmet(session.user, session.state, web.config) if session else None
    if session is None or unmet:
        return _asked_to_sign_in(web, request, unmet)
    if roles and session.user.role not in roles:
        return web.answers.refuse(request, Refused("not_allowed"), as_json=not is_navigation(_passed_on(web, request)))
    response = web.answers.data({})
    for name, value in header_values(web.config, session.user):
        response.headers[name] = value
    cookie = web.session_cookie.read(request.cookies)
    if cookie and session.cookie_due:
        # Without the device cookie, since nginx hands on one Set-Cookie.
        for renewed in cookie_renewal.cookies(web, cookie, None, session):
            response.headers.add("Set-Cookie", renewed)
    return response


def _asked_to_sign_in(web: WebContext, request: Request, unmet: Requirement | None) -> Response:
    """The challenge of a protected path for a proxy that passes it on; else 401, which nginx requires.

    A 401 names the address that the user has to open, for a proxy that makes the redirect itself. Locations are
    absolute, since Traefik would complete a path by the address under which it asks.
    """
    wanted, environ = _wanted(web, request), _passed_on(web, request)
    if environ is not request.environ:
        if unmet is None:
            response = challenges.sign_in_first(web, environ, wanted)
        else:
            response = challenges.meet_first(web, environ, unmet, request.session, wanted)
    else:
        route = unmet.route if unmet else "login"
        response = challenges.refused_in_place(web, request, route, Refused(SIGN_IN_REQUIRED), wanted)
    to = response.headers.get("Location") or challenges.page(web, request, unmet.route if unmet else "login", wanted)
    response.headers["Location" if response.status_code == 303 else SIGN_IN_AT] = web.config.origin + to
    return response


def _passed_on(web: WebContext, request: Request) -> Environ:
    """The request with the method that the user sent, if a trusted proxy names it; else the same environ."""
    method = request.environ.get("HTTP_X_FORWARDED_METHOD")
    if not method or not web.config.trusted_proxies:
        return request.environ
    return {**request.environ, "REQUEST_METHOD": method}


def _wanted(web: WebContext, request: Request) -> str:
    """The path that the user asked for, if a trusted proxy names it on this host. The session is of this host alone."""
    config, environ = web.config, request.environ
    if not config.trusted_proxies or _authority(environ.get("HTTP_HOST", "")) != _authority(urlsplit(config.origin)[1]):
        return ""
    return quoted_url(str(environ.get("HTTP_X_FORWARDED_URI") or ""))


def _authority(host: str) -> str:
    """A host and its port in one form; the ports of http and https are left out."""
    return host.lower().removesuffix(":80").removesuffix(":443")
