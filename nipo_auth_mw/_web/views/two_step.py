"""The pages of an account's security: two steps, the authenticator app, the backup codes."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from nipo_auth_mw._credentials import totp
from nipo_auth_mw._credentials.factors import Setup
from nipo_auth_mw._flows import passkeys, two_step
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.passkeys_check import own_options
from nipo_auth_mw._flows.proof_changes import Renewed
from nipo_auth_mw._flows.second_check import PASSKEY
from nipo_auth_mw._web import challenges
from nipo_auth_mw._web.context import WebContext
from nipo_auth_mw._web.interface import takes
from nipo_auth_mw._web.redirects import for_link
from nipo_auth_mw._web.request import Request
from nipo_auth_mw._web.serializers import FactorData, factor_data

_TEXT = "text/plain; charset=utf-8"


@takes(
    "next",
    gives={
        "two_step": bool,
        "required": bool,
        "app": FactorData | None,
        "passkeys": list[FactorData],
        "codes_left": int,
        "means": list[str],
        "second_at": str | None,
    },
)
def show(web: WebContext, request: Request) -> Response:
    """Show the switch, the app, the passkeys, how many backup codes are left, and what this session has proved."""
    session = request.signed_in
    found = two_step.overview(web.services, session)
    if request.wants_json:
        return web.answers.data(
            {
                "two_step": found.since is not None,
                "required": found.required,
                "app": factor_data(found.app) if found.app else None,
                "passkeys": [factor_data(one) for one in found.passkeys],
                "codes_left": found.codes_left,
                "means": list(session.public.means),
                "second_at": session.public.second_at.isoformat() if session.public.second_at else None,
            }
        )
    page: dict[str, Any] = {
        "found": found,
        "session": session.public,
        "signals": passkeys.signals(web.services, session),
    }
    wanted = _next(web, request, request.wanted)
    return web.answers.page(request, "two_step.html", **page, next=wanted, problem=None)


@takes("replace", "next", gives={"key": str, "uri": str, "setup": str})
def show_app(web: WebContext, request: Request) -> Response:
    """Show the QR code of a new secret, and the form for its first code. Nothing is stored yet."""
    replace = request.query.get("replace") == "1"
    made = two_step.begin_app(web.services, request.signed_in, replace=replace)
    if isinstance(made, Refused):
        return web.answers.refuse(request, made)
    page = _app_page(web, request, made, replace=replace, wanted=request.wanted)
    if request.wants_json:
        return web.answers.data({"key": page["key"], "uri": page["uri"], "setup": made.sealed})
    return web.answers.page(request, "two_step-app.html", **page)


@takes("code", "setup", "replace", "next", gives={"next": str, "two_step": bool})
def submit_app(web: WebContext, request: Request) -> Response:
    """Store the app if its code is right, and go on to the backup codes."""
    session, sealed, replace = request.signed_in, request.text("setup"), request.given_flag("replace")
    first = session.state.two_step is None
    outcome = two_step.add_app(
        web.services,
        session,
        sealed,
        request.text("code"),
        replace=replace,
        client=request.client,
        device_cookie=web.device_cookie.read(request.cookies),
    )
    if isinstance(outcome, Refused):
        if outcome.code != "invalid_code":
            return web.answers.refuse(request, outcome)
        again = two_step.reopen_app(web.services, session, sealed, replace=replace)
        if isinstance(again, Refused):
            return web.answers.refuse(request, again)
        page = _app_page(web, request, again, replace=replace, wanted=request.text("next"))
        return web.answers.refuse(request, outcome, "two_step-app.html", **page)
    has_codes = two_step.overview(web.services, session).codes_left > 0
    to = challenges.page(web, request, "account/security" + ("" if has_codes else "/codes"), request.text("next"))
    flash = "two_step_on" if first else "app_replaced" if replace else "app_added"
    cookies = _cookies(web, outcome) if outcome else []
    return web.answers.done(request, to, cookies, flash=flash, two_step=True)


@takes("next", gives={"codes_left": int})
def show_codes(web: WebContext, request: Request) -> Response:
    """Ask whether to make a new set of backup codes. No page shows the codes again."""
    found = two_step.overview(web.services, request.signed_in)
    if request.wants_json:
        return web.answers.data({"codes_left": found.codes_left})
    if found.since is None:
        return web.answers.refuse(request, Refused("factor_needed"))
    page = _codes_page(web, request, None, left=found.codes_left, wanted=request.wanted)
    return web.answers.page(request, "two_step-codes.html", **page)


@takes("file", "next", gives={"codes": list[str]})
def submit_codes(web: WebContext, request: Request) -> Response:
    """Make ten backup codes and show them once, or send them as a text file."""
    as_file, wanted = request.given_flag("file"), request.text("next")
    made = two_step.make_codes(web.services, request.signed_in, client=request.client)
    if isinstance(made, Refused):
        return web.answers.refuse(request, made)
    page = _codes_page(web, request, made, left=len(made), wanted=wanted)
    if as_file:
        return web.answers.download([page["file"].encode()], _TEXT, page["file_name"])
    if request.wants_json:
        return web.answers.data({"codes": made})
    return web.answers.page(request, "two_step-codes.html", **page)


def show_switch(web: WebContext, request: Request) -> Response:
    """Ask whether to switch two steps off, or on. A session without a passkey proves one first."""
    return web.answers.page(request, "two_step-switch.html", **_switch_page(web, request))


@takes("on", gives={"next": str, "two_step": bool})
def submit_switch(web: WebContext, request: Request) -> Response:
    """Switch two steps on, which leads to the backup codes, or off. A request that does not say which does neither."""
    if "on" not in request.fields:
        return web.answers.refuse(request, Refused("bad_request"))
    session, on = request.signed_in, request.flag("on")
    switch = two_step.switch_on if on else two_step.switch_off
    device = web.device_cookie.read(request.cookies)
    outcome = switch(web.services, session, client=request.client, device_cookie=device)
    if isinstance(outcome, Refused):
        if outcome.detail == "passkey":
            return web.answers.refuse(request, outcome, "two_step-switch.html", **_switch_page(web, request))
        return web.answers.refuse(request, outcome)
    route = "account/security/codes" if on and outcome else "account/security"
    cookies, flash = (_cookies(web, outcome), f"two_step_{'on' if on else 'off'}") if outcome else ([], "")
    return web.answers.done(request, web.path(request, route), cookies, flash=flash, two_step=on)


@takes("factor")
def show_remove(web: WebContext, request: Request) -> Response:
    """Ask whether to remove a proof."""
    factor = two_step.find_factor(web.services, request.signed_in, request.query.get("factor"))
    return _factor_page(web, request, "two_step-remove.html", factor)


@takes("factor", gives={"next": str, "removed": bool})
def submit_remove(web: WebContext, request: Request) -> Response:
    """Remove a proof."""
    outcome = two_step.remove_factor(
        web.services,
        request.signed_in,
        request.text("factor"),
        client=request.client,
        device_cookie=web.device_cookie.read(request.cookies),
    )
    if isinstance(outcome, Refused):
        return web.answers.refuse(request, outcome)
    to = web.path(request, "account/security")
    return web.answers.done(request, to, _cookies(web, outcome), flash="factor_removed", removed=True)


@takes("factor")
def show_rename(web: WebContext, request: Request) -> Response:
    """Show the form for the name of a passkey."""
    factor = two_step.find_passkey(web.services, request.signed_in, request.query.get("factor"))
    return _factor_page(web, request, "two_step-rename.html", factor)


@takes("factor", "name", gives={"next": str, "factor": FactorData})
def submit_rename(web: WebContext, request: Request) -> Response:
    """Give a passkey another name."""
    session, key = request.signed_in, request.text("factor")
    outcome = two_step.rename_passkey(web.services, session, key, request.text("name"), client=request.client)
    if isinstance(outcome, Refused):
        factor = two_step.find_passkey(web.services, session, key) if outcome.code == "name_needed" else None
        if factor is None:
            return web.answers.refuse(request, outcome)
        return web.answers.refuse(request, outcome, "two_step-rename.html", factor=factor, problem=None)
    to = web.path(request, "account/security")
    return web.answers.done(request, to, flash="factor_renamed", factor=factor_data(outcome))


def _switch_page(web: WebContext, request: Request) -> dict[str, Any]:
    """The facts of the page of the switch. `passkey` are the options for a passkey that has to be proved first."""
    session = request.signed_in
    found = two_step.overview(web.services, session)
    first = found.since is None and found.passkeys and PASSKEY not in session.public.means
    return {
        "found": found,
        "passkey": own_options(web.services, "confirm", session.user.id) if first else None,
        "next": web.path(request, "account/security/two-step"),
        "problem": None,
    }


def _factor_page(web: WebContext, request: Request, template: str, factor: two_step.Proof | None) -> Response:
    """A page about this factor; a refusal for none."""
    if factor is None:
        return web.answers.refuse(request, Refused("no_such_factor"))
    return web.answers.page(request, template, factor=factor, problem=None)


def _app_page(web: WebContext, request: Request, made: Setup, *, replace: bool, wanted: str) -> dict[str, Any]:
    """The facts of the page with the QR code."""
    account, issuer = web.config.login_id(request.signed_in.user.email), web.pages.brand.name(request.language)
    return {
        "key": totp.key_text(made.secret),
        "uri": totp.uri(made.secret, account=account, issuer=issuer),
        "setup": made.sealed,
        "replace": replace,
        "next": _next(web, request, wanted),
        "problem": None,
    }


def _next(web: WebContext, request: Request, wanted: str) -> str:
    """The page that a requirement kept the user from; "" for none, and for one that the links cannot carry."""
    return for_link(web.redirect_target(request, wanted, default=""))


def _cookies(web: WebContext, renewed: Renewed) -> list[str]:
    """The cookies of the renewed session."""
    return web.session_cookies(renewed.session, renewed.device, persistent=renewed.persistent)


def _codes_page(
    web: WebContext, request: Request, codes: list[str] | None, *, left: int, wanted: str
) -> dict[str, Any]:
    """The facts of the page of the backup codes. `file` is a text file with what they are of and whose."""
    text, language = web.pages.text, request.language
    site, email = web.pages.brand.name(language), web.config.login_id(request.signed_in.user.email)
    head = text(language, "two_step.codes_file_head", site_name=site, email=email)
    return {
        "codes": codes,
        "left": left,
        "file": "\r\n".join([head, "", *(codes or ()), ""]),
        "to": _next(web, request, wanted) or web.path(request, "account/security"),
        "file_name": text(language, "two_step.codes_file") + ".txt",
        "next": _next(web, request, wanted),
        "problem": None,
    }
