"""The demo for gunicorn: `tests.security.real_tools.served:app`, set up from the environment."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from examples.daily_report import protected
from nipo_auth_mw import LockoutPolicy
from nipo_auth_mw.models import Message

# So far out of reach that a scanner's thousands of requests get to the code behind the lock.
NO_LOCK = LockoutPolicy(
    failures=100, window=timedelta(seconds=1), duration=timedelta(seconds=1), client_failures=1_000_000
)


class Printed:
    """Mails on the console even behind https, where `ConsoleMailer` is refused."""

    def __init__(self) -> None:
        self.persistent: list[Message] = []

    def send(self, message: Message) -> None:
        print(f"To: {message.to}\n{message.text}", flush=True)
        self.persistent.insert(0, message)


app = protected(
    Path(os.environ["DEMO_FOLDER"]),
    os.environ["DEMO_BASE_URL"],
    Printed(),
    trusted_proxies=int(os.environ["DEMO_PROXIES"]),
    lockout=LockoutPolicy() if os.environ["DEMO_LOCK"] == "1" else NO_LOCK,
)
