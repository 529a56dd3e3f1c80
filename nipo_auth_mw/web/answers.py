"""A page or JSON, and one place for every header of ours."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response

from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import PasswordRejected
from nipo_auth_mw.flows.staff import ADMIN
from nipo_auth_mw.models import User
from nipo_auth_mw.parts.cookies import Cookie
from nipo_auth_mw.parts.pages import Pages
from nipo_auth_mw.web.request import BadRequest, Request

_CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", _CSP),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)
_A_YEAR = "public, max-age=31536000, immutable"

Cookies = Sequence[str]


class _Redirect(Response):
    """Sends Location as it is given. Werkzeug takes it apart and quotes it anew, which turns `?x[]=1` into another
    spelling than the one that was asked for and checked."""

    autocorrect_location_header = False

    def get_wsgi_headers(self, environ: Any) -> Headers:
        headers = super().get_wsgi_headers(environ)
        headers["Location"] = self.headers["Location"]
        return headers


class Answers:
    """Builds every answer of our own, the static files' too."""

    def __init__(self, config: AuthConfig, pages: Pages, said_cookie: Cookie, *, has_staff: bool) -> None:
        self._config = config
        self._for_admins = ("staff", "history") if has_staff else ("history",)
        self._pages = pages
        self._said_cookie = said_cookie

    def page(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        """An HTML page. Every page knows where it is, who is signed in, and what was done just before."""
        user: User | None = request.live.user if request.live else None
        said = self._said(request) if status == 200 else ""
        common: dict[str, Any] = {"root": request.root, "here": here(request, self._config), "user": user, "said": said}
        common |= {"sections": self._sections(request), "at_section": request.route.partition("/")[0]}
        html = self._pages.render(template, request.language, **{**common, **context})
        response = _with_headers(
            Response(html.encode("utf-8", "replace"), status, content_type="text/html; charset=utf-8")
        )
        response.headers["Content-Language"] = request.language
        if said:
            response.headers.add("Set-Cookie", self._said_cookie.delete())
        return response

    def _sections(self, request: Request) -> tuple[str, ...]:
        """The pages that lead on from here, for who may open them."""
        live = request.live
        if live is None or live.must_change:
            return ()
        return ("account", *self._for_admins) if live.user.role == ADMIN else ("account",)

    def _said(self, request: Request) -> str:
        """The sentence that `done` left for this page. The cookie only names one of ours, so a forged one says no more
        than we do."""
        word = self._said_cookie.read(request.cookies) if request.method == "GET" else None
        return self._pages.said(request.language, word) if word else ""

    def data(self, data: Mapping[str, Any], status: int = 200, kind: str = "application/json") -> Response:
        body = json.dumps(data, ensure_ascii=False)
        return _with_headers(Response(body, status, content_type=kind))

    def done(self, request: Request, to: str, cookies: Cookies = (), *, said: str = "", **what: Any) -> Response:
        """The end of a successful change: 303 to `to`, or JSON that says `next` and what was done.

        `said` names the sentence about it that the next page begins with.
        """
        response = self.data({"next": to, **what}) if request.wants_json else self.redirect(to)
        if said and not request.wants_json:
            cookies = [*cookies, self._said_cookie.set(said)]
        for cookie in cookies:
            response.headers.add("Set-Cookie", cookie)
        return response

    def redirect(self, to: str) -> Response:
        """303, so that a POST is never sent again elsewhere; a path, never built from Host."""
        response = _with_headers(_Redirect(b"", 303, content_type="text/html; charset=utf-8"))
        response.headers["Location"] = to
        return response

    def refuse(
        self,
        request: Request,
        code: str,
        status: int,
        *,
        text: str = "",
        template: str = "refusal.html",
        context: Mapping[str, Any] | None = None,
        as_json: bool | None = None,
        retry_after: int | None = None,
        members: Mapping[str, Any] | None = None,
        **values: object,
    ) -> Response:
        """A refusal in the shape the sender reads: a page with the message, or problem+json (RFC 9457).

        `text` is the catalogue's name for the message where a code has several, `values` what stands in it, `members`
        what JSON says beside it.
        """
        problem = self._pages.problem(request.language, text or code, retry_after=retry_after, **values)
        if request.wants_json if as_json is None else as_json:
            said = {"type": f"urn:nipo-auth-mw:{code}", "title": problem.title, "status": status}
            said |= {"detail": problem.detail, "code": code, **(members or {})}
            if retry_after is not None:
                said["retry_after"] = retry_after
            response = self.data(said, status, "application/problem+json")
        else:
            response = self.page(request, template, status, **{"problem": problem, **(context or {})})
        if status == 401:
            response.headers["WWW-Authenticate"] = "Session"
        if retry_after is not None:
            response.headers["Retry-After"] = str(retry_after)
        return response

    def reject_password(
        self, request: Request, why: PasswordRejected, *, template: str, context: Mapping[str, Any]
    ) -> Response:
        """422: the same form again, with what is wrong with the password and how to choose a better one."""
        advice = self._pages.advice(request.language, why.advice)
        limits = self._config.passwords
        return self.refuse(
            request,
            "password_rejected",
            422,
            text=f"password_{why.reason}",
            template=template,
            context={**context, "advice": advice},
            members={"reason": why.reason, "advice": advice},
            min_length=limits.min_length,
            max_length=limits.max_length,
        )

    def download(self, parts: Iterable[bytes], content_type: str, name: str) -> Response:
        """A file that is saved rather than shown, sent while it is made."""
        response = _with_headers(Response(parts, content_type=content_type))
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def file(self, data: bytes, content_type: str) -> Response:
        """A static file, whose name changes with its content."""
        response = Response(data, content_type=content_type)
        response.headers["Cache-Control"] = _A_YEAR
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def here(request: Request, config: AuthConfig) -> str:
    """Where the language switch comes back to: this page, when it can be asked for with GET.

    Of the query only `next` comes along: a password in an address that was typed by hand must not show in the page.
    """
    if request.method not in {"GET", "HEAD"} or not request.route:
        return f"{request.root}{config.prefix}/login"
    try:
        wanted = request.query.get("next")
    except BadRequest:
        wanted = None
    path = f"{request.root}{config.prefix}/{request.route}"
    return f"{path}?{urlencode({'next': wanted}, safe='/')}" if wanted else path


def _with_headers(response: Response) -> Response:
    for name, value in _HEADERS:
        response.headers[name] = value
    return response
