"""Listeners for `AuthMiddleware(listeners=[…])`: what is called with each event after it is recorded."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any, TextIO, TypedDict

from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.models import Event

__all__ = ["EventData", "JSONLines", "event_data"]


class EventData(TypedDict):
    """An event. Its time is ISO 8601, in UTC."""

    time: str
    event: str
    user_id: str | None
    email: str
    session: str
    client_address: str
    user_agent: str
    actor: str
    details: dict[str, Any]


def event_data(event: Event) -> EventData:
    """The event as values that JSON can hold. Its time is ISO 8601, in UTC."""
    return {
        "time": event.time.isoformat(),
        "event": event.event,
        "user_id": event.user_id,
        "email": event.email,
        "session": event.session,
        "client_address": event.client_address,
        "user_agent": event.user_agent,
        "actor": event.actor,
        "details": dict(event.details),
    }


class JSONLines:
    """Writes each event as one line of JSON, for a log shipper: `listeners=[JSONLines("/var/log/app/auth.jsonl")]`.

    `target` is the path of a file or a text stream; without one it is standard output. A line is ASCII and is written
    at once, by one call of the operating system, so several threads and processes may share a file. The file is opened
    for each event: after a rotation by renaming, the next line goes to the new file. A new file can be read by its
    owner alone.

    An event holds no password, no token and no cookie. A line that cannot be written is lost, and the log of
    `nipo_auth_mw` says so; the request and the audit log are not affected. A pipe that is not read from holds up the
    request, as it does with any log on standard output.

    Raises `ConfigError` if the file cannot be opened at construction.
    """

    def __init__(self, target: str | os.PathLike[str] | TextIO | None = None) -> None:
        self._path = os.fspath(target) if isinstance(target, (str, os.PathLike)) else None
        self._stream = target if not isinstance(target, (str, os.PathLike)) else None
        self._one_at_a_time = threading.Lock()
        self._torn = False
        if self._path is not None:
            try:
                os.close(self._open())
            except OSError as problem:
                text = f"{self._path} cannot be opened ({type(problem).__name__})"
                raise ConfigError("listeners", text, "Create its folder and let the server write there.") from None

    def __repr__(self) -> str:
        """The target."""
        return f"JSONLines({self._path or self._stream or 'standard output'!r})"

    def __call__(self, event: Event) -> None:
        """Write one line. Raises `OSError` or `ValueError` if that fails; the middleware logs it and goes on."""
        line = json.dumps(event_data(event), default=str) + "\n"
        if self._path is not None:
            self._append(line.encode("ascii"))
            return
        # Looked up for each event: servers and tests replace standard output after the start.
        stream = self._stream or sys.stdout
        with self._one_at_a_time:
            stream.write(line)
            stream.flush()

    def _append(self, line: bytes) -> None:
        """Append the line to the file. After a line that a full disk cut, the next one begins on a line of its own."""
        descriptor = self._open()
        try:
            data = b"\n" + line if self._torn else line
            written = os.write(descriptor, data)
        finally:
            os.close(descriptor)
        self._torn = written < len(data)
        if self._torn:
            raise OSError(f"{written} of {len(data)} bytes could be written")

    def _open(self) -> int:
        """Open the file for appending: the system puts each write at the end, also of several processes."""
        return os.open(self._path or "", os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
