"""nipo_auth_mw for Django sites.

    # wsgi.py
    application = protect(get_wsgi_application())

    # settings.py, after AuthenticationMiddleware
    MIDDLEWARE += ["nipo_auth_mw.django.UserMiddleware"]

The settings are `NIPO_AUTH_…` in the environment or in settings.py. With `DEBUG = True` none is needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial, wraps
from importlib import import_module
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.handlers.exception import response_for_exception
from django.core.handlers.wsgi import WSGIRequest
from django.db import connections
from django.http import HttpResponse
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string
from markupsafe import Markup
from werkzeug.exceptions import HTTPException, Unauthorized

from nipo_auth_mw._web import host_api
from nipo_auth_mw._web.host_session import OnSignOut
from nipo_auth_mw._web.intercept_401 import WSGIApp
from nipo_auth_mw.environment import prepared
from nipo_auth_mw.middleware import AuthMiddleware
from nipo_auth_mw.models import User
from nipo_auth_mw.stores._django_users import renew

__all__ = [
    "UserMiddleware",
    "by_email",
    "by_email_or_new",
    "context",
    "fresh_login_required",
    "login_required",
    "protect",
    "role_required",
    "second_step_required",
]

OWNER = "_nipo_auth_mw"
"""Under this key the site's session says whose it is."""
_MAPPING = "NIPO_AUTH_DJANGO_USER"

View = TypeVar("View", bound=Callable[..., Any])
Environ = dict[str, Any]


def protect(application: WSGIApp, **given: Any) -> AuthMiddleware:
    """The site's WSGI application behind the middleware.

    The settings are read by `from_environ` from the environment and, where that has none, from settings.py. With
    `DEBUG = True` what is missing is made up in the folder `.nipo-auth` in BASE_DIR. Keyword arguments are those of
    `AuthMiddleware`. Sign-out ends the site's own session too. Raises `ConfigError`.
    """
    if "config" not in given:
        folder = Path(getattr(settings, "BASE_DIR", "."), ".nipo-auth") if settings.DEBUG else None
        app = ":".join(str(getattr(settings, "WSGI_APPLICATION", None) or "mysite.wsgi.application").rsplit(".", 1))
        init = f"nipo-auth --app {app} init" if given.get("users") is None else ""
        words, store = {"switch": "set DEBUG = True in settings.py", "init": init}, given.get("store")
        given = {**prepared(settings_and_environ(), development=folder, store=store, **words), **given}
    return AuthMiddleware(application, **{**given, "on_sign_out": _ending(given.get("on_sign_out"))})


def settings_and_environ() -> dict[str, Any]:
    """The settings `NIPO_AUTH_…` of settings.py, with those of the environment before them."""
    found = {name: getattr(settings, name) for name in dir(settings) if name.startswith("NIPO_AUTH_")}
    found.update((name, os.environ[name]) for name in os.environ if name.startswith("NIPO_AUTH_"))
    found.pop(_MAPPING, None)
    return found


def by_email(user: User) -> Any:
    """The one active Django user with this address; None if there is none, or more than one.

    Capital letters do not count. Two addresses that only the database takes for one do (CVE-2019-19844).
    """
    model = get_user_model()
    field = model.get_email_field_name()
    alike = model._default_manager.filter(**{f"{field}__iexact": user.email})
    found = [one for one in alike[:20] if str(getattr(one, field)).lower() == user.email.lower()]
    return found[0] if len(found) == 1 and found[0].is_active else None


def by_email_or_new(user: User) -> Any:
    """The Django user of `by_email`; if no one has the address, a new one of this name, without rights or password."""
    model = get_user_model()
    field = model.get_email_field_name()
    if model._default_manager.filter(**{f"{field}__iexact": user.email}).exists():
        return by_email(user)
    names = {field: user.email, model.USERNAME_FIELD: user.email}
    made, new = model._default_manager.get_or_create(**{model.USERNAME_FIELD: user.email}, defaults=names)
    if new:
        made.set_unusable_password()
        made.save()
    # A Django user of this name with another address is another person.
    return by_email(user)


