"""The counters that the lockout and the limits share: storage, names and outages.

The only module that imports `limits`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nipo_auth_mw._credentials.tokens import KeyedDigests
from nipo_auth_mw.config import LockoutPolicy
from nipo_auth_mw.errors import ConfigError, StoreUnavailable
from nipo_auth_mw.protocols import Counters

_SOCKET_TIMEOUT = 3
"""Seconds for each step of an exchange with Redis. A Redis that never answers must not hold up a sign-in for longer."""


class CounterNames:
    """Names of counters. Each is a keyed digest, so neither Redis nor a table of counters reveals an address."""

    def __init__(self, keyed: KeyedDigests) -> None:
        self._keyed = keyed

    def address(self, email: str) -> str:
        """The name for a canonical address, whether it has an account or not."""
        return "a:" + self._keyed.digest("address", email)[:32]

    def device(self, device_id: str, user_id: str) -> str:
        """The name for one account on one known device."""
        return "d:" + self._keyed.digest("device", device_id, user_id)[:32]

    def account(self, user_id: str) -> str:
        """The name for one account."""
        return "m:" + self._keyed.digest("told", user_id)[:32]

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
        bits = 32 if address.version == 4 else 64
        network = ipaddress.ip_network((address, bits), strict=False)
        return "c:" + self._keyed.digest("client", str(network))[:32]


@contextmanager
def outages() -> Iterator[None]:
    """Raise `StoreUnavailable` in place of the errors of `limits`, whose texts may hold the password of Redis."""
    try:
        yield
    except StoreUnavailable:
        raise
    except _storage_error():
        raise StoreUnavailable("the counters cannot be reached") from None


def _storage_error() -> type[Exception]:
    """The error class of `limits`; Python evaluates it only after an error was raised.

    Imported late: `limits` also loads its asynchronous half, which takes a tenth of the time to the first page, and
    only Redis needs it.
    """
    from limits.errors import StorageError

    return StorageError


def open_counters(policy: LockoutPolicy, own: Counters | None, *, memory_allowed: bool) -> Counters:
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
        return own
    options = {"socket_timeout": _SOCKET_TIMEOUT, "socket_connect_timeout": _SOCKET_TIMEOUT}
    try:
        # Imported late for the same reason as the error class.
        from limits.storage import storage_from_string

        return storage_from_string(policy.storage, wrap_exceptions=True, **options)  # type: ignore[return-value]
    except Exception as problem:
        raise ConfigError(
            "lockout.storage",
            f"the storage cannot be opened ({type(problem).__name__})",
            "Install nipo_auth_mw[redis] and check the address.",
        ) from None


def server_time(counters: Counters) -> float | None:
    """The clock of the server that keeps the counters, in seconds since the epoch; None if it is this machine's clock.

    Raises `StoreUnavailable`.
    """
    server: Any = getattr(counters, "storage", None)
    if not hasattr(server, "time"):
        return None
    with outages():
        seconds, microseconds = server.time()
    return float(seconds + microseconds / 1e6)
