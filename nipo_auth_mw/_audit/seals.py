"""Evidence that the audit log was not tampered with: a keyed digest in each row, and seals over batches of rows.

The digest covers everything in the row and is made before the row is written. So an attacker who can write to the table
cannot forge a row without the secret key. Within a minute, a background job writes the numbers and digests of the new
rows into a seal, and chains each seal to the one before. From then on, a verification reports every row that was
removed, changed or inserted. If an attacker cuts off the last rows together with their seals, only an *anchor* shows
it: the number and chain of a seal, which the administrator has stored elsewhere. ASVS 5 16.4.2. The model is Schneier
and Kelsey, "Secure Audit Logs to Support Computer Forensics" (1999), with one key for all rows, because the server
itself must be able to verify them.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from nipo_auth_mw._credentials.tokens import KeyedDigests
from nipo_auth_mw.models import Event, Seal
from nipo_auth_mw.protocols import SealableLog

_BATCH = 1000
_LATE = 1000
"""Rows. A transaction that ends late may add a row with a number this far below the highest sealed one."""


@dataclass(slots=True)
class Verdict:
    """The result of a verification.

    `rows` counts all rows, and `unsealed` those that no seal covers yet. `anchor` is for the administrator to store
    elsewhere. `wrong` lists the findings as (kind, number), findings about seals first, then by number. The kinds are
    `changed`, `removed` and `slipped_in` with a row's number; `seal_changed`, `seal_removed`, `unknown_key` and
    `anchor` with a seal's number.
    """

    rows: int = 0
    unsealed: int = 0
    anchor: str = ""
    wrong: list[tuple[str, int]] = field(default_factory=list)


class Seals:
    """Makes and verifies digests and seals. `rows` and `chains` each have a key of their own.

    Does nothing if `log` cannot store seals. Methods that read or write the log raise `StoreUnavailable`.
    """

    def __init__(self, log: object, rows: KeyedDigests, chains: KeyedDigests, retention: timedelta) -> None:
        self._log = log if isinstance(log, SealableLog) else None
        self._rows = rows
        self._chains = chains
        self._retention = retention.total_seconds()

    @property
    def possible(self) -> bool:
        """Whether the log can store seals."""
        return self._log is not None

    def signed(self, event: Event) -> Event:
        """The event with its digest. The digest begins with random characters, so no two rows have the same."""
        salt = secrets.token_hex(4)
        return replace(event, digest=salt + self._rows.digest(salt, *_facts(event))[:32])

    def seal(self) -> int:
        """Seal the rows that no seal covers yet. Returns how many. If several processes try, one of them succeeds."""
        if self._log is None:
            return 0
        sealed = 0
        while True:
            last = self._log.last_seal()
            # A forged row never gets a seal, so every verification reports it.
            good = tuple((number, event.digest) for number, event in self._without_seal(last) if self.fits(event))
            if not good or not self._log.add_seal(self._made(last, good)):
                return sealed
            sealed += len(good)

    def unsealed(self, *, before: float) -> list[Event]:
        """Authentic rows from before this time that no seal covers yet; about the first thousand."""
        if self._log is None:
            return []
        rows = self._without_seal(self._log.last_seal())
        return [event for _, event in rows if event.time.timestamp() < before and self.fits(event)]

    def remove_old(self) -> None:
        """Remove the batches that were sealed longer ago than the retention, and leave a proof of the removal."""
        if self._log is None:
            return
        before, newest = time.time() - self._retention, None
        for seal in self._all():
            if seal.made_at >= before:
                break
            newest = seal
        if newest is not None and not newest.proof:
            self._log.remove_sealed(replace(newest, entries=(), proof=self._proof(newest)))

    def verify(self, anchor: str = "") -> Verdict:
        """Compare every row with its seal, and every seal with the one before it.

        `anchor` comes from the verdict of an earlier verification.
        """
        verdict = Verdict()
        if self._log is None:
            return verdict
        sealed = self._verify_seals(verdict, anchor)
        seen: set[str] = set()
        copies = set(sealed.values())
        for number, event in self._numbered():
            verdict.rows += 1
            expected = sealed.pop(number, None)
            verdict.unsealed += expected is None
            if expected is None and (not self.fits(event) or event.digest in copies):
                verdict.wrong.append(("slipped_in", number))
            elif expected is not None and (event.digest != expected or not self.fits(event)):
                verdict.wrong.append(("changed", number))
            elif event.digest in seen:
                verdict.wrong.append(("slipped_in", number))
            else:
                seen.add(event.digest)
        verdict.wrong += [("removed", number) for number in sealed]
        # Findings about seals come first: a broken seal proves nothing about its rows.
        verdict.wrong.sort(key=lambda one: (one[0] in _ABOUT_ROWS, one[1]))
        return verdict

    def _verify_seals(self, verdict: Verdict, anchor: str) -> dict[int, str]:
        """The digests of all sealed rows by number. Adds findings about the seals themselves to the verdict."""
        sealed: dict[int, str] = {}
        chain, number = "", 0
        wanted, _, wanted_chain = anchor.partition(":")
        met = not anchor
        for seal in self._all():
            if seal.proof and not number:
                if not self._chains.matches(seal.proof, "removed", seal.number, seal.last, seal.chain):
                    verdict.wrong.append((self._why(seal), seal.number))
            else:
                if seal.number != number + 1:
                    verdict.wrong.append(("seal_removed", number + 1))
                if not self._chains.matches(seal.chain, *_sealed_facts(seal, chain)):
                    verdict.wrong.append((self._why(seal), seal.number))
                sealed.update(seal.entries)
            met = met or (str(seal.number) == wanted and seal.chain == wanted_chain)
            chain, number = seal.chain, seal.number
        if not met:
            verdict.wrong.append(("anchor", int(wanted) if wanted.isdigit() else 0))
        verdict.anchor = f"{number}:{chain}" if number else ""
        return sealed

    def _why(self, seal: Seal) -> str:
        """The kind of finding for a seal that does not verify: it may be intact if its key is gone."""
        return "seal_changed" if seal.key in self._chains.names else "unknown_key"

    def _made(self, last: Seal | None, entries: tuple[tuple[int, str], ...]) -> Seal:
        """The seal that follows `last` and covers these rows."""
        highest = max(last.last if last else 0, entries[-1][0])
        number, now = (last.number if last else 0) + 1, round(time.time(), 3)
        seal = Seal(number, now, self._chains.names[0], highest, entries, chain="")
        return replace(seal, chain=self._chains.digest(*_sealed_facts(seal, last.chain if last else "")))

    def _proof(self, seal: Seal) -> str:
        """The digest that shows that this package removed all rows up to this seal."""
        return self._chains.digest("removed", seal.number, seal.last, seal.chain)

    def _without_seal(self, last: Seal | None) -> list[tuple[int, Event]]:
        """The rows after `last`, and those a little below it, that no seal covers."""
        if self._log is None:
            return []
        start = max(0, last.last - _LATE) if last else 0
        named = {number for seal in self._all(above=start) for number, _ in seal.entries}
        return [row for row in self._log.numbered_events(start, limit=_LATE + _BATCH) if row[0] not in named]

    def fits(self, event: Event) -> bool:
        """Whether the row was written with one of the secret keys and has not changed since."""
        salt, mac = event.digest[:8], event.digest[8:]
        return len(mac) == 32 and self._rows.begins(mac, salt, *_facts(event))

    def _all(self, *, above: int = -1) -> Iterator[Seal]:
        """All seals that cover a row above `above`, in their order, read in pages."""
        if self._log is None:
            return
        after = 0
        while page := self._log.seals(above=above, after=after, limit=20):
            yield from page
            after = page[-1].number

    def _numbered(self) -> Iterator[tuple[int, Event]]:
        """All rows with their numbers, in their order, read in batches."""
        if self._log is None:
            return
        # From below the first number that the log assigns: an attacker may have inserted a row there.
        after = -(2**62)
        while page := self._log.numbered_events(after, limit=_BATCH):
            yield from page
            after = page[-1][0]


_ABOUT_ROWS = frozenset({"changed", "removed", "slipped_in"})


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