class UserMiddleware:
    """Makes `request.user` the Django user that belongs to the signed-in user; place it after AuthenticationMiddleware.

    The setting NIPO_AUTH_DJANGO_USER names the function that finds that Django user, `by_email` by default. Where it
    gives None, `request.user` stays what Django says. A user who logs in to Django besides, on the admin site for
    example, is that Django user until sign-out. Django's own logout signs out of both.

    The site's own session belongs to the user who filled it, and is emptied for any other user. A check that refuses is
    answered with the site's 403 page, or by asking the visitor to sign in. So are Django's own checks with the setting
    LOGIN_URL at the middleware's page for sign-in. A request that came by ASGI is refused with `ImproperlyConfigured`:
    it went past the middleware, where each page would be open to visitors.
    """

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        name = getattr(settings, _MAPPING, None)
        self._mapped: Callable[[User], Any] = by_email if name is None else import_string(name)

    def __call__(self, request: Any) -> Any:
        """Answer the request as its user."""
        if not isinstance(request, WSGIRequest):
            problem = "this request came by ASGI, past nipo_auth_mw.django.protect"
            raise ImproperlyConfigured(f"{problem}; let the server take the application of wsgi.py")
        if not hasattr(request, "user"):
            raise ImproperlyConfigured("place nipo_auth_mw.django.UserMiddleware after AuthenticationMiddleware")
        user = host_api.current_user(_environ(request))
        own = _owner(request)
        others = bool(own) and own != (user.id if user else "")
        if others:
            request.session.flush()
            request.COOKIES.pop("messages", None)
            own = ""
        if user is not None:
            request.user = _lazily(self._mapped, user, request.user, is_theirs=own == user.id)
            request.auser = sync_to_async(partial(_looked_up, request))
        response = self._get_response(request)
        if others and "messages" not in response.cookies:
            response.delete_cookie("messages", domain=settings.SESSION_COOKIE_DOMAIN)
        session = getattr(request, "session", None)
        user = host_api.current_user(_environ(request))
        if user is not None and session is not None and session.modified and not session.is_empty():
            session[OWNER] = user.id
        if user is None or not _leads_back(request, response):
            return response
        answer = response_for_exception(request, PermissionDenied())
        answer.cookies.update(response.cookies)
        return answer

    def process_view(self, request: Any, view: Any, _args: Any, _named: Any) -> Any:
        """Refuse a CORS preflight that comes as far as a view function, if its path requires a session.

        A view function answers every method, so a visitor would make it act. Middleware such as django-cors-headers
        answers preflights before, and a class of views by its method `options`.
        """
        if host_api.PREFLIGHT not in _environ(request) or hasattr(getattr(view, "view_class", None), "options"):
            return None
        return HttpResponse(status=401)

    def process_exception(self, request: Any, exception: Exception) -> Any:
        """The answer to an exception of werkzeug, such as `require_role` raises."""
        return _answer(request, exception) if isinstance(exception, HTTPException) else None


def login_required(view: View) -> View:
    """A view, below `public_paths`, that asks a visitor to sign in. Every other path asks by itself."""
    return _checked(view, host_api.require_user)


def role_required(*roles: str) -> Callable[[View], View]:
    """A view for users with one of these roles; 403 for others. Raises ValueError for a role that is not configured."""
    check = host_api.check_for_roles(*roles)
    return lambda view: _checked(view, check)


def fresh_login_required(view: View) -> View:
    """A view for users who confirmed their password within `session.reauth_within`; others are asked for it first."""
    return _checked(view, host_api.require_fresh)


def second_step_required(view: View) -> View:
    """A view for users who signed in with two steps; others are led to the page that sets them up."""
    return _checked(view, host_api.require_second)


def context(request: Any) -> dict[str, Any]:
    """A context processor: `signed_in`, `account_menu`, `flash_message`, `sign_out_form`, and `auth_url`, as
    `{{ auth_url.account }}`."""
    environ = _environ(request)
    return {
        "signed_in": host_api.current_user(environ),
        "account_menu": partial(host_api.account_menu, environ),
        "auth_url": _Urls(environ),
        "flash_message": host_api.flash_message(environ),
        "sign_out_form": host_api.sign_out_form(environ),
    }


