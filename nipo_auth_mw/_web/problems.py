"""The table of refusals: each code with its status, its texts and its help topic. The docs' table is generated from
it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from nipo_auth_mw._flows.reauthenticate import REAUTHENTICATION
from nipo_auth_mw._flows.staff_rejections import PAGE_REASONS
from nipo_auth_mw._web.requirements import REQUIREMENTS


class Kind(NamedTuple):
    """The status of a code, and the topic of the help page that its page links to, "" if the refusal says itself all
    that its reader can do.

    If a code has several texts, `details` gives the further ones and their status, and `topics` their topic if that is
    another.
    """

    status: int
    details: Mapping[str, int]
    topic: str = ""
    topics: Mapping[str, str] = MappingProxyType({})


def _kind(
    status: int,
    *details: str,
    others: Mapping[str, int] = MappingProxyType({}),
    topic: str = "",
    topics: Mapping[str, str] = MappingProxyType({}),
) -> Kind:
    """The kind with this status; `details` share it, and `others` have their own."""
    return Kind(status, dict.fromkeys(details, status) | dict(others), topic, topics)


PROBLEMS: dict[str, Kind] = {
    "bad_request": _kind(400),
    "wrong_host": _kind(400),
    "invalid_credentials": _kind(401, "last_try", "last_try_for_good", "lock_begun", "lock_for_good", topic="refused"),
    "invalid_code": _kind(
        401,
        "form",
        "backup",
        "last_try",
        "last_try_for_good",
        "lock_begun",
        "lock_for_good",
        others=dict.fromkeys(("own", "own_form", "own_backup", "own_last_try", "own_last_try_for_good"), 403)
        | dict.fromkeys(("own_lock_begun", "own_lock_for_good"), 403)
        | dict.fromkeys(("setup", "setup_form", "setup_expired"), 422),
        topic="second_code",
    ),
    "sign_in_required": _kind(401, "form", topic="again"),
    "passkey_rejected": _kind(401, others={"own": 403, "new": 422}, topic="passkey_fails"),
    "account_disabled": _kind(403, topic="disabled"),
    "cross_site": _kind(403, "address"),
    "not_allowed": _kind(403),
    "not_oneself": _kind(403, topic="admin_only"),
    "wrong_password": _kind(403, "last_try", "last_try_for_good", "lock_begun", "lock_for_good", topic="refused"),
    **{requirement.code: _kind(403) for requirement in (REAUTHENTICATION, *REQUIREMENTS)},
    "second_step_required": _kind(403, "role", "passkey", "page", "confirm"),
    "mail_unavailable": _kind(404, topic="forgotten"),
    "mount_passed_on": _kind(404),
    "no_such_account": _kind(404),
    "no_such_factor": _kind(404),
    "no_such_session": _kind(404),
    "not_found": _kind(404),
    "not_supported": _kind(404),
    "method_not_allowed": _kind(405),
    "account_changed": _kind(409, topic="admin_new"),
    "cannot_invite": _kind(409, "disabled", topic="admin_password"),
    "factor_exists": _kind(409, topic="second_phone"),
    "factor_needed": _kind(409),
    "last_admin": _kind(409, topic="admin_only"),
    "last_factor": _kind(409),
    "too_many_factors": _kind(409),
    "challenge_expired": _kind(410, "new", topic="passkey_fails"),
    "link_expired": _kind(410, "email", "invitation", topic="forgotten", topics={"email": "address", "invitation": ""}),
    "second_expired": _kind(410, "signed_in"),
    "too_large": _kind(413, "file", topics={"file": "admin_import"}),
    "unsupported_media_type": _kind(415),
    "bad_filter": _kind(422, topic="admin_audit"),
    "broken_row": _kind(422, topic="admin_import"),
    "email_rejected": _kind(
        422, "no_mailbox", "needs_mailbox", topics={"no_mailbox": "forgotten", "needs_mailbox": "address"}
    ),
    "email_taken": _kind(422, others={"back": 409}),
    "email_twice": _kind(422, topic="admin_import"),
    "email_unchanged": _kind(422),
    "file_rejected": _kind(422, *PAGE_REASONS, topic="admin_import"),
    "name_needed": _kind(422),
    "no_lines": _kind(422, topic="admin_import"),
    "passkey_known": _kind(422),
    "password_rejected": _kind(422, "too_short", "too_long", "guessable", "not_text", "unchanged", topic="password"),
    "too_many_lines": _kind(422, topic="admin_import"),
    "unknown_language": _kind(422),
    "unknown_role": _kind(422),
    "locked": _kind(
        429,
        "for_good",
        "own_password",
        "second",
        "second_own",
        "second_for_good",
        topic="refused",
        topics=dict.fromkeys(("second", "second_own", "second_for_good"), "second_code"),
    ),
    "too_many_attempts": _kind(429, "unlocks", topic="refused", topics={"unlocks": ""}),
    "too_many_mails": _kind(429, "changes", topic="mail", topics={"changes": ""}),
    "busy": _kind(503),
    "unavailable": _kind(503),
}


def topic_of(code: str, detail: str = "") -> str:
    """The help topic that a refusal links to, "" for none."""
    kind = PROBLEMS[code]
    return kind.topics.get(detail, kind.topic)


def status_of(code: str, detail: str = "") -> int:
    """The status of a refusal."""
    kind = PROBLEMS[code]
    return kind.details[detail] if detail else kind.status


def text_of(code: str, detail: str = "") -> str:
    """The name of a refusal's text in the catalogues.

    A code has several texts if its meaning depends on the page: `locked_own_password` is a lock at re-authentication.
    """
    return f"{code}_{detail}" if detail else code
