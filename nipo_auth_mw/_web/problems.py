"""The table of refusals: each code with its status and its texts. The docs' table is generated from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from nipo_auth_mw._flows.reauthenticate import REAUTHENTICATION
from nipo_auth_mw._flows.staff_rejections import PAGE_REASONS
from nipo_auth_mw._web.requirements import REQUIREMENTS


class Kind(NamedTuple):
    """The status of a code. If a code has several texts, `details` gives the further ones and their status."""

    status: int
    details: Mapping[str, int]


def _kind(status: int, *details: str, **others: int) -> Kind:
    """The kind with this status; `details` share it, and `others` have their own."""
    return Kind(status, dict.fromkeys(details, status) | others)


PROBLEMS: dict[str, Kind] = {
    "bad_request": _kind(400),
    "wrong_host": _kind(400),
    "invalid_credentials": _kind(401, "last_try", "lock_begun"),
    "invalid_code": _kind(
        401,
        "form",
        "backup",
        "last_try",
        "lock_begun",
        **dict.fromkeys(("own", "own_form", "own_backup", "own_last_try", "own_lock_begun"), 403),
        **dict.fromkeys(("setup", "setup_form", "setup_expired"), 422),
    ),
    "sign_in_required": _kind(401, "form"),
    "passkey_rejected": _kind(401, own=403, new=422),
    "account_disabled": _kind(403),
    "cross_site": _kind(403, "address"),
    "not_allowed": _kind(403),
    "not_oneself": _kind(403),
    "wrong_password": _kind(403, "last_try", "lock_begun"),
    **{requirement.code: _kind(403) for requirement in (REAUTHENTICATION, *REQUIREMENTS)},
    "second_step_required": _kind(403, "role", "passkey"),
    "mail_unavailable": _kind(404),
    "mount_passed_on": _kind(404),
    "no_such_account": _kind(404),
    "no_such_factor": _kind(404),
    "no_such_session": _kind(404),
    "not_found": _kind(404),
    "not_supported": _kind(404),
    "method_not_allowed": _kind(405),
    "account_changed": _kind(409),
    "cannot_invite": _kind(409, "disabled"),
    "factor_exists": _kind(409),
    "factor_needed": _kind(409),
    "last_admin": _kind(409),
    "last_factor": _kind(409),
    "too_many_factors": _kind(409),
    "challenge_expired": _kind(410, "new"),
    "link_expired": _kind(410, "email", "invitation"),
    "second_expired": _kind(410, "signed_in"),
    "too_large": _kind(413, "file"),
    "unsupported_media_type": _kind(415),
    "bad_filter": _kind(422),
    "broken_row": _kind(422),
    "email_rejected": _kind(422, "no_mailbox", "needs_mailbox"),
    "email_taken": _kind(422, back=409),
    "email_twice": _kind(422),
    "email_unchanged": _kind(422),
    "file_rejected": _kind(422, *PAGE_REASONS),
    "name_needed": _kind(422),
    "no_lines": _kind(422),
    "passkey_known": _kind(422),
    "password_rejected": _kind(422, "too_short", "too_long", "guessable", "not_text", "unchanged"),
    "too_many_lines": _kind(422),
    "unknown_language": _kind(422),
    "unknown_role": _kind(422),
    "locked": _kind(429, "for_good", "own_password", "second", "second_own", "second_for_good"),
    "too_many_attempts": _kind(429),
    "too_many_mails": _kind(429, "changes"),
    "busy": _kind(503),
    "unavailable": _kind(503),
}


HELP: dict[str, str] = {
    "account_changed": "admin_new",
    "account_disabled": "disabled",
    "bad_filter": "admin_audit",
    "broken_row": "admin_import",
    "cannot_invite": "admin_password",
    "challenge_expired": "passkey_fails",
    "email_rejected_needs_mailbox": "address",
    "email_rejected_no_mailbox": "forgotten",
    "email_twice": "admin_import",
    "factor_exists": "second_phone",
    "file_rejected": "admin_import",
    "invalid_code": "second_code",
    "invalid_credentials": "refused",
    "last_admin": "admin_only",
    "link_expired": "forgotten",
    "link_expired_email": "address",
    "link_expired_invitation": "",
    "locked": "refused",
    "locked_second": "second_code",
    "locked_second_for_good": "second_code",
    "locked_second_own": "second_code",
    "mail_unavailable": "forgotten",
    "no_lines": "admin_import",
    "not_oneself": "admin_only",
    "passkey_rejected": "passkey_fails",
    "password_rejected": "password",
    "sign_in_required": "again",
    "too_large_file": "admin_import",
    "too_many_attempts": "refused",
    "too_many_lines": "admin_import",
    "too_many_mails": "mail",
    "too_many_mails_changes": "",
    "wrong_password": "refused",
}
"""The help topic of a text, else of its code. Any other refusal says itself all that its reader can do."""


def topic_of(code: str, detail: str = "") -> str:
    """The help topic that a refusal links to, "" for none."""
    return HELP.get(text_of(code, detail), HELP.get(code, ""))


def status_of(code: str, detail: str = "") -> int:
    """The status of a refusal."""
    kind = PROBLEMS[code]
    return kind.details[detail] if detail else kind.status


def text_of(code: str, detail: str = "") -> str:
    """The name of a refusal's text in the catalogues.

    A code has several texts if its meaning depends on the page: `locked_own_password` is a lock at re-authentication.
    """
    return f"{code}_{detail}" if detail else code
