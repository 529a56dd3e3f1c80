"""The sign-in page."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, NotRequired
from urllib.parse import urlencode

from werkzeug.wrappers import Response

from nipo_auth_mw._flows.advance import SecondDue, SignedIn
from nipo_auth_mw._flows.login import sign_in
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.passkeys_check import login_options
from nipo_auth_mw._mail.addresses import has_wrong_letters
from nipo_auth_mw._web import challenges
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.redirects import LONGEST, LONGEST_IN_URL
from nipo_auth_mw._web.request import Request, is_framed
from nipo_auth_mw._web.requirements import first_unmet
from nipo_auth_mw._web.serializers import UserData, user_data

_FULL_WIDTH = re.compile("[\u3000-\u30ff\uff01-\uff9f]")


@takes("next")
def show(web: WebContext, request: Request) -> Response:
    """Show the form. A user who is signed in is redirected."""
    wanted, session = request.wanted, request.session
    if session is not None and (unmet := first_unmet(session.user, session.state, web.config)):
        return challenges.meet_first(web, request.environ, unmet, request.session)
    if session is not None:
        return web.answers.lead_on(request, web.redirect_target(request, wanted))
    if len(wanted) > LONGEST:
        request.note = "next_too_long"
    if is_framed(request.environ):
        return web.answers.framed(request, web.redirect_target(request, wanted))
    form = form_of(web, request, "", wanted, True) | _lost_cookie(web, request)
    cookie = web.session_cookie.read(request.cookies) if request.method == "GET" else None
    ended = web.services.sessions.why_ended(cookie) if cookie else ""
    response = web.answers.page(request, "login.html", **form | {"ended": ended})
    if ended:
        response.headers.add("Set-Cookie", web.session_cookie.delete())
    return response


@takes(
    *("email", "password", "remember", "next"),
    gives={"next": str, "user": NotRequired[UserData], "second": NotRequired[list[str]]},
)
def submit(web: WebContext, request: Request) -> Response:
    """Sign in, and redirect to the page that the user asked for, to the second step, or to the first requirement."""
    email, password, wanted = request.text("email"), request.text("password"), request.text("next")
    remember = request.flag("remember")
    if request.is_front_end:
        web.warnings.count_sign_in(request.environ, email)
    outcome = sign_in(
        web.services,
        email,
        password,
        remember=remember,
        client=request.client,
        device_cookie=web.device_cookie.read(request.cookies),
        over=request.session,
    )
    if isinstance(outcome, Refused):
        request.wanted = web.redirect_target(request, wanted, default="")
        form = form_of(web, request, email, wanted, remember)
        if outcome.code == "invalid_credentials":
            form |= {"hint": _hint(password), "email_hint": has_wrong_letters(email)}
        refused = replace(outcome, values={**outcome.values, "email": email[:254]})
        return web.answers.refuse(request, refused, "login.html", **form)
    if isinstance(outcome, SecondDue):
        return _second_due(web, request, outcome, wanted)
    return opened(web, request, outcome, wanted)


def opened(web: WebContext, request: Request, outcome: SignedIn, wanted: str) -> Response:
    """The answer to a sign-in that is complete: the session's cookies, and the way to `wanted`, or to the first
    requirement."""
    to = web.redirect_target(request, wanted)
    if unmet := first_unmet(outcome.user, outcome.state, web.config):
        page = f"{web.path(request, unmet.route)}?{urlencode({'next': to})}"
        # A longer one is asked for on the way to `to`.
        to = page if len(page) <= LONGEST_IN_URL else to
    cookies = web.session_cookies(outcome.session, outcome.device, persistent=outcome.stored.persistent)
    cookies = [*web.forget_pending(request), *cookies]
    # A page of the middleware's says by itself that the user is signed in.
    flash = "" if to.startswith(f"{web.prefix_path(request.environ)}/") else "signed_in"
    return web.answers.done(request, to, cookies, flash=flash, user=user_data(outcome.user, outcome.state))


def _second_due(web: WebContext, request: Request, due: SecondDue, wanted: str) -> Response:
    """The way to the second step; its page itself if no URL has room for `wanted`."""
    cookie = web.second_cookie
    to = challenges.page_with(web, request, "login/second", wanted)
    if to or request.wants_json:
        to = to or web.path(request, "login/second")
        return web.answers.done(request, to, [cookie.set(due.pending)], second=list(due.kinds))
    request.cookies = f"{cookie.name}={due.pending}"
    response = challenges.in_place(web, request, "login/second", wanted)
    response.headers.add("Set-Cookie", cookie.set(due.pending))
    return response


def form_of(web: WebContext, request: Request, email: str, wanted: str, remember: bool) -> dict[str, Any]:
    """The facts of the form. It holds `next` only if it is a redirect target, and the same options of a passkey for
    every visitor, except the challenge."""
    target = web.redirect_target(request, wanted, default="")
    form = {"email": email[:254], "next": target, "remember": remember, "problem": None}
    form |= {"passkey": login_options(web.services), "unknown": ""}
    return {**form, "hint": "", "email_hint": False, "no_cookie": False, "address": "", "ended": ""}


def _lost_cookie(web: WebContext, request: Request) -> dict[str, Any]:
    """Whether the browser keeps no cookie: sign-in has just succeeded, and no cookie came back.

    The request then comes from the sign-in form and brings none of the middleware's cookies. `address` is the address
    of the site if the browser opened it by another one, such as by http, where it drops the cookie.
    """
    came_from = request.environ.get("HTTP_REFERER", "").split("?", 1)[0]
    ours = (web.session_cookie, web.device_cookie, web.language_cookie)
    host, login = request.environ.get("HTTP_HOST"), web.path(request, "login")
    others = [f"{scheme}://{host}{login}" for scheme in ("http", "https")]
    from_login = came_from in {f"{web.config.origin}{login}", *others}
    lost = from_login and not any(cookie.name in request.cookies for cookie in ours)
    other = lost and not came_from.startswith(f"{web.config.origin}/")
    return {"no_cookie": lost, "address": web.config.base_url if other else ""}


def _hint(password: str) -> str:
    """The hint for a keyboard in a wrong state. It depends on the text alone, not on whether the password is right."""
    if _FULL_WIDTH.search(password):
        return "hint.had_full_width"
    letters = [character for character in password if character.isalpha()]
    return "hint.had_caps_lock" if len(letters) > 2 and all(character.isupper() for character in letters) else ""
