"""The values of the outbox and the mailers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class QueuedMail:
    """One mail in the outbox: what to tell and whom, never a text, a token or a link. Those are made at the sending.

    `state` is `asked` (a visitor's request for an address, before anything was looked up: `user_id` is "" and `to` the
    address), `waiting` (a mail to `to` about the account `user_id`) or `failed` (given up, for the reason `reason`).
    `realm` is that of the middleware, and `facts` are what the text needs, such as the client's language. The mail is
    not tried for `due_in` seconds, and by no other process for `claimed_for` seconds, both counted by the store from
    the moment at which it writes or reads the row. `tries` counts the claims. `queued_at` is in seconds since 1970
    (UTC).
    """

    key: str
    realm: str
    state: str
    kind: str
    user_id: str
    to: str
    facts: Mapping[str, str | int] = field(repr=False, hash=False)
    queued_at: float
    due_in: float
    claimed_for: float = 0.0
    tries: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A mail to one address. Its texts contain links with secrets, so the `repr` omits them."""

    to: str
    subject: str
    text: str = field(repr=False)
    html: str | None = field(default=None, repr=False)
