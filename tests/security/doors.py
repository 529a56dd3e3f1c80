"""A middleware for the model: in this process, or in another one that is told the time through a pipe."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import time_machine

from nipo_auth_mw import LockoutPolicy, TwoStepPolicy
from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._flows.staff_security import reset_factors
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryMailer, fast_hasher, link_in
from tests import _no_disk
from tests.kit import middleware, person
from tests.security.model import REQUIRED, ROLES
from tests.security.tools import HTTPS, Answer, ask


class Door:
    """One middleware on the database `url`. Arguments and results are what JSON can carry."""

    def __init__(self, url: str) -> None:
        self.store = SQLStore(url)
        self.store.create_schema()
        self.mailer = MemoryMailer()
        self.auth = middleware(
            store=self.store,
            mailer=self.mailer,
            base_url=HTTPS,
            hasher=fast_hasher(),
            public_paths=["/open/*"],
            roles=ROLES,
            two_step=TwoStepPolicy(required_for=[REQUIRED]),
            lockout=LockoutPolicy(client_failures=1_000_000),
        )

    def ask(
        self, method: str, path: str, form: dict[str, str] | None, cookie: str, address: str, accept: str
    ) -> list[Any]:
        """Status, headers and body; what the request left to the background is done."""
        path, _, query = path.partition("?")
        sent = {"REMOTE_ADDR": address, "HTTP_ACCEPT": accept}
        answer = ask(self.auth, method, path, query=query, form=form, cookie=cookie, **sent)
        self._finish()
        return [answer.status, answer.headers, answer.body.decode("latin-1")]

    def act(self, name: str, *arguments: Any, **named: Any) -> None:
        """A call of `auth.accounts`."""
        getattr(self.auth.accounts, name)(*arguments, **named)

    def reset_factors(self, user_id: str) -> None:
        """As the command line does it."""
        reset_factors(self.auth._services, user_id, actor=Actor("cli"))

    def create(self, email: str, role: str) -> str:
        return str(person(self.auth, email, role=role).id)

    def links(self) -> list[list[str]]:
        """Addressee and the link's path of each mail since the last call, oldest first."""
        mails = [[mail.to, re.sub(r"^https?://[^/]+", "", link_in(mail))] for mail in self.mailer.outbox]
        self.mailer.outbox.clear()
        return mails

    def close(self) -> None:
        self._finish()
        self.store.close()

    def _finish(self) -> None:
        """Wait for what the requests have left to the background. The next sweep alone is left to its time."""
        worker = self.auth._services.worker
        assert worker.flush(5) or len(worker) == 1


class Here:
    """A door in this process, whose clock `time_machine` has moved already."""

    def __init__(self, url: str) -> None:
        self._door = Door(url)

    def call(self, now: float, name: str, *arguments: Any, **named: Any) -> Any:
        return getattr(self._door, name)(*arguments, **named)


class There:
    """A door in a process of its own. Each call brings the time along."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-m", "tests.security.doors", url]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def call(self, now: float, name: str, *arguments: Any, **named: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([now, name, arguments, named]) + "\n")
        self._process.stdin.flush()
        result = json.loads(self._process.stdout.readline())
        if name == "close":
            self._process.communicate(timeout=10)
        return result


def answer_of(result: list[Any]) -> Answer:
    status, headers, body = result
    return Answer(status, [(name, value) for name, value in headers], body.encode("latin-1"))


def main(url: str) -> None:
    """Answer calls, one a line, until `close`."""
    _no_disk.install()
    door: Door | None = None
    for line in sys.stdin:
        now, name, arguments, named = json.loads(line)
        with time_machine.travel(now, tick=False):
            door = door or Door(url)
            result = getattr(door, name)(*arguments, **named)
        print(json.dumps(result), flush=True)
        if name == "close":
            return


if __name__ == "__main__":
    main(sys.argv[1])
