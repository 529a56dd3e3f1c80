"""Whether an attacker can find out which addresses have an account.

    python -m benchmarks.alike [--rounds 400] [--hashed 100]

Sign-in with a wrong password, the forgotten password and the change of address are requested for addresses of every
kind. First the answers and the work are compared: bytes, statements, hashes, queued mails, counters and rows must be
the same. Then times are compared in interleaved rounds: until the kernel has the last byte, and for a request sent
right after, which a mail composed in the background would delay. The times are measured with the real hash, and again
with a cheap one, which hides no small difference.

Prints for each kind, against the first kind of its form: the difference of the medians, the probability that it is
chance, and Cliff's delta. A locked address differs from an unlocked one by design (429 and no hash), so it is compared
with other locked ones. Exits 1 for any difference.
"""

from __future__ import annotations

import argparse
import gc
import io
import random
import re
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import argon2
import sqlalchemy as sa

from benchmarks.effect import effect
from benchmarks.request import Answer, app, environ
from benchmarks.spies import Done, Spies
from nipo_auth_mw import AuthConfig, AuthMiddleware
from nipo_auth_mw._credentials import totp
from nipo_auth_mw._credentials.passkeys import Passkey
from nipo_auth_mw._flows.account_state import change_account_state
from nipo_auth_mw._flows.login import admit
from nipo_auth_mw.mailers import SMTPMailer
from nipo_auth_mw.models import Client
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import fast_hasher

PASSWORD, WRONG = "aoi-umi-to-shiroi-kumo", "akai-yama-to-kuroi-kawa"
_SPIED = 3
_ADDRESS = re.compile(r"by\w+@example\.com")
"""The address of the user who requests the change, which the page shows."""
_CHALLENGE = re.compile(r"&#34;challenge&#34;: &#34;[^&]+")
"""Of a passkey: another on each page of sign-in."""
_FORM_ID = re.compile(r'name="form_id" value="[^"]+"')
"""Of a form: another on each page."""
_EXPIRES = re.compile(r"Expires=[^;]+")


class Posted(SMTPMailer):
    """A mailer that composes mails as for a server that takes no time."""

    def __init__(self) -> None:
        super().__init__("smtp://localhost", sender="noreply@example.com")

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """No connection."""
        yield None

    def _hand_over(self, server: Any, to: str, data: bytes) -> None:
        """Drop the mail."""


class House:
    """A middleware on SQLite, with accounts of every kind: `address(kind, n)` is the address of the n-th."""

    def __init__(self, folder: Path, hasher: Any = None, *, spied: bool = False) -> None:
        engine = sa.create_engine(f"sqlite:///{folder / f'{secrets.token_hex(4)}.db'}")
        self.spies = Spies(engine) if spied else None
        self.store = SQLStore(engine)
        self.store.create_schema()
        config = AuthConfig(secret_key=secrets.token_urlsafe(48), base_url="http://localhost")
        self.auth = AuthMiddleware(app, config, store=self.store, hasher=hasher, mailer=Posted())
        self.hash = self.auth._services.hashing.hash(PASSWORD)
        dearer = argon2.PasswordHasher(3, 64, 4) if hasher else argon2.PasswordHasher()
        self.dearer_hash = dearer.hash(PASSWORD)
        self._ids: dict[str, str] = {}
        self._clients = iter(range(2**24))
        if self.spies:
            self.spies.watch(self.auth)

    def address(self, kind: str, n: int) -> str:
        """The n-th address of a kind. All addresses have one length."""
        return f"{kind:x<9}{n:06}@example.com"

    def people(self, kind: str, many: int) -> None:
        """Create so many accounts of a kind."""
        with self.store.transaction():
            for n in range(many):
                email = self.address(kind, n)
                password_hash = {"invited": None, "imported": self.dearer_hash}.get(kind, self.hash)
                active = kind not in {"disabled", "off"}
                made = self.store.create(email=email, password_hash=password_hash, name="", role="staff", active=active)
                self._ids[email] = made.id
                if kind == "twosteps":
                    services = self.auth._services
                    assert services.factors is not None
                    services.factors.add_app(made.id, totp.new_secret(), 0)
                    change_account_state(services, made.id, two_step=time.time())
                if kind == "passkey":
                    self._add_passkey(made.id)

    def _add_passkey(self, user_id: str) -> None:
        """Give the account a passkey, and switch its two steps on."""
        services, data = self.auth._services, Passkey(secrets.token_bytes(16), b"key", True, ()).packed()
        assert services.factors is not None
        services.factors.add_passkey(user_id, f"passkey:{user_id}", name="", data=data, counter=0)
        change_account_state(services, user_id, two_step=time.time(), passkey_handle=secrets.token_hex(32))

    def cookie_of(self, email: str) -> str:
        """Open a session of this account; the value of its cookie."""
        services = self.auth._services
        account = services.users.get(self._ids[email])
        assert account is not None
        return admit(services, account, client=Client("127.0.0.1", "benchmark"))

    def post(self, route: str, fields: dict[str, str], cookie: str = "") -> dict[str, Any]:
        """A POST request from a client address that was never seen before."""
        body, number = urlencode(fields).encode(), next(self._clients)
        client = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        return environ(f"/-/auth/{route}", cookie, body) | {"wsgi.input": io.BytesIO(body), "REMOTE_ADDR": client}

    def fail(self, email: str, times: int) -> None:
        """Count so many wrong passwords, without the cost of their hashes."""
        lockout = self.auth._services.lockout
        for _ in range(times):
            slot = lockout.reserve(lockout.address(email), time.monotonic() + 5)
            lockout.fail(slot)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Door:
    """A form that an attacker can send.

    `kinds` are compared with the first of them. `ready(house, kind, n)` prepares and makes the n-th request. `hashes`
    says whether a password is verified.
    """

    name: str
    kinds: tuple[str, ...]
    ready: Callable[[House, str, int], tuple[dict[str, Any], str]]
    hashes: bool = False


