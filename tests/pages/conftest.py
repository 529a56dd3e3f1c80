"""Pages are tested as text: no HTTP, no store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.flows.staff import Person
from nipo_auth_mw.flows.staff_bulk import Line
from nipo_auth_mw.models import EmailChange, Event, Session, StoredSession, User
from nipo_auth_mw.parts.pages import Pages, Problem

NOW = 1795470000.0
WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36"
)


class Typed(str):
    """What was typed, in one field or in several."""

    def __new__(cls, text: str, fields: dict[str, str]) -> Typed:
        typed = super().__new__(cls, text)
        typed.__dict__.update(fields)
        return typed


Render = Callable[..., str]

CODES = (
    "invalid_credentials",
    "lock_begun",
    "locked",
    "locked_for_good",
    "too_many_attempts",
    "account_disabled",
    "busy",
    "unavailable",
    "sign_in_required",
    "session_ended",
    "cross_site",
    "wrong_host",
    "bad_request",
    "too_large",
    "unsupported_media_type",
    "not_found",
    "method_not_allowed",
    "not_allowed",
    "unknown_language",
    "server_error",
    "link_expired",
    "mail_unavailable",
    "password_too_short",
    "password_too_long",
    "password_guessable",
    "password_not_text",
    "password_unchanged",
    "password_locked",
    "wrong_password",
    "wrong_password_lock_begun",
    "password_change_required",
    "fresh_sign_in_required",
    "no_such_session",
    "email_rejected",
    "email_unchanged",
    "email_taken",
    "email_taken_back",
    "email_link_expired",
    "too_many_mails",
    "no_such_account",
    "not_oneself",
    "last_admin",
    "unknown_role",
    "no_lines",
    "too_many_lines",
    "bad_filter",
)
EVENTS = (
    "signed_in",
    "sign_in_failed",
    "locked",
    "unlocked",
    "refused_disabled",
    "limited",
    "cross_site_refused",
    "signed_out",
    "session_expired",
    "session_ended",
    "password_reset_requested",
    "password_reset",
    "link_refused",
    "password_changed",
    "email_change_requested",
    "email_changed",
    "email_change_cancelled",
    "account_created",
    "account_enabled",
    "account_disabled",
    "account_deleted",
    "role_changed",
    "profile_changed",
    "new_device",
    "not_allowed",
)
LANGUAGES = ("ja", "en")
STAFF = ("staff-create.html", "staff-bulk.html", "staff-person.html")
REFUSING_OWN = ("account.html", "confirm.html", "password.html", "email.html", *STAFF)
REFUSING = ("login.html", "refusal.html", "ended.html", "forgot.html", "reset.html", "link.html", "email-link.html")
PAGES = (
    "login.html",
    "logout.html",
    "forgot.html",
    "sent.html",
    "reset.html",
    "help.html",
    "email-confirm.html",
    "email-cancel.html",
    "staff.html",
    "staff-report.html",
    "staff-delete.html",
    "history.html",
    *REFUSING_OWN,
)


def config(**settings: Any) -> AuthConfig:
    given = {"secret_key": "a test's key, " * 3, "base_url": "https://reports.example.jp", "site_name": "日報くん"}
    return AuthConfig(**{**given, **settings})


def stored(key: str, agent: str = WINDOWS, *, kept: bool = True) -> Session:
    return Session(StoredSession(key * 64, "17", "", NOW - 86400, NOW, NOW, kept, "203.0.113.20", agent))


def values(text: str = "hanako@example.jp") -> dict[str, Any]:
    """What the views give to all templates together, with `text` wherever a person's own words come in."""
    user = User("17", text, True, text, "staff", None, text)
    here = stored("a")
    events = [
        Event(
            datetime.fromtimestamp(NOW, UTC),
            name,
            "17",
            text,
            client_address="2001:db8::1",
            user_agent=WINDOWS,
            actor=text,
            details={"why": text, "to": text, "refused": 3, "limit": "idle", "before": text, "after": text},
        )
        for name in EVENTS
    ]
    return {
        "root": "/app",
        "here": f"/app/auth/login?next={text}",
        "user": user,
        "email": text,
        "next": text,
        "remember": True,
        "problem": None,
        "session": here,
        "sessions": [here, stored("b", text), stored("c", "", kept=False)],
        "events": events,
        "login_url": "/app/auth/login",
        "said": "",
        "hint": "",
        "no_cookie": False,
        "mails": True,
        "sender": "noreply@example.com",
        "lasts": 3600,
        "min_length": 8,
        "must_change": False,
        "typed": Typed(text, dict.fromkeys(("email", "name", "notify_email", "memo", "emails"), text)),
        "can_change_email": True,
        "sections": ("account", "staff", "history"),
        "at_section": "staff",
        "users": [user, replace(user, id="18", active=False)],
        "q": text,
        "after": text,
        "last": text,
        "changed": replace(user, id="18"),
        "self_id": "17",
        "names": {"17": text},
        "kinds": EVENTS,
        "given": {"email": text, "event": "", "from": "", "to": ""},
        "zone": "Asia/Tokyo",
        "person": Person(replace(user, id="18"), text, True, True),
        "lines": [Line(text, user), Line(text, code="email_taken")],
        "made": 1,
        "most": 50,
        "role": "staff",
        "roles": ("admin", "staff"),
        "generated": "abcd-efgh",
        "at": "profile",
        "change": EmailChange("k", "17", text, text, NOW, NOW),
        "first": "/app/auth/account/confirm",
        "advice": [],
        "topics": [(text, [("paragraph", [text]), ("list", [text, text])])],
    }


@pytest.fixture(scope="session")
def pages() -> Pages:
    return Pages(config())


def every_page(pages: Pages, language: str, text: str = "hanako@example.jp") -> Iterator[tuple[str, str]]:
    """Every page in every state, as (what it is, HTML)."""
    common = values(text)
    for name in PAGES:
        yield name, pages.render(name, language, **common)
    said = pages.said(language, "password_reset")
    yield "login.html said", pages.render("login.html", language, **{**common, "said": said})
    yield "login.html no cookie", pages.render("login.html", language, **{**common, "no_cookie": True})
    yield "login.html hint", pages.render("login.html", language, **{**common, "hint": "hint.full_width"})
    yield "forgot.html no mailer", pages.render("forgot.html", language, **{**common, "mails": False})
    yield "sent.html no sender", pages.render("sent.html", language, **{**common, "sender": ""})
    yield "logout.html visitor", pages.render("logout.html", language, **{**common, "user": None})
    yield "password.html must change", pages.render("password.html", language, **{**common, "must_change": True})
    for code in ("fresh_sign_in_required", "password_change_required"):
        stale = {**common, "problem": pages.problem(language, code)}
        yield f"stale.html {code}", pages.render("stale.html", language, **stale)
    yield "account.html empty", pages.render("account.html", language, **{**common, "sessions": [], "events": []})
    for code in CODES:
        problem: Problem = pages.problem(
            language, code, email=text, retry_after=250, min_length=8, max_length=128, most=50
        )
        common["advice"] = [text]
        for name in REFUSING:
            yield f"{name} {code}", pages.render(name, language, **{**common, "problem": problem, "user": None})
        for name in REFUSING_OWN:
            yield f"{name} {code}", pages.render(name, language, **{**common, "problem": problem})