class _Urls:
    """The paths of the middleware's pages, as a template asks for them."""

    def __init__(self, environ: Environ) -> None:
        self._environ = environ

    def __getitem__(self, route: str) -> Markup:
        """The path of a route."""
        return Markup(host_api.auth_url(self._environ, route))  # noqa: S704  # nosec B704


def _checked(view: View, check: Callable[[Environ], User]) -> View:
    """The view, after the check."""

    def refused(request: Any) -> Any:
        try:
            check(_environ(request))
        except HTTPException as refusal:
            return _answer(request, refusal)
        return None

    if iscoroutinefunction(view):

        @wraps(view)
        async def asked(request: Any, *args: Any, **named: Any) -> Any:
            refusal = refused(request)
            return await view(request, *args, **named) if refusal is None else refusal

        return cast(View, asked)

    @wraps(view)
    def checked(request: Any, *args: Any, **named: Any) -> Any:
        refusal = refused(request)
        return view(request, *args, **named) if refusal is None else refusal

    return cast(View, checked)


def _answer(request: Any, refusal: HTTPException) -> Any:
    """The site's answer: its page for 403, and otherwise the exception's own.

    The middleware takes a bare 401 for what it is, and asks a visitor to sign in.
    """
    if refusal.code == 403 and refusal.response is None:
        return response_for_exception(request, PermissionDenied())
    if type(refusal) is Unauthorized:
        return HttpResponse(status=401)
    answer: Any = refusal.get_response(_environ(request))
    return HttpResponse(answer.get_data(), status=answer.status_code, headers=dict(answer.headers))


def _leads_back(request: Any, response: Any) -> bool:
    """Whether a check of Django's, such as `permission_required`, sends a signed-in user to the sign-in page.

    That page leads a signed-in user to `next` at once, so the browser would go round without end.
    """
    page, _, query = response.get("Location", "").partition("?")
    signs_in = page != "" and page == host_api.auth_url(_environ(request), "login")
    return signs_in and parse_qs(query).get("next") == [request.get_full_path()]


def _environ(request: Any) -> Environ:
    """The environ of a request that came by WSGI; an empty one otherwise."""
    return getattr(request, "environ", {})


def _owner(request: Any) -> str:
    """Whose session of the site this is; "" without one. Asks the session store only if there is a cookie."""
    if not hasattr(request, "session") or settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return ""
    return str(request.session.get(OWNER, ""))


def _lazily(mapped: Callable[[User], Any], user: User, own: Any, *, is_theirs: bool) -> Any:
    """The Django user of this user, looked up at the first use."""
    return SimpleLazyObject(lambda: own if is_theirs and own.is_authenticated else mapped(user) or own)


def _looked_up(request: Any) -> Any:
    """The Django user of the request, after the look-up, which no async view may make."""
    bool(request.user)
    return request.user


def _ending(more: OnSignOut | None) -> OnSignOut:
    """What ends the site's own session at sign-out, in the session store too."""

    def on_sign_out(environ: Environ, user: User | None) -> Iterable[str]:
        ended = list(more(environ, user) or ()) if more is not None else []
        answer: Any = HttpResponse()
        cookies = WSGIRequest(environ).COOKIES
        key = cookies.get(settings.SESSION_COOKIE_NAME)
        if key is not None:
            _renew_connections()
            import_module(settings.SESSION_ENGINE).SessionStore(key).flush()
            _renew_connections()
            answer.delete_cookie(
                settings.SESSION_COOKIE_NAME,
                path=settings.SESSION_COOKIE_PATH,
                domain=settings.SESSION_COOKIE_DOMAIN,
                samesite=settings.SESSION_COOKIE_SAMESITE,
            )
        if "messages" in cookies:
            answer.delete_cookie("messages", domain=settings.SESSION_COOKIE_DOMAIN)
        return [*ended, *(cookie.OutputString() for cookie in answer.cookies.values())]

    return on_sign_out


def _renew_connections() -> None:
    """Close connections that are broken or too old, as Django does between two requests."""
    for connection in connections.all(initialized_only=True):
        renew(connection)


def _logged_out(request: Any, **_: Any) -> None:
    """Sign out of the middleware where a user logs out of Django."""
    host_api.end_session(_environ(request))


user_logged_out.connect(_logged_out, dispatch_uid="nipo_auth_mw")
