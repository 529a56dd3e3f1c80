"""Pages are tested as text: no HTTP, no store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import nipo_auth_mw
from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw._flows import staff_list
from nipo_auth_mw._flows.email_change import Pending
from nipo_auth_mw._flows.invitations_state import Invitation
from nipo_auth_mw._flows.outcomes import Refused
from nipo_auth_mw._flows.reauthenticate import REAUTHENTICATION
from nipo_auth_mw._flows.staff_list import FILTERS, Listing
from nipo_auth_mw._flows.staff_person import Person
from nipo_auth_mw._flows.staff_security import Security, ShownFactor
from nipo_auth_mw._flows.two_step import Overview as TwoSteps
from nipo_auth_mw._flows.two_step import Proof
from nipo_auth_mw._pages.renderer import Problem, Renderer
from nipo_auth_mw._sessions.endings import WORDS
from nipo_auth_mw._web.problems import PROBLEMS, text_of
from nipo_auth_mw._web.requirements import REQUIREMENTS
from nipo_auth_mw._web.views import usage
from nipo_auth_mw._web.views.audit import Row
from nipo_auth_mw._web.views.staff_handover import Slip
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.models import Account, EmailChange, Event, Session, StaffSort, StoredSession, User

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

TEMPLATES = Path(nipo_auth_mw.__file__).parent / "templates"
TYPED = {name for path in TEMPLATES.iterdir() for name in re.findall(r"\btyped\.(\w+)", path.read_text("utf-8"))}
LANGUAGES = ("ja", "en")
EVENTS = tuple(EventType.declared)
# What a page is made of, and what is no page.
FRAMES = {"base.html", "brand.html", "message.mail.html", "message.mail.txt", "staff-password.html"}
PAGES = tuple(sorted(path.name for path in TEMPLATES.iterdir() if path.name[0] != "_" and path.name not in FRAMES))
REFUSALS = tuple(
    Refused(
        code,
        250,
        detail,
        {"email": "{text}", "most": 50, "about": 100, "lasts": timedelta(minutes=5)},
        ("Avoid sequences.",),
    )
    for code, kind in PROBLEMS.items()
    for detail in ("", *kind.details)
    if code != "password_rejected" or detail
)
# Pages for a visitor, where the others have a user.
FOR_VISITORS = {
    "login.html",
    "password_reset-request.html",
    "password_reset.html",
    "session_ended.html",
    "invitations.html",
    "second_step.html",
}


def source(name: str) -> str:
    """The text of a template and of what it extends or includes."""
    text = (TEMPLATES / name).read_text("utf-8")
    parts = re.findall(r'{% (?:extends|include) "([^"]+)" %}', text)
    return text + "".join(source(part) for part in parts if part != "base.html")


def refused_by(name: str) -> tuple[Refused, ...]:
    """The refusals that a page is rendered with: one text of each that it names, and of one that it does not name.

    The page of a problem shows any, so it gets all texts. The notice is the same on every page, so sign-in alone gets
    all texts of those that the notice names.
    """
    if name == "problem.html":
        return REFUSALS
    text = source(name)
    if "problem" not in text:
        return ()
    if name != "login.html":
        text = text.replace(source("_notice.html"), "")
    found = [one for one in REFUSALS if one.code in {"busy", *re.findall(r'"(\w+)"', text)}]
    return tuple(found if name == "login.html" else {one.code: one for one in found}.values())


def config(**settings: Any) -> AuthConfig:
    given = {"secret_key": "a test's key, " * 3, "base_url": "https://reports.example.jp", "site_name": "日報くん"}
    return AuthConfig(**{**given, **settings})


def stored(key: str, agent: str = WINDOWS, *, persistent: bool = True) -> Session:
    return Session(StoredSession(key * 64, "17", "", NOW - 86400, NOW, NOW, persistent, "203.0.113.20", agent))


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
        "here": f"/app/-/auth/login?next={text}",
        "user": user,
        "email": text,
        "next": text,
        "remember": True,
        "problem": None,
        "session": here,
        "sessions": [here, stored("b", text), stored("c", "", persistent=False)],
        "events": events,
        "login_url": "/app/-/auth/login",
        "flash": "",
        "signed_out": False,
        "hint": "",
        "email_hint": False,
        "no_cookie": False,
        "address": "/app/",
        "to": "/app/page",
        "mails": True,
        "sender": "noreply@example.com",
        "lasts": 3600,
        "min_length": 8,
        "temporary": False,
        "must_change": False,
        "typed": Typed(text, dict.fromkeys(TYPED, text)),
        "can_change_email": True,
        "sections": ("account", "staff", "audit"),
        "at_section": "staff",
        **staff(user, text, [here, stored("b", text)]),
        "last": text,
        "self_id": "17",
        "names": {"17": text},
        "given": {"email": text, "q": text, "event": "", "from": "", "to": ""},
        "days": [(text, [Row(event, "04:59:03", text, text) for event in events])],
        "found_people": [text, text],
        "more_people": True,
        "groups": [(group, EVENTS) for group in EventGroup],
        "shortcuts": [("today", "2026-11-26", "2026-11-26", True)],
        "count": 200,
        "many": True,
        "has_usage": True,
        "with_times": True,
        "people": [
            usage.Row(usage.Person("17", Account("17", text, None, True, text, "staff"), {}), ["9:05–18:05", ""]),
            usage.Row(usage.Person(text, None, {}), ["", text]),
        ],
        "person": Person(
            replace(user, id="18"), text, True, True, Invitation(NOW), False, "0" * 64, security(text), None, True
        ),
        "refused": [(text, "email_taken"), (text, "")],
        "corrected": text,
        "in_columns": ["name", "email"],
        "fit": [[text, text]],
        "ignored": [text, text],
        "made": 3,
        "disabled": [user],
        "shown": [Slip(user, password=text)],
        "most": 50,
        "role": "staff",
        "roles": ("admin", "staff"),
        "name": text,
        "can_name": True,
        "invite": False,
        "created": False,
        "slips": [Slip(user, password=text), Slip(user, link=text, until=datetime.fromtimestamp(NOW, UTC)), Slip(user)],
        "change": EmailChange("k", "17", text, text, NOW, NOW),
        "first": "/app/-/auth/account/confirm",
        "advice": [],
        "topics": [("refused", text, [("paragraph", [text]), ("list", [text, text])])],
        "admin_topics": [("admin_lost", text, [("paragraph", [text])])],
        "ask": text,
        "ended": "",
        "asks_for_current": True,
        "has_two_step": True,
        **two_steps(text),
        "has_mailbox": True,
        "pending": Pending(text, datetime.fromtimestamp(NOW, UTC)),
    }


def two_steps(text: str) -> dict[str, Any]:
    """What the pages of two steps get."""
    moment = datetime.fromtimestamp(NOW, UTC)
    app = Proof("app:17", "app", "", moment, moment)
    passkey = Proof("passkey:0", "passkey", text, moment, None)
    return {
        "found": TwoSteps(moment, False, app, [passkey], 2),
        "factor": passkey,
        "proofs": [app, passkey],
        "kinds": ("app", "passkey", "code"),
        "backup": False,
        "key": "ABCD EFGH",
        "uri": "otpauth://totp/x?secret=ABCDEFGH",
        "setup": "sealed",
        "passkey": {"challenge": text, "rpId": "localhost"},
        "unknown": text,
        "signals": {"all": {"rpId": text}, "user": {}},
        "replace": False,
        "codes": ["abcd-efgh-jkmnp"],
        "left": 3,
        "file": text,
        "file_name": "codes.txt",
    }


def security(text: str) -> Security:
    """Two steps that are on, with an app and a passkey."""
    then = datetime.fromtimestamp(NOW, UTC)
    return Security(then, [ShownFactor("app", "", then, then), ShownFactor("passkey", text, None, None)], 8)


def staff(user: User, text: str, sessions: list[Session]) -> dict[str, Any]:
    """What the staff pages get: the list, a row that was changed, and its undoing."""
    used = datetime.fromtimestamp(NOW, UTC)
    row = staff_list.Row(
        replace(user, id="18"),
        text,
        used,
        sessions,
        temporary=True,
        locked=True,
        invitation=Invitation(NOW),
        two_step=True,
    )
    never = staff_list.Row(
        replace(user, id="19", active=False, name=""), "", None, [], temporary=False, locked=False, invitation=None
    )
    rows = [row, row._replace(user=user), never]
    return {
        "rows": rows,
        "row": row,
        "listing": Listing(rows, 50, 103, "", "100"),
        "place": {"q": text, "show": text, "sort": text, "from": "person", "after": text},
        "after": text,
        "filters": list(FILTERS),
        "two_step": True,
        "columns": {str(one): (f"-{one}", "ascending" if one == StaffSort.NAME else "") for one in StaffSort},
        "changed": row,
        "deleted": user,
        "only_admin": True,
        "toggled": True,
        "role_before": text,
        "chosen": "admin",
    }


@pytest.fixture(scope="session")
def pages() -> Renderer:
    return Renderer(config())


def problem_of(pages: Renderer, language: str, refused: Refused, text: str = "") -> Problem:
    given = {"email": text, "most": 50, "about": text, "min_length": 8, "max_length": 128, "address": text}
    given |= {"lasts": timedelta(minutes=5), "ask": text, "mount": text}
    name = text_of(refused.code, refused.detail)
    return pages.problem(language, refused.code, name, retry_after=refused.retry_after, **given)


def every_page(pages: Renderer, language: str, text: str = "hanako@example.jp") -> Iterator[tuple[str, str]]:
    """Every page in every state, as (what it is, HTML)."""
    common = values(text)

    def page(name: str, **changed: Any) -> str:
        visitor = {"user": None, "sections": ()} if name in FOR_VISITORS and "user" not in changed else {}
        return pages.render(name, language, **{**common, **visitor, **changed})

    for name in PAGES:
        # A page about a refusal has no other state.
        if "problem.title }}{% endblock" not in source(name):
            yield name, page(name)
        for refused in refused_by(name) if name != "requirement.html" else ():
            yield f"{name} {refused}", page(name, problem=problem_of(pages, language, refused, text), advice=[text])
    yield "login.html flash", page("login.html", flash=pages.flash(language, "password_reset"))
    yield "login.html signed out", page("login.html", signed_out=True)
    yield "login.html no cookie", page("login.html", no_cookie=True, address="")
    yield "login.html no cookie here", page("login.html", no_cookie=True)
    yield "login.html hint", page("login.html", hint="hint.had_full_width", email_hint=True)
    yield "password_reset-request.html no mailer", page("password_reset-request.html", mails=False)
    yield "password_reset-sent.html no sender", page("password_reset-sent.html", sender="")
    yield "logout.html visitor", page("logout.html", user=None)
    yield "password_change.html temporary", page("password_change.html", temporary=True)
    yield "password_change.html just signed in", page("password_change.html", temporary=True, asks_for_current=False)
    for word in WORDS:
        yield f"login.html ended {word}", page("login.html", ended=word)
    for requirement in (REAUTHENTICATION, *REQUIREMENTS):
        problem = pages.problem(language, requirement.code)
        yield f"requirement.html {requirement.code}", page("requirement.html", problem=problem)
    yield "staff.html searched in vain", page("staff.html", rows=[], changed=None, deleted=None, only_admin=False)
    yield "staff.html filtered in vain", page("staff.html", rows=[], place={"q": "", "show": "locked", "sort": ""})
    yield "staff.html left", page("staff.html", rows=[])
    plain = Listing([], None, None, "", text)
    yield "staff.html plain", page("staff.html", filters=[], columns={}, listing=plain, changed=None, two_step=False)
    nothing = common["person"]._replace(security=Security())
    yield "staff-security.html nothing", page("staff-security.html", person=nothing)
    yield "staff-role.html choice", page("staff-role.html", chosen="")
    yield "staff-person.html oneself", page("staff-person.html", self_id="18", toggled=False, role_before="")
    moment = datetime.fromtimestamp(NOW, UTC)
    for name, found in {
        "off": TwoSteps(None, False, None, [], 0),
        "required": TwoSteps(None, True, None, [], 0),
        "required and on": TwoSteps(moment, True, Proof("app:17", "app", "", moment, None), [], 0),
        "codes of an older key": TwoSteps(moment, False, Proof("app:17", "app", "", moment, None), [], 9, "soon"),
        "codes of a lost key": TwoSteps(moment, False, Proof("app:17", "app", "", moment, None), [], 0, "ended"),
        "passkeys alone": TwoSteps(None, False, None, [Proof("passkey:0", "passkey", text, moment, None)], 0),
    }.items():
        yield f"two_step.html {name}", page("two_step.html", found=found)
        yield f"two_step-switch.html {name}", page("two_step-switch.html", found=found)
        yield f"two_step-switch.html {name} proved", page("two_step-switch.html", found=found, passkey=None)
    yield "two_step-app.html another phone", page("two_step-app.html", replace=True)
    yield "two_step-codes.html none yet", page("two_step-codes.html", codes=None, left=0)
    yield "two_step-codes.html new ones", page("two_step-codes.html", codes=None)
    yield "second_step.html backup", page("second_step.html", kinds=("code",))
    yield "second_step.html nothing", page("second_step.html", kinds=())
    yield "reauthenticate.html one step", page("reauthenticate.html", kinds=())
    yield "account.html empty", page("account.html", sessions=[], events=[])
