"""A mail server that writes each mail to a file before it answers: `python -m benchmarks.load.sink PORT FOLDER`.

`mails` in the folder has one JSON object a line: `at`, `to`, `subject`, `text`. `slow` in the folder holds two numbers:
the seconds before the greeting, and the seconds before the answer to a mail that has been taken.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import os
import signal
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAILS, SLOW = "mails", "slow"


class Sink:
    """Takes mails for every address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = os.open(folder / MAILS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._taking, self._ending = 0, False

    def end(self) -> None:
        """End the process. A mail whose data has begun is taken and answered first; other connections break.

        Without the answer, the sender cannot know whether the mail was taken (RFC 1047). A server that stops in order
        answers first (RFC 5321, section 3.8).
        """
        self._ending = True
        if not self._taking:
            os._exit(0)

    def _seconds(self) -> tuple[float, float]:
        """How late the greeting and the answer to a mail are now."""
        try:
            greeting, data = (self._folder / SLOW).read_text().split()
        except (FileNotFoundError, ValueError):
            return 0, 0
        return float(greeting), float(data)

    def _keep(self, to: str, data: bytes) -> None:
        """Write a mail, durably."""
        mail = email.message_from_bytes(data, policy=email.policy.default)
        body = mail.get_body(("plain",))
        kept = {"at": time.time(), "to": to, "subject": mail["Subject"], "text": body.get_content() if body else ""}
        os.write(self._file, (json.dumps(kept) + "\n").encode())
        os.fsync(self._file)

    @contextmanager
    def _begun(self) -> Iterator[None]:
        """From the beginning of a mail's data to the answer, which the end of the process waits for."""
        self._taking += 1
        try:
            yield
        finally:
            self._taking -= 1
            if self._ending:
                self.end()

    async def talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One connection: the commands of RFC 5321 that a client needs."""

        async def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())
            await writer.drain()

        try:
            await asyncio.sleep(self._seconds()[0])
            await say("220 sink.example ESMTP")
            to = ""
            while (line := await reader.readline()) and not self._ending:
                verb = line[:4].upper()
                if verb == b"RCPT":
                    to = line.decode().partition("<")[2].partition(">")[0]
                if verb == b"DATA":
                    with self._begun():
                        await say("354 go on")
                        data = await reader.readuntil(b"\r\n.\r\n")
                        self._keep(to, data[:-3])
                        await asyncio.sleep(self._seconds()[1])
                        await say("250 ok")
                    continue
                await say("221 bye" if verb == b"QUIT" else "250 ok")
                if verb == b"QUIT":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def main(port: int, folder: Path) -> None:
    """Serve until SIGTERM."""
    sink = Sink(folder)
    server = await asyncio.start_server(sink.talk, "127.0.0.1", port)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sink.end)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