def wrong_password(house: House, kind: str, n: int) -> tuple[dict[str, Any], str]:
    """Sign-in with a wrong password."""
    email = house.address(kind, n)
    return house.post("login", {"email": email, "password": WRONG}), email


def fifth_wrong_password(house: House, kind: str, n: int) -> tuple[dict[str, Any], str]:
    """Sign-in with the wrong password that starts a lock."""
    house.fail(house.address(kind, n), 4)
    return wrong_password(house, kind, n)


def wrong_password_while_locked(house: House, kind: str, n: int) -> tuple[dict[str, Any], str]:
    """Sign-in with a wrong password while the address is locked."""
    house.fail(house.address(kind, n), 5)
    return wrong_password(house, kind, n)


def forgotten(house: House, kind: str, n: int) -> tuple[dict[str, Any], str]:
    """The request for a reset by mail."""
    email = house.address(kind, n)
    if kind == "locked":
        house.fail(email, 5)
    return house.post("forgot", {"email": email}), email


def change_of_address(password: str) -> Callable[[House, str, int], tuple[dict[str, Any], str]]:
    """The request for a change of address, with this password."""

    def ready(house: House, kind: str, n: int) -> tuple[dict[str, Any], str]:
        cookie = house.cookie_of(house.address(f"by{kind}", n))
        new = house.address(kind, n)
        return house.post("account/email", {"email": new, "password": password}, cookie), new

    return ready


EVERYBODY = ("known", "unknown", "disabled", "invited", "twosteps", "passkey")
IMPORTED = ("imported", "known", "unknown")
DOORS = (
    Door("sign-in, wrong password", EVERYBODY, wrong_password, hashes=True),
    Door("sign-in, wrong password, dearer hashes in the store", IMPORTED, wrong_password, hashes=True),
    Door("sign-in, the wrong password that begins a lock", EVERYBODY, fifth_wrong_password, hashes=True),
    Door("sign-in, locked", EVERYBODY, wrong_password_while_locked),
    Door("forgotten password", (*EVERYBODY, "locked"), forgotten),
    Door("change of address", ("free", "taken", "off"), change_of_address(PASSWORD), hashes=True),
    Door("change of address, wrong password", ("free", "taken", "off"), change_of_address(WRONG), hashes=True),
)
_NOBODY = {"unknown", "free"}


def furnished(folder: Path, door: Door, many: int, hasher: Any = None, *, spied: bool = False) -> House:
    """A middleware with the accounts that this form needs."""
    house = House(folder, hasher, spied=spied)
    for kind in door.kinds:
        if kind not in _NOBODY:
            house.people(kind, many)
        if "free" in door.kinds:
            house.people(f"by{kind}", many)
    return house


@dataclass(frozen=True)
class Shown:
    """The answer without Date and the typed address, and the work for it."""

    status: str
    headers: list[tuple[str, str]]
    cookies: list[str]
    body: str
    done: Done


