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

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from nipo_auth_mw._audit.digests import Chain, Digests
from nipo_auth_mw._capabilities import offers
from nipo_auth_mw._credentials.tokens import KeyedDigests
from nipo_auth_mw.models import Event, Seal
from nipo_auth_mw.protocols import SealableLog

_log = logging.getLogger("nipo_auth_mw")
_BATCH = 1000
_DAY = 86400
_MOST_STEP = 31 * _DAY
"""Seconds. The longest time without an event that counts as such: over a year end, say."""
_BACK = 20
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
        self._log = log if offers(log, SealableLog) else None
        self._digests = Digests(rows, chains)
        self._retention = retention.total_seconds()
        # The last seal that was seen to verify, and the finds that were logged. Both only save work.
        self._good: Seal | None = None
        self._told: set[tuple[str, int]] = set()
        self._began = time.time()

    @property
    def possible(self) -> bool:
        """Whether the log can store seals."""
        return self._log is not None

    def signed(self, event: Event) -> Event:
        """The event with its digest."""
        return self._digests.signed(event)

    def fits(self, event: Event) -> bool:
        """Whether the row was written with one of the secret keys and has not changed since."""
        return self._digests.fits(event)

    def seal(self) -> int:
        """Seal the rows that no seal covers yet. Returns how many. If several processes try, one of them succeeds.

        Rows and seals that an attacker wrote into the tables get no seal, are logged as an error, and stop nothing.
        """
        if self._log is None:
            return 0
        sealed = 0
        while True:
            last = self._last_good()
            good = self._good_rows(last, most=_BATCH)
            if not good or not self._add(last, good):
                return sealed
            sealed += len(good)

    def unsealed(self, *, before: float) -> list[Event]:
        """Authentic rows from before this time that no seal covers yet; about the first thousand."""
        rows = self._good_rows(self._last_good(), most=_BATCH)
        return [event for _, event, _ in rows if event.time.timestamp() < before]

    def remove_old(self) -> None:
        """Remove the batches that were sealed longer ago than the retention, and leave a proof of the removal.

        Removes nothing, with an error in the log, while the clock may have jumped ahead: an hour with a wrong clock
        must not erase years. A clock that runs has made seals on its way, so time passes by a month at a time here.
        """
        if self._log is None:
            return
        newest = self._last_old(time.time())
        if newest is None or newest.proof:
            return
        step = min(_MOST_STEP, self._retention / 2)
        before, after = self._around(time.time() - step)
        if after - before > step:
            days = round((after - before) / _DAY)
            _log.error("the clock went on by %d days at once, so no old row of the audit log is removed", days)
            return
        self._log.remove_sealed(replace(newest, entries=(), proof=self._digests.proof(newest)))

    def _last_old(self, now: float) -> Seal | None:
        """The last of the seals that were made longer ago than the retention. A forged one must have no row removed."""
        newest, chain = None, Chain()
        for seal in self._all():
            # A seal from the future was made while a clock ran ahead. It is as old as its neighbours.
            if now - self._retention <= seal.made_at <= now:
                break
            in_order = seal.number == chain.number + 1 or (seal.proof != "" and not chain.number)
            good = chain.accept(seal, self._digests.verifies(seal, chain))
            if not good and not (in_order and self._digests.why(seal) == "unknown_key"):
                _log.error("seal %d of the audit log does not verify, so no row from it on is removed", seal.number)
                break
            newest = seal if seal.made_at <= now else newest
        return newest

    def _around(self, moment: float) -> tuple[float, float]:
        """When the last seal before this moment was made, and the first after it; 0 and the present for none."""
        last = self._log.last_seal() if self._log else None
        low, high = 0, (last.number if last else 0) + 1
        before, after = 0.0, time.time()
        while high - low > 1:
            middle = (low + high) // 2
            found = self._made_by(time.time(), after=middle - 1)
            if found is None or found.number >= high:
                high = middle
            elif found.made_at < moment:
                low, before = found.number, found.made_at
            else:
                high, after = middle, found.made_at
        return before, after

    def _made_by(self, now: float, *, after: int) -> Seal | None:
        """The first seal after this number that is not from the future: a clock that ran ahead made those."""
        return next((seal for seal in self._all(after=after) if seal.made_at <= now), None)

    def verify(self, anchor: str = "") -> Verdict:
        """Compare every row with its seal, and every seal with the one before it.

        `anchor` comes from the verdict of an earlier verification.
        """
        verdict = Verdict()
        if self._log is None:
            return verdict
        sealed, unreadable = self._verify_seals(verdict, anchor)
        seen: set[str] = set()
        copies = set(sealed.values())
        for number, event in self._numbered():
            verdict.rows += 1
            expected = sealed.pop(number, None)
            verdict.unsealed += expected is None
            fits = self._digests.fits(event)
            if expected is None and (not fits or event.digest in copies):
                verdict.wrong.append(("slipped_in", number))
            elif expected is not None and (event.digest != expected or not (fits or number in unreadable)):
                verdict.wrong.append(("changed", number))
            elif event.digest in seen:
                verdict.wrong.append(("slipped_in", number))
            else:
                seen.add(event.digest)
        verdict.wrong += [("removed", number) for number in sealed]
        # Findings about seals come first: a broken seal proves nothing about its rows.
        verdict.wrong.sort(key=lambda one: (one[0] in _ABOUT_ROWS, one[1]))
        return verdict

    def _verify_seals(self, verdict: Verdict, anchor: str) -> tuple[dict[int, str], set[int]]:
        """The digests of all sealed rows by number, and the rows whose key is not configured any more.

        Adds findings about the seals themselves to the verdict.
        """
        sealed: dict[int, str] = {}
        unreadable: set[int] = set()
        number, wanted, wanted_chain = 0, *anchor.partition(":")[::2]
        met = not anchor
        chains = Chain()
        for seal in self._all():
            if seal.number != number + 1 and not (seal.proof and not number):
                verdict.wrong.append(("seal_removed", number + 1))
            good = chains.accept(seal, self._digests.verifies(seal, chains))
            why = "" if good else self._digests.why(seal)
            if good:
                sealed.update(seal.entries)
            else:
                verdict.wrong.append((why, seal.number))
                unreadable.update(row for row, _ in seal.entries if why == "unknown_key" and row not in sealed)
                sealed = dict(seal.entries) | sealed
            if why != "seal_changed":
                verdict.anchor = f"{seal.number}:{seal.chain}"
            met = met or (str(seal.number) == wanted and seal.chain == wanted_chain)
            number = seal.number
        if not met:
            verdict.wrong.append(("anchor", int(wanted) if wanted.isdigit() else 0))
        return sealed, unreadable

    def _last_good(self) -> Seal | None:
        """The last seal that verifies; the next one is chained to it.

        If no seal verifies, since the key of all of them has left the configuration, the last one of that key in the
        row counts.
        """
        if self._log is None or (last := self._log.last_seal()) is None:
            return None
        before = self._log.seals(after=last.number - 2, limit=1)
        if before and self._digests.verifies(last, Chain.after(before[0] if before[0].number < last.number else None)):
            self._good = last
            return last
        good, foreign = self._known_good(), None
        chains, forged = Chain.after(good), []
        for seal in self._all(after=good.number if good else 0):
            in_order = seal.number == chains.number + 1
            if chains.accept(seal, self._digests.verifies(seal, chains)):
                good = seal
            elif good is None and in_order and self._digests.why(seal) == "unknown_key":
                foreign = seal
            else:
                forged.append(seal.number)
        self._good = good
        self._tell("seal", forged)
        if last.made_at > self._began and self._digests.why(last) == "unknown_key":
            # Once. The users of such processes are signed in now and then.
            self._began = float("inf")
            text = "a seal was just made with a secret key that this process lacks: give all processes one secret_key"
            _log.error(text)
        return good or foreign

    def _known_good(self) -> Seal | None:
        """The seal that verified at the last look, if it is still there: a backup may have been put back."""
        if self._log is None or self._good is None:
            return None
        found = self._log.seals(after=self._good.number - 1, limit=1)
        return self._good if found and found[0] == self._good else None

    def _tell(self, what: str, numbers: list[int]) -> None:
        """Log forged rows once."""
        new = {(what, number) for number in numbers} - self._told
        if new:
            self._told |= new
            text = "%d %ss of the audit log do not verify, the first is %d: run `nipo-auth audit verify`"
            _log.error(text, len(new), what, min(new)[1])

    def _good_rows(self, last: Seal | None, *, most: int) -> list[tuple[int, Event, int]]:
        """Up to `most` authentic rows that no seal covers, with the number of the key of each.

        They stand after the rows of `last`, or a little below its highest one.
        """
        if self._log is None:
            return []
        # What a seal of an unknown key says of numbers is not believed, except for the rows that it names.
        of_entries = max((number for number, _ in last.entries), default=0) if last else 0
        after = max(0, (last.last if last and last == self._good else of_entries) - _LATE)
        sealed, unreadable = self._covered(after)
        good: list[tuple[int, Event, int]] = []
        forged: list[int] = []
        while len(good) < most and (page := self._log.numbered_events(after, limit=_BATCH)):
            after, before = page[-1][0], len(good)
            for number, event in page:
                key = None if number in sealed else self._digests.key_of(event)
                if key is not None:
                    good.append((number, event, key))
                elif number not in sealed and number not in unreadable:
                    forged.append(number)
            if len(page) < _BATCH or (good and len(good) == before):
                break
        self._tell("row", forged)
        return good[:most]

    def _covered(self, above: int) -> tuple[set[int], set[int]]:
        """The rows above this number that good seals name, and those that seals of an unknown key name.

        A forged seal keeps no row from its seal.
        """
        sealed: set[int] = set()
        unreadable: set[int] = set()
        first = next(self._all(above=above), None)
        chains = Chain()
        # Begins a little earlier, since behind forged seals a good one is chained to the good one before them.
        for seal in self._all(after=max(0, first.number - _BACK)) if first else ():
            rows = {number for number, _ in seal.entries}
            if chains.accept(seal, self._digests.verifies(seal, chains)):
                sealed |= rows
            elif self._digests.why(seal) == "unknown_key":
                unreadable |= rows
        return sealed, unreadable

    def _add(self, last: Seal | None, rows: list[tuple[int, Event, int]]) -> bool:
        """Add one seal for the rows of each key. False if another process was faster.

        A seal has the key of its rows. Once that key has left the configuration, both are told to be unreadable, and
        not to be changed.
        """
        by_key: dict[int, list[tuple[int, str]]] = {}
        for number, event, key in rows:
            by_key.setdefault(key, []).append((number, event.digest))
        for key in sorted(by_key, reverse=True):
            free = self._free_number(last)
            if free is None or self._log is None:
                return False
            last = self._digests.made(free, last, tuple(by_key[key]), key)
            if not self._log.add_seal(last):
                return False
            self._good = last
        return True

    def _free_number(self, last: Seal | None) -> int | None:
        """The number of the next seal: behind forged seals, if there are any. None if a good one has it already."""
        number, chain = (last.number if last else 0) + 1, Chain.after(last)
        for taken in self._all(after=number - 1):
            if taken.number != number:
                break
            if chain.accept(taken, self._digests.verifies(taken, chain)):
                return None
            number += 1
        return number

    def _all(self, *, above: int = -1, after: int = 0) -> Iterator[Seal]:
        """All seals that cover a row above `above`, after the number `after`, in their order, read in pages."""
        while self._log is not None and (page := self._log.seals(above=above, after=after, limit=20)):
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
