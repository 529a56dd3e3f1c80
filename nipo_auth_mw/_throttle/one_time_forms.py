"""Forms that are sent twice: the second press waits for the first, and does nothing if that has succeeded.

Without script a browser sends a form again at a second press, drops the answer to the first, and shows the answer to
the second alone: an address is taken then, a link used, and a password that was shown once is lost.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum

from nipo_auth_mw._credentials.tokens import KeyedDigests
from nipo_auth_mw._throttle.counters import CounterNames, outages
from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.protocols import Counters

_AT_WORK = 300
"""Seconds that a first press may take: on a slow machine, two hundred accounts take more than a minute."""
_LASTS = 60
"""Seconds from the end of the first press. A page that comes back later, and is sent again, is sent on purpose."""
_WAIT, _LOOK_EVERY = 10.0, 0.1


class Press(Enum):
    """What a press of a form is: the first, one after a first that succeeded, or one whose first is still at work."""

    FIRST = "first"
    DONE = "done"
    UNDERWAY = "underway"


class OneTimeForms:
    """Notes each form that is sent, by its content with the random id that its page alone has.

    Content that was corrected makes another form. The session is no part of it, since the first press may have renewed
    or ended it. Nothing relies on this for safety: what must not happen twice, the stores refuse. So counters out of
    reach make each press a first one.
    """

    def __init__(self, counters: Counters, names: CounterNames, keyed: KeyedDigests) -> None:
        self._counters = counters
        self._names = names
        self._keyed = keyed

    def name(self, path: str, fields: Mapping[str, object]) -> str:
        """The name of a form as it was sent to this path. One of the fields is its id."""
        return self._names.form(path, *sorted(fields.items()))

    def seed(self, name: str, *about: object) -> bytes:
        """32 bytes that each press of a form gets for the same `about`, and that only the server can compute.

        A password that is made of them is shown at the second press too, and kept nowhere.
        """
        return bytes.fromhex(self._keyed.digest(name, *about))

    def begin(self, name: str) -> Press:
        """Note a press. One whose first is at work waits for its end; the first that was refused counts for nothing."""
        deadline = time.monotonic() + _WAIT
        try:
            with outages():
                while self._counters.incr(name, _AT_WORK) != 1:
                    while self._counters.get(name) and not self._counters.get(_done(name)):
                        if time.monotonic() >= deadline:
                            return Press.UNDERWAY
                        time.sleep(_LOOK_EVERY)
                    if self._counters.get(_done(name)):
                        return Press.DONE
                if self._counters.get(_done(name)):
                    self._counters.clear(name)
                    return Press.DONE
        except StoreUnavailable:
            pass
        return Press.FIRST

    def succeed(self, name: str) -> None:
        """Note the end: the presses of the next minute do nothing."""
        # In this order: a press that finds no note of the work finds that of its end.
        with suppress(StoreUnavailable), outages():
            self._counters.incr(_done(name), _LASTS)
            self._counters.clear(name)

    def refuse(self, name: str) -> None:
        """Drop the note: the next press is a first one."""
        with suppress(StoreUnavailable), outages():
            self._counters.clear(name)


def _done(name: str) -> str:
    """The name of the mark that a form has succeeded."""
    return f"{name}:done"
