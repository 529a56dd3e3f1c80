"""The keyed digests of rows and seals, and what each seal is chained to."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import replace

from nipo_auth_mw._credentials.tokens import KeyedDigests
from nipo_auth_mw.models import Event, Seal


class Digests:
    """Makes and checks the digests of rows and seals. `rows` and `chains` each have keys of their own."""

    def __init__(self, rows: KeyedDigests, chains: KeyedDigests) -> None:
        self._rows = rows
        self._chains = chains

    def signed(self, event: Event) -> Event:
        """The event with its digest. The digest begins with random characters, so no two rows have the same."""
        salt = secrets.token_hex(4)
        return replace(event, digest=salt + self._rows.digest(salt, *_facts(event))[:32])

    def key_of(self, event: Event) -> int | None:
        """The number of the key that the row was written with; None for another key, or a changed row."""
        salt, mac = event.digest[:8], event.digest[8:]
        return self._rows.key_of(mac, salt, *_facts(event)) if len(mac) == 32 else None

    def fits(self, event: Event) -> bool:
        """Whether the row was written with one of the secret keys and has not changed since."""
        return self.key_of(event) is not None

    def verifies(self, seal: Seal, chain: Chain) -> bool:
        """Whether one of the keys made this seal, on the row before it or on the last seal that verifies."""
        if seal.proof and not chain.number:
            return self._chains.matches(seal.proof, "removed", seal.number, seal.last, seal.chain)
        try:
            return any(self._chains.matches(seal.chain, *_sealed_facts(seal, one)) for one in chain.candidates)
        except (TypeError, ValueError, OverflowError):
            # SQLite keeps any value in any column.
            return False

    def why(self, seal: Seal) -> str:
        """The kind of finding for a seal that does not verify: it may be intact if its key is gone."""
        return "seal_changed" if seal.key in self._chains.names else "unknown_key"

    def proof(self, seal: Seal) -> str:
        """The digest that shows that this package removed all rows up to this seal."""
        return self._chains.digest("removed", seal.number, seal.last, seal.chain)

    def made(self, number: int, last: Seal | None, entries: tuple[tuple[int, str], ...], key: int) -> Seal:
        """The seal with this number that follows `last` and covers these rows, under the key with the number `key`."""
        highest = max(last.last if last else 0, entries[-1][0])
        seal = Seal(number, round(time.time(), 3), self._chains.names[key], highest, entries, chain="")
        chain = self._chains.digest(*_sealed_facts(seal, last.chain if last else ""), key=key)
        return replace(seal, chain=chain)


class Chain:
    """What the next seal may be chained to: the row before it, or the last seal that verifies.

    The two differ behind a seal that an attacker changed or inserted.
    """

    def __init__(self) -> None:
        self.number = 0
        self.candidates: tuple[str, ...] = ("",)

    @classmethod
    def after(cls, seal: Seal | None) -> Chain:
        """What may follow this seal."""
        chains = cls()
        if seal is not None:
            chains.accept(seal, True)
        return chains

    def accept(self, seal: Seal, verifies: bool) -> bool:
        """Take the next row. Returns whether it verifies."""
        self.candidates = (seal.chain,) if verifies else (seal.chain, self.candidates[-1])
        self.number = seal.number
        return verifies


def _facts(event: Event) -> tuple[object, ...]:
    """Everything in a row, in a form that is the same before writing it and after reading it from any database."""
    user_id = None if event.user_id is None else str(event.user_id)
    details = json.dumps(dict(event.details), sort_keys=True)
    moment = round(event.time.timestamp() * 1_000_000)
    texts = (event.event, event.email, event.session, event.client_address, event.user_agent, event.actor)
    return moment, user_id, *(str(text) for text in texts), details


def _sealed_facts(seal: Seal, chain_before: str) -> tuple[object, ...]:
    """Everything that the chain of a seal covers."""
    return seal.number, round(seal.made_at * 1000), seal.last, seal.entries, chain_before
