"""Whether the doors tell who has an account: `python -m benchmarks.alike [--rounds 400] [--hashed 100]`.

Sign-in with a wrong password, the forgotten password and the change of address are asked for addresses of every kind.
First what is answered and what is done for it is compared, which has to be the same to the byte, the statement, the
hash, the mail that is handed in, the counter and the row; then time, in interleaved rounds, until the last byte is with
the kernel, and that of a request sent right after, which a mail composed in the background would hold up. The hash
is the real one, and a cheap one under which the rest shows.

Prints for each kind, against the first of its door: the difference of the medians, the chance that it is chance, and
Cliff's delta. A locked address differs from an unlocked one by design (429 and no hash), so it is compared with other
locked ones. Exits 1 for any difference.
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
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa

from benchmarks.effect import effect
from benchmarks.request import Answer, app, environ
from benchmarks.spies import Done, Spies
from nipo_auth_mw import AuthConfig, AuthMiddleware
from nipo_auth_mw.flows.signin import admit
from nipo_auth_mw.mailers import SMTPMailer
from nipo_auth_mw.models import Client
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import fast_hasher

PASSWORD, WRONG = "aoi-umi-to-shiroi-kumo", "akai-yama-to-kuroi-kawa"
_SPIED = 3
_ADDRESS = re.compile(r"by\w+@example\.com")
"""The asker's own, on their own page."""
_EXPIRES = re.compile(r"Expires=[^;]+")


class Posted(SMTPMailer):
    """Makes mails ready as for a server that takes no time."""

    def __init__(self) -> None:
        super().__init__("smtp://localhost", sender="noreply@example.com")

    def _connected(self) -> Any:
        return self

    def __enter__(self) -> Posted:
        return self

    def __exit__(self, *problem: object) -> None: ...

    def sendmail(self, sender: str, to: list[str], data: bytes) -> None: ...


class House:
    """A middleware on SQLite, and people of every kind: `address(kind, n)` is the n-th of them."""

    def __init__(self, folder: Path, hasher: Any = None, *, spied: bool = False) -> None:
        engine = sa.create_engine(f"sqlite:///{folder / f'{secrets.token_hex(4)}.db'}")
        self.spies = Spies(engine) if spied else None
        self.store = SQLStore(engine)
        self.store.create_schema()
        config = AuthConfig(secret_key=secrets.token_urlsafe(48), base_url="http://localhost")
        self.auth = AuthMiddleware(app, config, store=self.store, hasher=hasher, mailer=Posted())
        self.hash = self.auth._services.passwords.hash(PASSWORD)
        self._ids: dict[str, str] = {}
        self._clients = iter(range(2**24))
        if self.spies:
            self.spies.watch(self.auth)

    def address(self, kind: str, n: int) -> str:
        """All of one length."""
        return f"{kind:x<9}{n:06}@example.com"

    def people(self, kind: str, many: int) -> None:
        with self.store.transaction():
            for n in range(many):
                email = self.address(kind, n)
                password_hash = None if kind == "invited" else self.hash
                active = kind not in {"disabled", "off"}
                made = self.store.create(email=email, password_hash=password_hash, name="", role="staff", active=active)
                self._ids[email] = made.id

    def cookie_of(self, email: str) -> str:
        """A session of this person."""
        services = self.auth._services
        account = services.users.get(self._ids[email])
        assert account is not None
        return admit(services, account, client=Client("127.0.0.1", "benchmark"))

    def post(self, route: str, fields: dict[str, str], cookie: str = "") -> dict[str, Any]:
        """From a client address that was never seen before."""
        body, number = urlencode(fields).encode(), next(self._clients)
        client = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        return environ(f"/auth/{route}", cookie, body) | {"wsgi.input": io.BytesIO(body), "REMOTE_ADDR": client}

    def fail(self, email: str, times: int) -> None:
        """Wrong passwords, but for what they cost."""
        lockout = self.auth._services.lockout
        for _ in range(times):
            place = lockout.take(lockout.address(email), time.monotonic() + 5)
            lockout.burn(place)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Door:
    """`kinds` are compared with the first of them; `ready(house, kind, n)` makes the n-th request, and what has to be
    before it; `hashes` says whether a password is verified."""

    name: str
    kinds: tuple[str, ...]
    ready: Callable[[House, str, int], tuple[dict[str, Any], str]]
    hashes: bool = False


def wrong_password(house: House, kind: str, n: int) -> tuple[dict[str, Any], str]:
    email = house.address(kind, n)
    return house.post("login", {"email": email, "password": WRONG}), email


def fifth_wrong_password(house: House, kind: str, n: int) -> tuple[dict[str, Any], str]:
    house.fail(house.address(kind, n), 4)
    return wrong_password(house, kind, n)


def wrong_password_while_locked(house: House, kind: str, n: int) -> tuple[dict[str, Any], str]:
    house.fail(house.address(kind, n), 5)
    return wrong_password(house, kind, n)


def forgotten(house: House, kind: str, n: int) -> tuple[dict[str, Any], str]:
    email = house.address(kind, n)
    if kind == "locked":
        house.fail(email, 5)
    return house.post("forgot", {"email": email}), email


