"""The counters that the lockout and the limits share: storage, names and outages.

The only module that imports `limits`.
"""

from __future__ import annotations

import importlib
import ipaddress
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

from nipo_auth_mw._capabilities import offers
from nipo_auth_mw._credentials.tokens import KeyedDigests
from nipo_auth_mw._runtime.failures import file_limit
from nipo_auth_mw._runtime.per_process import PerProcess
from nipo_auth_mw.config import LockoutPolicy
from nipo_auth_mw.errors import ConfigError, DatabaseUnavailable, StoreUnavailable
from nipo_auth_mw.protocols import BatchCounters, Counters

_SOCKET_TIMEOUT = 3
"""Seconds for each step of an exchange with Redis. A Redis that never answers must not hold up a sign-in for longer."""

_MOST_AT_ONCE = 32
"""Exchanges of a process with the server of the counters at the same time, each on a connection of its own."""
_TURN_SECONDS = 2.0
_REMOVAL_SECONDS = 10
_CODE = re.compile("[A-Z]{3,20}")
_HINTS = {
    "AuthenticationError": "the password is wrong or missing",
    "AuthenticationWrongNumberOfArgsError": "the user or the password is missing",
    "NoPermissionError": "the user lacks a permission",
    "BusyLoadingError": "the server is starting",
    "ClusterDownError": "a part of the cluster is missing",
    "ConnectionError": "nothing answers at this host and port, the name is unknown, or the connection was lost",
    "MasterDownError": "the replica has lost its primary",
    "MaxConnectionsError": "the server has no connection left",
    "OutOfMemoryError": "the server has no memory left (maxmemory)",
    "ReadOnlyError": "the server only reads: it is a replica or was demoted",
    "TimeoutError": "the server did not answer in time",
    # The first word of a ResponseError.
    "MISCONF": "the server cannot save to its disk (stop-writes-on-bgsave-error)",
    "NOREPLICAS": "the server has too few replicas to accept writes (min-replicas-to-write)",
    "BUSY": "the server runs a script of another client for too long",
    "WRONGTYPE": "another program keeps values of another kind under the same names; use a database number of its own",
    "ERR": "the server does not take the command or the database number",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters as they were at `at` on `time.monotonic`: the count and the seconds left, by name."""

    counts: Mapping[str, tuple[int, float]]
    at: float


class CounterNames:
    """Names of counters. Each is a keyed digest, so neither Redis nor a table of counters reveals an address."""

    def __init__(self, keyed: KeyedDigests) -> None:
        self._keyed = keyed

    def address(self, email: str) -> str:
        """The name for a canonical address, whether it has an account or not."""
        return "a:" + self._keyed.digest("address", email)[:32]

    def device(self, device_id: str, user_id: str, unlocks: int) -> str:
        """The name for one account on one known device, after so many times that an administrator lifted its locks."""
        return "d:" + self._keyed.digest("device", device_id, user_id, str(unlocks))[:32]

    def account(self, user_id: str) -> str:
        """The name for one account."""
        return "m:" + self._keyed.digest("told", user_id)[:32]

    def locked_device(self, user_id: str) -> str:
        """The name of the mark that a known device of this account is locked."""
        return f"{self.account(user_id)}:device"

    def form(self, *parts: object) -> str:
        """The name for a form that was sent, with all that it holds."""
        return "f:" + self._keyed.digest("form", *parts)[:32]

    def client(self, client_address: str) -> str | None:
        """The name for a client: one IPv4 address, or one /64 network of IPv6, which a provider gives to one customer.

        An IPv4-mapped IPv6 address counts as its IPv4 address. Returns None for a text that is no IP address.
        """
        try:
            address = ipaddress.ip_address(client_address)
        except ValueError:
            return None
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        network = f"{address}/32" if address.version == 4 else ipaddress.ip_network((address, 64), strict=False)
        return "c:" + self._keyed.digest("client", str(network))[:32]


@contextmanager
def outages() -> Iterator[None]:
    """Raise `StoreUnavailable` in place of the errors of `limits`, whose texts may hold the password of Redis."""
    try:
        yield
    except StoreUnavailable:
        raise
    except _storage_error() as problem:
        raise _unavailable(problem) from None


def _unavailable(problem: Exception) -> StoreUnavailable:
    """The exception for logs, with the class of the error and a hint."""
    error = getattr(problem, "storage_error", problem)
    name, code = type(error).__name__, str(error).partition(" ")[0]
    hint = _HINTS.get(name) or _HINTS.get(code, "")
    if name == "ResponseError" and _CODE.fullmatch(code):
        name += f" {code}"
    if name == "ConnectionError":
        hint = file_limit() or hint
    return DatabaseUnavailable(f"the server of the counters cannot be used ({name}{hint and ': '}{hint})")


def _storage_error() -> type[Exception]:
    """The error class of `limits`; Python evaluates it only after an error was raised.

    Imported late: `limits` also loads its asynchronous half, which takes a tenth of the time to the first page, and
    only Redis needs it.
    """
    from limits.errors import StorageError

    return StorageError


class OneByOne:
    """Gives a `limits` storage the methods of `BatchCounters`, with one exchange for each counter.

    `open` opens the storage at the first use: the one of a cluster contacts it, and an app has to start without it.

    At most 32 exchanges of a process run at the same time. Further ones wait two seconds for their turn and then raise
    `StoreUnavailable`, so a server that stands still does not get one more connection with each request.
    """

    def __init__(self, open: Callable[[], Counters]) -> None:
        self._open = open
        self._lock = threading.Lock()
        self._opened: Counters | None = None
        self._turns = PerProcess(lambda: threading.BoundedSemaphore(_MOST_AT_ONCE))

    @property
    def storage(self) -> Counters:
        """The storage. Raises `StoreUnavailable` if it cannot be opened; the next use tries again."""
        if self._opened is None:
            with self._lock:
                try:
                    self._opened = self._opened or self._open()
                except Exception as problem:
                    raise _unavailable(problem) from None
        return self._opened

    @property
    def server(self) -> Any:
        """The client of the server that keeps the counters; None for a storage without one."""
        return getattr(self.storage, "storage", None)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """See `Counters.incr`."""
        with self._reaching() as storage:
            return storage.incr(key, expiry, amount)

    def get(self, key: str) -> int:
        """See `Counters.get`."""
        with self._reaching() as storage:
            return storage.get(key)

    def get_expiry(self, key: str) -> float:
        """See `Counters.get_expiry`."""
        with self._reaching() as storage:
            return storage.get_expiry(key)

    def clear(self, key: str) -> None:
        """See `Counters.clear`."""
        with self._reaching() as storage:
            storage.clear(key)

    def check(self) -> bool:
        """See `Counters.check`."""
        return self.storage.check()

    @contextmanager
    def _reaching(self) -> Iterator[Counters]:
        """The storage, for one exchange.

        After an error, the next exchange opens a new connection: an open one may lead to a former primary, which only
        reads from now on.
        """
        turns = self._turns.get()
        if not turns.acquire(timeout=_TURN_SECONDS):
            raise DatabaseUnavailable(f"all {_MOST_AT_ONCE} connections to the server of the counters are in use")
        try:
            yield self.storage
        except StoreUnavailable:
            raise
        except _storage_error() as problem:
            pool = getattr(self.server, "connection_pool", None)
            if pool is not None:
                with suppress(Exception):
                    pool.disconnect(inuse_connections=False)
            raise _unavailable(problem) from None
        finally:
            turns.release()

    def read(self, lifetimes: Mapping[str, int]) -> Mapping[str, tuple[int, float]]:
        """See `BatchCounters.read`. Redis itself ends a counter, by its own clock."""
        found = {}
        for key, longest in lifetimes.items():
            if count := self.get(key):
                found[key] = count, min(longest, max(0.0, self.get_expiry(key) - time.time()))
        return found

    def add(self, changes: Mapping[str, tuple[int, int]]) -> Mapping[str, int]:
        """See `BatchCounters.add`."""
        return {key: self.incr(key, lifetime, amount) for key, (amount, lifetime) in changes.items()}

    def end(self, keys: Sequence[str], less: Mapping[str, int]) -> None:
        """See `BatchCounters.end`."""
        for key in keys:
            self.clear(key)
        for key, lifetime in less.items():
            self.incr(key, lifetime, -1)

    def remove(self, keys: Sequence[str]) -> Mapping[str, int]:
        """See `BatchCounters.remove`. Of several callers, the one that counts first gets the counter."""
        removed = {}
        for key in keys:
            if (count := self.get(key)) and self.incr(f"{key}:removed", _REMOVAL_SECONDS) == 1:
                removed[key] = count
                self.clear(key)
                self.clear(f"{key}:removed")
        return removed


def open_counters(policy: LockoutPolicy, own: Counters | None, *, memory_allowed: bool) -> BatchCounters:
    """The counter storage that the policy names.

    `own` are the counters of the store. `memory_allowed` says that the store, too, lives in this process alone.
    Does not contact Redis: the first count does. Raises `ConfigError`.
    """
    if policy.storage in {"store", "memory://"}:
        if own is None:
            raise ConfigError("store", "has no `counters`", 'Set lockout.storage to a "redis://" address.')
        if policy.storage == "memory://" and not memory_allowed:
            raise ConfigError(
                "lockout.storage",
                "memory:// is not shared by processes, so each process would allow its own number of guesses",
                'Use "store" or a "redis://" address. memory:// works with MemoryStore only.',
            )
        return own if offers(own, BatchCounters) else OneByOne(lambda: own)
    options: dict[str, Any] = {"socket_timeout": _SOCKET_TIMEOUT, "socket_connect_timeout": _SOCKET_TIMEOUT}
    kind = policy.storage.partition("://")[0].rpartition("+")[2]
    extra = "valkey" if policy.storage.startswith("valkey") else "redis"
    if kind == "sentinel":
        # A replica may not know yet that a slot is taken, and an attacker would get it again.
        options |= {"use_replicas": False, "sentinel_kwargs": dict(options)}
    try:
        # Imported late for the same reason as the error class.
        from limits.storage import storage_from_string

        def opened() -> Counters:
            storage: Any = storage_from_string(policy.storage, wrap_exceptions=True, **options)
            return cast(Counters, storage)

        if kind == "cluster":
            importlib.import_module(extra)
            return OneByOne(opened)
        storage = opened()
        return OneByOne(lambda: storage)
    except Exception as problem:
        raise ConfigError(
            "lockout.storage",
            f"the storage cannot be opened ({type(problem).__name__})",
            f"Install nipo_auth_mw[{extra}] and check the address.",
        ) from None


def server_time(counters: Counters) -> float | None:
    """The clock of the server that keeps the counters, in seconds since the epoch; None if it is this machine's clock.

    Raises `StoreUnavailable`.
    """
    server: Any = getattr(counters, "server", None)
    if not hasattr(server, "time"):
        return None
    with outages():
        seconds, microseconds = server.time()
    return float(seconds + microseconds / 1e6)
