"""What the log may say of an exception that a host app's code raised."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import traceback


def without_message(problem: BaseException) -> str:
    """The type of an exception, and on the next lines where it was raised.

    Its message stays out of the log: that of a host app's store, template or mailer may quote a field or a link.
    """
    frames = "".join(traceback.format_tb(problem.__traceback__))
    return f"{type(problem).__qualname__}\n{frames}"


def unreached(problem: Exception) -> str:
    """The class of an error of a connection, and what is wrong with the certificate, the name of the host, or the way
    there. Nothing of a text that may quote what was sent."""
    why: str | None = None
    if isinstance(problem, ssl.SSLCertVerificationError):
        why = problem.verify_message
    elif isinstance(problem, ssl.SSLError):
        why = problem.reason
    elif isinstance(problem, socket.gaierror):
        why = "the host name is unknown, or no name server answers"
    elif type(problem) is OSError and problem.errno:
        why = os.strerror(problem.errno)
    return f"{type(problem).__name__}: {why}" if why else type(problem).__name__


def file_limit() -> str:
    """What to do if this process may open no further file or socket; "" if it may.

    Drivers do not tell: SQLite says that it cannot open the file, and libpq nothing at all.
    """
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as problem:
        if problem.errno in {errno.EMFILE, errno.ENFILE}:
            return "this process may open no further file or socket; raise its limit (ulimit -n, LimitNOFILE)"
    return ""
