"""The sign-in page."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw.flows.signin import Refused, SignedIn, sign_in
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.shapes import user_data
from nipo_auth_mw.web.site import Site

_STATUS = {
    "invalid_credentials": 401,
    "locked": 429,
    "too_many_attempts": 429,
    "account_disabled": 403,
    "busy": 503,
}


def show(site: Site, request: Request) -> Response:
    wanted = request.query.get("next", "")
    if request.live is not None:
        return site.answers.redirect(site.landing(request, wanted))
    return site.answers.page(request, "login.html", **_form("", _kept(site, request, wanted), True))


def submit(site: Site, request: Request) -> Response:
    email, password, wanted = request.text("email"), request.text("password"), request.text("next")
    remember = request.flag("remember")
    device_cookie = site.device_cookie.read(request.cookies)
    outcome = sign_in(
        site.services,
        email,
        password,
        remember=remember,
        client=request.client,
        device_cookie=device_cookie,
        over=request.live,
    )
    if isinstance(outcome, Refused):
        form = _form(email, _kept(site, request, wanted), remember)
        return _refuse(site, request, outcome, email, form)
    return site.answers.done(
        request,
        site.landing(request, wanted),
        _cookies(site, outcome, remember),
        user=user_data(outcome.user, outcome.notes),
    )


def _kept(site: Site, request: Request, wanted: str) -> str:
    """What the form carries on as `next`: nothing that would not be landed on."""
    return site.landing(request, wanted, default="")


def _form(email: str, wanted: str, remember: bool) -> dict[str, Any]:
    return {"email": email[:254], "next": wanted, "remember": remember, "problem": None}


def _cookies(site: Site, outcome: SignedIn, remember: bool) -> list[str]:
    cookies = [site.session_cookie.set(outcome.session, kept=remember)]
    if outcome.device is not None:
        cookies.append(site.device_cookie.set(outcome.device))
    return cookies


def _refuse(site: Site, request: Request, outcome: Refused, email: str, form: dict[str, Any]) -> Response:
    text = ""
    if outcome.began:
        text = "lock_begun"
    elif outcome.reason == "locked" and outcome.retry_after is None:
        text = "locked_for_good"
    return site.answers.refuse(
        request,
        outcome.reason,
        _STATUS[outcome.reason],
        text=text,
        template="login.html",
        context={name: value for name, value in form.items() if name != "problem"},
        email=email[:254],
        retry_after=outcome.retry_after,
    )
