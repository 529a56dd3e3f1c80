"""Expected outcomes as values: what a flow returns if it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nipo_auth_mw._credentials.hash_pool import Busy
from nipo_auth_mw._mail.addresses import NEEDS_MAILBOX
from nipo_auth_mw.errors import AccountError, EmailRejected, PasswordRejected


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal. `code` is stable: JSON answers carry it, and `_web.problems.PROBLEMS` has its status.

    `detail` names one of the texts of a code that has several. `retry_after` is in whole seconds, None if waiting does
    not help. `values` fill the placeholders of the text. `advice` says how to choose a better password.
    """

    code: str
    retry_after: int | None = None
    detail: str = ""
    values: Mapping[str, object] = field(default_factory=dict)
    advice: tuple[str, ...] = ()


SIGN_IN_REQUIRED = "sign_in_required"
BUSY = Refused("busy", retry_after=1)
SESSION_ENDED = Refused(SIGN_IN_REQUIRED, detail="form")
"""The session ended while the user filled in a form."""

TOO_MANY_CHANGES = Refused("too_many_mails", retry_after=3600, detail="changes")
"""A change that its owner would have to be told of by one mail too many, so it is not made."""


def refusal(error: AccountError | Busy) -> Refused:
    """The refusal for an account error, or for a hash pool without a free slot."""
    if isinstance(error, Busy):
        return BUSY
    if isinstance(error, PasswordRejected):
        return Refused(error.code, detail=error.reason, advice=error.advice)
    if isinstance(error, EmailRejected) and error.reason == NEEDS_MAILBOX:
        return Refused(error.code, detail=error.reason)
    return Refused(error.code)
