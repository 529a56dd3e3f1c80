"""The values of the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the audit log (ASVS 5 16.2.1). `time` is an aware datetime in UTC.

    `email` is the typed address, escaped and cut at 254 characters; it is masked when no account has it, since users
    type passwords into the wrong field. `session` is a `public_id`. `actor` names the one who acted on another's
    account: the id of an administrator, or `cli`, `script`, `sweep`, `outbox`. The audit log computes `digest` at the
    write (see `_audit.seals`); the store sets `position` at the read, as the start of the next page.
    """

    time: datetime
    event: str
    user_id: str | None = None
    email: str = ""
    session: str = ""
    client_address: str = ""
    user_agent: str = ""
    actor: str = ""
    details: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    digest: str = field(default="", repr=False, compare=False)
    position: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Seal:
    """The seal over one batch of the audit log: `entries` are pairs of a row's number and its digest.

    `chain` is a keyed digest of the other fields and of the previous seal's `chain`; `key` identifies the key, `last`
    is the highest row number sealed so far, `made_at` is in seconds since 1970 (UTC). An anchor is a seal whose rows
    have left the log at the end of the retention time: it has no entries, and a `proof` that this package removed them.
    """

    number: int
    made_at: float
    key: str
    last: int
    entries: tuple[tuple[int, str], ...] = field(repr=False)
    chain: str
    proof: str = ""
