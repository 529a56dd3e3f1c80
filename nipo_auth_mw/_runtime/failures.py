"""What the log may say of an exception that a host app's code raised."""

from __future__ import annotations

import traceback


def without_message(problem: BaseException) -> str:
    """The type of an exception, and on the next lines where it was raised.

    Its message stays out of the log: that of a host app's store, template or mailer may quote a field or a link.
    """
    frames = "".join(traceback.format_tb(problem.__traceback__))
    return f"{type(problem).__qualname__}\n{frames}"
