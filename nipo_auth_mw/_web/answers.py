"""Answers as a page or as JSON, with the headers of every answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response

from nipo_auth_mw._flows.help import ADMIN_TOPICS
from nipo_auth_mw._flows.outcomes import SIGN_IN_REQUIRED, Refused
from nipo_auth_mw._flows.staff_actor import ADMIN
from nipo_auth_mw._pages.renderer import Problem, Renderer
from nipo_auth_mw._web import problems
from nipo_auth_mw._web.flash_messages import FlashMessages
from nipo_auth_mw._web.redirects import LONGEST_IN_URL
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.requirements import first_unmet
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import PasswordRejected
from nipo_auth_mw.models import User

_CSP_OF_ALL = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
)
_CSP = _CSP_OF_ALL + "frame-ancestors 'none'"
_CSP_OF_FRAMED = _CSP_OF_ALL + "frame-ancestors *"
_HEADERS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", _CSP),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    # A page of a sibling sub-domain would see by what loads whose session the browser has, and with which role.
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)
_A_YEAR = "public, max-age=31536000, immutable"

SIGNED_OUT = "signed_out"
SIGNED_OUT_SHARED = "signed_out_shared"
"""The flash messages after sign-out; the second one of a session that was to end with the browser, so the computer may
be a shared one. Their page makes the browser forget the pages before it."""
Cookies = Sequence[str]


class _Redirect(Response):
    """A redirect that sends Location as it is given.

    Werkzeug would quote it anew, which turns `?x[]=1` into another spelling than the one that was checked.
    """

    def get_wsgi_headers(self, environ: Any) -> Headers:  # noqa: ARG002
        """The headers as they are."""
        return self.headers


class Answers:
    """Builds every answer of the middleware, including static files."""

    def __init__(
        self, config: AuthConfig, pages: Renderer, flashes: FlashMessages, *, has_staff: bool, has_two_step: bool
    ) -> None:
        self._config = config
        self._for_admins = ("staff", "audit") if has_staff else ("audit",)
        self._pages = pages
        self.flashes = flashes
        self._has_two_step = has_two_step

    def page(self, request: Request, template: str, status: int = 200, **context: Any) -> Response:
        """An HTML page, never cached.

        Every template gets the root of the app, the path of this page, the user, the navigation and the flash message
        of the change before it. `context` adds the facts of this page.
        """
        user: User | None = request.session.user if request.session else None
        word = self._flash(request) if status == 200 else ""
        named = word or request.note
        shown = self._pages.flash(request.language, named) if named else ""
        common: dict[str, Any] = {
            "root": request.root,
            "here": here(request, self._config),
            "user": user,
            "flash": shown,
            "signed_out": word in (SIGNED_OUT, SIGNED_OUT_SHARED),
            "ask": self._pages.ask(request.language, user.role if user else ""),
        }
        common["has_two_step"] = self._has_two_step
        common |= {"sections": self._sections(request), "at_section": request.route.partition("/")[0]}
        html = self._pages.render(template, request.language, **{**common, **context})
        response = self._html(html, status)
        response.headers["Content-Language"] = request.language
        if word:
            response.headers.add("Set-Cookie", self.flashes.drop())
        return response

    def framed(self, request: Request, to: str) -> Response:
        """The page in a frame of another page: it opens `to` in a window of its own.

        Browsers keep no cookie of a framed site, and a form in a frame could be covered (clickjacking). So this page,
        which has only a link, is the only one that may be framed.
        """
        response = self._alone(request, "login-framed.html", to)
        response.status_code = 401
        response.headers["Content-Security-Policy"] = _CSP_OF_FRAMED
        del response.headers["X-Frame-Options"]
        return response

    def _alone(self, request: Request, template: str, to: str) -> Response:
        """A page that has only a link to `to`: no user, no navigation and no form. The next page shows the flash
        message."""
        context: dict[str, Any] = {"root": request.root, "user": None, "sections": (), "flash": "", "signed_out": False}
        return self._html(self._pages.render(template, request.language, **context, to=to))

    def _html(self, html: str, status: int = 200) -> Response:
        """An HTML answer, never cached."""
        body = html.encode("utf-8", "replace")
        return _with_headers(Response(body, status, content_type="text/html; charset=utf-8"))

    def _sections(self, request: Request) -> tuple[str, ...]:
        """The pages in the navigation: those that this user may open."""
        session = request.session
        if session is None or first_unmet(session.user, session.state, self._config):
            return ()
        return ("account", *self._for_admins) if session.user.role == ADMIN else ("account",)

    def _flash(self, request: Request) -> str:
        """The name of the flash message that `done` left for this page and no other."""
        path = f"{request.root}{self._config.prefix}/{request.route}"
        return self.flashes.read(request.cookies, request.method, path)

    def data(self, data: Mapping[str, Any], status: int = 200, kind: str = "application/json") -> Response:
        """A JSON answer with this status and media type, never cached."""
        body = json.dumps(data, ensure_ascii=False)
        return _with_headers(Response(body, status, content_type=kind))

    def done(self, request: Request, to: str, cookies: Cookies = (), *, flash: str = "", **what: Any) -> Response:
        """The answer to a successful change: 303 to `to`, or JSON with `next` and the facts.

        `flash` names the flash message of the page at `to`, and of no other page. `cookies` are values of Set-Cookie.
        """
        response = self.data({"next": to, **what}) if request.wants_json else self.lead_on(request, to)
        if flash and not request.wants_json:
            cookies = [*cookies, self.flashes.leave(flash, to)]
        for cookie in cookies:
            response.headers.add("Set-Cookie", cookie)
        return response

    def lead_on(self, request: Request, to: str) -> Response:
        """The answer that leads to `to`, to a form or to a page that a form led to.

        Chrome and Safari apply `form-action` to each redirect after a form. The app may redirect to another origin, so
        a browser gets a page of ours that leads to the app: a navigation of its own, which `form-action` does not
        concern (w3c/webappsec-csp#8). It works without script. A page has room for a target that is too long for the
        header of a proxy's buffer.
        """
        prefix = f"{request.root}{self._config.prefix}"
        ours = to.startswith((f"{prefix}/", f"{prefix}?"))
        if ours or not _came_by_form(request, f"{self._config.origin}{prefix}/"):
            return self.redirect(to)
        return self._alone(request, "login-continue.html", to)

    def blank_image(self) -> Response:
        """An image that shows nothing."""
        return _with_headers(Response(b'<svg xmlns="http://www.w3.org/2000/svg"/>', content_type="image/svg+xml"))

    def redirect(self, to: str) -> Response:
        """A redirect with 303, so that no browser sends the POST again to the target.

        `to` is a path, never built from the Host header (host header injection).
        """
        response = _with_headers(_Redirect(b"", 303, content_type="text/html; charset=utf-8"))
        response.headers["Location"] = to
        return response

    def refuse(
        self,
        request: Request,
        refused: Refused,
        template: str = "problem.html",
        *,
        as_json: bool | None = None,
        **context: Any,
    ) -> Response:
        """A refusal in the form that the sender reads: a page with the message, or problem+json (RFC 9457).

        `template` and `context` are the page and its facts. `as_json` decides the form; None leaves it to the request.
        `PROBLEMS` has the status and the text of each code.
        """
        if refused.code == SIGN_IN_REQUIRED:
            # The form is still in the browser, so the page opens sign-in in another tab.
            template, context = "session_ended.html", {"login_url": f"{request.root}{self._config.prefix}/login"}
        status = problems.status_of(refused.code, refused.detail)
        problem = self._problem(request, refused)
        advice = self._pages.advice(request.language, refused.advice)
        if request.wants_json if as_json is None else as_json:
            data = {"type": f"urn:nipo-auth-mw:{refused.code}", "title": problem.title, "status": status}
            data |= {"detail": problem.detail, "code": refused.code}
            if refused.code == PasswordRejected.code:
                data |= {"reason": refused.detail, "advice": advice}
            if refused.retry_after is not None:
                data["retry_after"] = refused.retry_after
            response = self.data(data, status, "application/problem+json")
        else:
            response = self.page(request, template, status, **{**context, "problem": problem, "advice": advice})
        return _with_pause(response, refused)

    def plain(self, request: Request, refused: Refused) -> Response:
        """A refusal as text alone, for where no page can be made."""
        problem = self._problem(request, refused)
        text, status = f"{problem.title}\n\n{problem.detail}\n", problems.status_of(refused.code, refused.detail)
        response = _with_headers(Response(text, status, content_type="text/plain; charset=utf-8"))
        return _with_pause(response, refused)

    def _problem(self, request: Request, refused: Refused) -> Problem:
        """The title and the text of a refusal in the request's language."""
        limits = self._config.passwords
        role = request.session.user.role if request.session else ""
        values = {"min_length": limits.min_length, "max_length": limits.max_length, **refused.values}
        values["ask"] = self._pages.ask(request.language, role)
        text = problems.text_of(refused.code, refused.detail)
        topic = problems.topic_of(refused.code, refused.detail)
        shown = self._pages.problem(request.language, refused.code, text, retry_after=refused.retry_after, **values)
        return shown._replace(topic=topic if role == ADMIN or topic not in ADMIN_TOPICS else "")

    def download(self, parts: Iterable[bytes], content_type: str, name: str) -> Response:
        """A file for the browser to save, sent while it is made. A name beyond ASCII is spelt as in RFC 6266."""
        response = _with_headers(Response(parts, content_type=content_type))
        response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name)}"
        return response

    def file(self, data: bytes, content_type: str) -> Response:
        """A static file. Its name changes with its content, so every cache may hold it for a year."""
        response = Response(data, content_type=content_type)
        response.headers["Cache-Control"] = _A_YEAR
        # An icon that is opened by itself is a document of this origin.
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def here(request: Request, config: AuthConfig) -> str:
    """The path that the language switch returns to: this page, or sign-in if GET does not show this page.

    It holds nothing of the query except `next`: a password that a user typed into the address bar must not show in the
    page. If `next` is too long for a URL, it is the path itself, which leads back to this page.
    """
    prefix = f"{request.root}{config.prefix}"
    if not request.keeps_wanted or not request.route:
        return f"{prefix}/login"
    path = f"{prefix}/{request.route}"
    url = f"{path}?{urlencode({'next': request.wanted}, safe='/')}" if request.wanted else path
    return url if len(url) <= LONGEST_IN_URL else request.wanted


def _came_by_form(request: Request, pages: str) -> bool:
    """Whether the answer belongs to a form in a browser's window: one that was sent, or one whose answer led here.

    `pages` is the URL below which the middleware's own pages are.
    """
    if request.environ.get("HTTP_SEC_FETCH_DEST") != "document":
        return False
    return request.method == "POST" or str(request.environ.get("HTTP_REFERER") or "").startswith(pages)


def _with_pause(response: Response, refused: Refused) -> Response:
    """The answer with the seconds after which another try may succeed, if the refusal names them."""
    if refused.retry_after is not None:
        response.headers["Retry-After"] = str(refused.retry_after)
    return response


def _with_headers(response: Response) -> Response:
    """The answer with the security headers (ASVS 5 3.4)."""
    for name, value in _HEADERS:
        response.headers[name] = value
    return response
