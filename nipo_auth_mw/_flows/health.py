"""What a request to sign in needs: whether it works."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from nipo_auth_mw._services import Services

_log = logging.getLogger("nipo_auth_mw")
_KNOWN_FOR = 1.0
_NO_KEY = "0" * 64
"""The key of no session: keys are SHA-256 digests."""
_COUNTER = "health"
_MINUTE = 60

_Answer = tuple[float, dict[str, bool]]
_NEVER: _Answer = (-1e12, {})


class Health:
    """Asks the parts at most once a second, on one thread at a time, however many requests ask.

    A flood of requests, or many balancers, must not become a flood of statements; and a store that does not answer must
    not hold up one thread for each request.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._asking = threading.Lock()
        self._last = _NEVER

    def ask(self) -> dict[str, bool]:
        """Whether each part works: `store`, `counters`, `mail`. While another thread asks, it is the last answer."""
        last = self._last
        if self._is_new(last) or not self._asking.acquire(blocking=last is _NEVER):
            return last[1]
        try:
            if not self._is_new(self._last):
                found = self._ask_each()
                self._last = (time.time(), found)
            return self._last[1]
        finally:
            self._asking.release()

    def _is_new(self, answer: _Answer) -> bool:
        """Whether an answer needs no other yet. The clock may have been set back since."""
        return 0 <= time.time() - answer[0] < _KNOWN_FOR

    def _ask_each(self) -> dict[str, bool]:
        """Ask each part. A counter is written, since a database that only reads lets no user sign in."""
        services = self._services
        return {
            "store": _works("store", lambda: services.session_store.find_session(_NO_KEY)),
            "counters": _works("counters", lambda: services.counters.incr(_COUNTER, _MINUTE)),
            "mail": not services.outbox.is_full,
        }


def _works(part: str, ask: Callable[[], object]) -> bool:
    """Whether a part answers. The log gets the type of the error, never its message, which may hold an address."""
    try:
        ask()
    except Exception as problem:
        _log.warning("not ready: the %s cannot be reached (%s)", part, type(problem).__qualname__)
        return False
    return True
