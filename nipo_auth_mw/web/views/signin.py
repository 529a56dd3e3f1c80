"""The sign-in page."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from werkzeug.wrappers import Response

from nipo_auth_mw.flows.signin import Refused, SignedIn, sign_in
from nipo_auth_mw.web import detours
from nipo_auth_mw.web.request import Request
from nipo_auth_mw.web.shapes import user_data
from nipo_auth_mw.web.site import Site

_FULL_WIDTH = re.compile("[\u3000-\u30ff\uff01-\uff9f]")
_STATUS = {
    "invalid_credentials": 401,
    "locked": 429,
    "too_many_attempts": 429,
    "account_disabled": 403,
    "busy": 503,
}


def show(site: Site, request: Request) -> Response:
    wanted = request.query.get("next", "")
    if request.live is not None and request.live.must_change:
        return detours.must_change(site, request.environ)
    if request.live is not None:
        return site.answers.redirect(site.landing(request, wanted))
    form = _form("", _kept(site, request, wanted), True)
    return site.answers.page(request, "login.html", **{**form, "no_cookie": _lost_its_cookie(site, request)})


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
        if outcome.reason == "invalid_credentials":
            form["hint"] = _hint(email, password)
        return _refuse(site, request, outcome, email, form)
    to = site.landing(request, wanted)
    if outcome.notes.change_by is not None:
        to = f"{site.path(request, 'account/password')}?{urlencode({'next': to})}"
    return site.answers.done(
        request,
        to,
        _cookies(site, outcome, remember),
        user=user_data(outcome.user, outcome.notes),
    )


def _kept(site: Site, request: Request, wanted: str) -> str:
    """What the form carries on as `next`: nothing that would not be landed on."""
    return site.landing(request, wanted, default="")


def _form(email: str, wanted: str, remember: bool) -> dict[str, Any]:
    form = {"email": email[:254], "next": wanted, "remember": remember, "problem": None}
    return {**form, "hint": "", "no_cookie": False}


def _lost_its_cookie(site: Site, request: Request) -> bool:
    """Whether somebody has just signed in and the browser kept nothing of it: they come from our form, and bring not
    one cookie of ours."""
    came_from = request.environ.get("HTTP_REFERER", "").split("?", 1)[0]
    ours = (site.session_cookie, site.device_cookie, site.language_cookie)
    from_login = came_from == f"{site.config.origin}{site.path(request, 'login')}"
    return from_login and not any(cookie.name in request.cookies for cookie in ours)


def _hint(email: str, password: str) -> str:
    """What a keyboard in the wrong state leaves behind; said of what was typed, whether it was right or not."""
    if _FULL_WIDTH.search(email + password):
        return "hint.full_width"
    letters = [character for character in password if character.isalpha()]
    return "hint.caps_lock" if len(letters) > 2 and all(character.isupper() for character in letters) else ""


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
