"""What shows that the history was not tampered with: a keyed digest in each row, and seals on batches of them.

The digest is made before the row is written and covers all that is in it, so whoever can write to the table but has
not the secret can forge no row. Within a minute, and out of the requests' way, the new rows' numbers and digests go
into a seal, each chained to the one before: from then on no row can be removed, exchanged or slipped in unnoticed. Rows
cut from the end together with their seals show only against an *anchor*, the number and chain of a seal that was
written down elsewhere. ASVS 5 16.4.2; the model is Schneier and Kelsey, "Secure Audit Logs to Support Computer
Forensics" (1999), with one key for all rows, since the server itself must be able to verify.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from nipo_auth_mw.models import Event, Seal
from nipo_auth_mw.parts.signing import Keyed
from nipo_auth_mw.protocols import SealableLog

_BATCH = 1000
_LATE = 1000
"""How far behind the highest sealed row a transaction may still end."""


@dataclass(slots=True)
class Verdict:
    """What a verification found. `wrong` are pairs of a word and the number it is about, the lowest row first:
    `changed`, `removed`, `slipped_in` (rows), `seal_changed`, `seal_removed`, `unknown_key` (seals), `anchor`.
    `unsealed` counts rows that no seal names yet, `anchor` is to be kept elsewhere."""

    rows: int = 0
    unsealed: int = 0
    anchor: str = ""
    wrong: list[tuple[str, int]] = field(default_factory=list)


class Seals:
    """`rows` and `chains` have keys of their own."""

    def __init__(self, log: object, rows: Keyed, chains: Keyed, kept: timedelta) -> None:
        self._log = log if isinstance(log, SealableLog) else None
        self._rows = rows
        self._chains = chains
        self._kept = kept.total_seconds()

    @property
    def possible(self) -> bool:
        """Whether the log keeps seals at all."""
        return self._log is not None

    def signed(self, event: Event) -> Event:
        """The event with its digest. It begins with random characters, so that no two rows have the same."""
        salt = secrets.token_hex(4)
        return replace(event, digest=salt + self._rows.digest(salt, *_facts(event))[:32])

    def seal(self) -> int:
        """Seal the rows that no seal names yet; returns how many. Of several processes one does it."""
        if self._log is None:
            return 0
        sealed = 0
        while True:
            last = self._log.last_seal()
            # A row that is not ours stays without a seal, and is named by every verification.
            good = tuple((number, event.digest) for number, event in self._without_seal(last) if self.fits(event))
            if not good or not self._log.add_seal(self._made(last, good)):
                return sealed
            sealed += len(good)

    def unsealed(self, *, before: float) -> list[Event]:
        """Rows of ours that no seal names yet and that happened before this time; the first thousand or so."""
        if self._log is None:
            return []
        rows = self._without_seal(self._log.last_seal())
        return [event for _, event in rows if event.time.timestamp() < before and self.fits(event)]

    def remove_old(self) -> None:
        """Remove the batches that were sealed longer ago than the history is kept, and leave a proof that it was us."""
        if self._log is None:
            return
        before, newest = time.time() - self._kept, None
        for seal in self._all():
            if seal.made_at >= before:
                break
            newest = seal
        if newest is not None and not newest.proof:
            self._log.remove_sealed(replace(newest, entries=(), proof=self._proof(newest)))

    def verify(self, anchor: str = "") -> Verdict:
        """Compare every row with its seal, and every seal with the one before. `anchor` is one that an earlier
        verification returned."""
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
        # A broken seal is told first: what it says of rows is worth nothing.
        verdict.wrong.sort(key=lambda one: (one[0] in _ABOUT_ROWS, one[1]))
        return verdict

    def _verify_seals(self, verdict: Verdict, anchor: str) -> dict[int, str]:
        """All that the seals name; what is wrong with the seals themselves goes into the verdict."""
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
        return "seal_changed" if seal.key in self._chains.names else "unknown_key"

    def _made(self, last: Seal | None, entries: tuple[tuple[int, str], ...]) -> Seal:
        highest = max(last.last if last else 0, entries[-1][0])
        number, now = (last.number if last else 0) + 1, round(time.time(), 3)
        seal = Seal(number, now, self._chains.names[0], highest, entries, chain="")
        return replace(seal, chain=self._chains.digest(*_sealed_facts(seal, last.chain if last else "")))

    def _proof(self, seal: Seal) -> str:
        return self._chains.digest("removed", seal.number, seal.last, seal.chain)

    def _without_seal(self, last: Seal | None) -> list[tuple[int, Event]]:
        if self._log is None:
            return []
        start = max(0, last.last - _LATE) if last else 0
        named = {number for seal in self._all(above=start) for number, _ in seal.entries}
        return [row for row in self._log.numbered_events(start, limit=_LATE + _BATCH) if row[0] not in named]

    def fits(self, event: Event) -> bool:
        """Whether the row was written with one of our secrets, and is as it was written."""
        salt, mac = event.digest[:8], event.digest[8:]
        return len(mac) == 32 and self._rows.begins(mac, salt, *_facts(event))

    def _all(self, *, above: int = -1) -> Iterator[Seal]:
        if self._log is None:
            return
        after = 0
        while page := self._log.seals(above=above, after=after, limit=20):
            yield from page
            after = page[-1].number

    def _numbered(self) -> Iterator[tuple[int, Event]]:
        if self._log is None:
            return
        # Below every number that the log hands out too: somebody else may have written there.
        after = -(2**62)
        while page := self._log.numbered_events(after, limit=_BATCH):
            yield from page
            after = page[-1][0]


_ABOUT_ROWS = frozenset({"changed", "removed", "slipped_in"})


def _facts(event: Event) -> tuple[object, ...]:
    """All that is in a row, as every database gives it back."""
    user_id = None if event.user_id is None else str(event.user_id)
    details = json.dumps(dict(event.details), sort_keys=True)
    moment = round(event.time.timestamp() * 1_000_000)
    texts = (event.event, event.email, event.session, event.client_address, event.user_agent, event.actor)
    return moment, user_id, *(str(text) for text in texts), details


def _sealed_facts(seal: Seal, chain_before: str) -> tuple[object, ...]:
    return seal.number, round(seal.made_at * 1000), seal.last, seal.entries, chain_before