def change_of_address(password: str) -> Callable[[House, str, int], tuple[dict[str, Any], str]]:
    def ready(house: House, kind: str, n: int) -> tuple[dict[str, Any], str]:
        cookie = house.cookie_of(house.address(f"by{kind}", n))
        new = house.address(kind, n)
        return house.post("account/email", {"email": new, "password": password}, cookie), new

    return ready


EVERYBODY = ("known", "unknown", "disabled", "invited")
DOORS = (
    Door("sign-in, wrong password", EVERYBODY, wrong_password, hashes=True),
    Door("sign-in, the wrong password that begins a lock", EVERYBODY, fifth_wrong_password, hashes=True),
    Door("sign-in, locked", EVERYBODY, wrong_password_while_locked),
    Door("forgotten password", (*EVERYBODY, "locked"), forgotten),
    Door("change of address", ("free", "taken", "off"), change_of_address(PASSWORD), hashes=True),
    Door("change of address, wrong password", ("free", "taken", "off"), change_of_address(WRONG), hashes=True),
)
_NOBODY = {"unknown", "free"}


def furnished(folder: Path, door: Door, many: int, hasher: Any = None, *, spied: bool = False) -> House:
    house = House(folder, hasher, spied=spied)
    for kind in door.kinds:
        if kind not in _NOBODY:
            house.people(kind, many)
        if "free" in door.kinds:
            house.people(f"by{kind}", many)
    return house


@dataclass(frozen=True)
class Shown:
    """What leaves, but Date and the address typed, and what was done for it."""

    status: str
    headers: list[tuple[str, str]]
    cookies: list[str]
    body: str
    done: Done


def shown(house: House, request: dict[str, Any], typed: str) -> Shown:
    assert house.spies is not None
    house.spies.look()
    answer = Answer()
    body = answer.of(house.auth, request)
    house.auth.flush_mail()
    done = house.spies.look()
    cookies = [value.partition("=")[0] for name, value in answer.headers if name == "Set-Cookie"]
    headers = sorted((name, _EXPIRES.sub("", value)) for name, value in answer.headers if name != "Date")
    return Shown(answer.status, headers, cookies, _ADDRESS.sub("*", body.replace(typed, "*")), done)


def differences(door: Door, folder: Path) -> Iterator[str]:
    """What is not the same for all kinds, in words."""
    house = furnished(folder, door, _SPIED + 1, fast_hasher(), spied=True)
    shown(house, *door.ready(house, door.kinds[0], _SPIED))  # which opens connections
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
    first = next((n for n, pair in enumerate(zip(mine, base, strict=False)) if pair[0] != pair[1]), None)
    if first is None:
        return f"{len(mine)}, not {len(base)}"
    return f"{len(mine)} and {len(base)}, the {first + 1}. is {mine[first]!r}, not {base[first]!r}"


class Clock:
    """Seconds from a request until its answer's last byte is with the kernel, and those of another right after."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()

    def taken(self, wsgi: Any, request: dict[str, Any]) -> float:
        answer = Answer()
        started = time.perf_counter()
        body = answer.of(wsgi, request).encode()
        # As servers do it, in two pieces: each lets another thread in.
        self._near.sendall(repr(answer.headers).encode())
        self._near.sendall(body)
        ended = time.perf_counter()
        self._far.recv(2**20)
        return ended - started


def times(door: Door, house: House, rounds: int) -> dict[str, tuple[list[float], list[float]]]:
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
            after.append(clock.taken(house.auth, environ("/auth/login")))
            house.auth.flush_mail()
        gc.enable()
    return taken


def compared(door: Door, folder: Path, rounds: int, hasher: Any, called: str) -> bool:
    """Print what time tells of the kinds of this door; whether it tells nothing."""
    house = furnished(folder, door, rounds, hasher)
    taken = times(door, house, rounds)
    house.store.close()
    base, *others = door.kinds
    alike = True
    for part, what in enumerate(("the answer", "what is asked right after")):
        for kind in others:
            found = effect(taken[base][part], taken[kind][part])
            alike = alike and found.alike
            print(
                f"  {'alike ' if found.alike else 'DIFFER'} {kind:8} {found.shift * 1e6:+8.1f} us  p {found.p:7.5f}  "
                f"delta {found.delta:+.3f}   {called}, {what}"
            )
    return alike


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=400)
    options.add_argument("--hashed", type=int, default=100, help="rounds with the real hash")
    options.add_argument("--door", default="", help="only the doors whose name holds this")
    given = options.parse_args()
    unlike = 0
    with tempfile.TemporaryDirectory() as name:
        for door in (door for door in DOORS if given.door in door.name):
            print(f"\n{door.name}: against {door.kinds[0]}")
            found = list(differences(door, Path(name)))
            print("\n".join(f"  DIFFER {line}" for line in found) or "  alike  in bytes and in what is done")
            unlike += bool(found)
            called = "cheap hash" if door.hashes else "no hash"
            unlike += not compared(door, Path(name), given.rounds, fast_hasher(), called)
            if door.hashes:
                unlike += not compared(door, Path(name), given.hashed, None, "real hash")
    return 1 if unlike else 0


if __name__ == "__main__":
    sys.exit(main())