def shown(house: House, request: dict[str, Any], typed: str) -> Shown:
    """Send a request and collect its answer and its work."""
    assert house.spies is not None
    house.auth._services.worker.flush(5)
    house.spies.look()
    answer = Answer()
    body = answer.of(house.auth, request)
    # What the background does then is not part of the request, and differs: a mail is sent, or none.
    done = house.spies.look()
    house.auth.flush_mail()
    cookies = [value.partition("=")[0] for name, value in answer.headers if name == "Set-Cookie"]
    headers = sorted((name, _EXPIRES.sub("", value)) for name, value in answer.headers if name != "Date")
    body = body.replace(typed, "*")
    for its_own in (_ADDRESS, _CHALLENGE, _FORM_ID):
        body = its_own.sub("*", body)
    return Shown(answer.status, headers, cookies, body, done)


def differences(door: Door, folder: Path) -> Iterator[str]:
    """Each difference between the kinds, in words."""
    house = furnished(folder, door, _SPIED + 1, fast_hasher(), spied=True)
    shown(house, *door.ready(house, door.kinds[0], _SPIED))  # opens the connections
    for n in range(_SPIED):
        first, *others = [(kind, shown(house, *door.ready(house, kind, n))) for kind in door.kinds]
        for kind, other in others:
            for name in ("status", "headers", "cookies", "body"):
                if getattr(other, name) != getattr(first[1], name):
                    yield f"{name} of {kind} and {first[0]} in round {n}"
            for part in fields(Done):
                mine, base = getattr(other.done, part.name), getattr(first[1].done, part.name)
                if mine != base:
                    yield f"{part.name} of {kind} and {first[0]} in round {n}: {_apart(mine, base)}"
    house.store.close()


def _apart(mine: Sequence[str], base: Sequence[str]) -> str:
    """The first difference of two lists, in words."""
    first = next((n for n, pair in enumerate(zip(mine, base, strict=False)) if pair[0] != pair[1]), None)
    if first is None:
        return f"{len(mine)}, not {len(base)}"
    return f"{len(mine)} and {len(base)}, the {first + 1}. is {mine[first]!r}, not {base[first]!r}"


class Clock:
    """Measures seconds until the kernel has the last byte of an answer."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()

    def taken(self, wsgi: Any, request: dict[str, Any]) -> float:
        """The seconds of one request."""
        answer = Answer()
        started = time.perf_counter()
        body = answer.of(wsgi, request).encode()
        # Servers write headers and body separately, and each write lets another thread run.
        self._near.sendall(repr(answer.headers).encode())
        self._near.sendall(body)
        ended = time.perf_counter()
        self._far.recv(2**20)
        return ended - started


def times(door: Door, house: House, rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """By kind, the seconds of each request and of the request right after it."""
    clock, order = Clock(), random.Random(1)
    taken: dict[str, tuple[list[float], list[float]]] = {kind: ([], []) for kind in door.kinds}
    for n in range(rounds):
        requests = [(kind, door.ready(house, kind, n)[0]) for kind in door.kinds]
        order.shuffle(requests)
        gc.collect()
        gc.disable()
        for kind, request in requests:
            itself, after = taken[kind]
            itself.append(clock.taken(house.auth, request))
            after.append(clock.taken(house.auth, environ("/-/auth/login")))
            house.auth.flush_mail()
        gc.enable()
    return taken


def compared(door: Door, folder: Path, rounds: int, hasher: Any, called: str) -> bool:
    """Print the comparison of the times of this form. True if no kind differs."""
    house = furnished(folder, door, rounds, hasher)
    taken = times(door, house, rounds)
    house.store.close()
    base, *others = door.kinds
    alike = True
    for part, what in enumerate(("the answer", "the request right after")):
        for kind in others:
            found = effect(taken[base][part], taken[kind][part])
            alike = alike and found.alike
            print(
                f"  {'alike ' if found.alike else 'DIFFER'} {kind:8} {found.shift * 1e6:+8.1f} us  p {found.p:7.5f}  "
                f"delta {found.delta:+.3f}   {called}, {what}"
            )
    return alike


def main() -> int:
    """Compare all forms. Returns the exit code."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=400)
    options.add_argument("--hashed", type=int, default=100, help="rounds with the real hash")
    options.add_argument("--door", default="", help="only the forms whose name contains this")
    given = options.parse_args()
    unlike = 0
    with tempfile.TemporaryDirectory() as name:
        for door in (door for door in DOORS if given.door in door.name):
            print(f"\n{door.name}: against {door.kinds[0]}")
            found = list(differences(door, Path(name)))
            print("\n".join(f"  DIFFER {line}" for line in found) or "  alike  in bytes and in work")
            unlike += bool(found)
            called = "cheap hash" if door.hashes else "no hash"
            unlike += not compared(door, Path(name), given.rounds, fast_hasher(), called)
            if door.hashes:
                unlike += not compared(door, Path(name), given.hashed, None, "real hash")
    return 1 if unlike else 0


if __name__ == "__main__":
    sys.exit(main())
