"""Flask's command line, when it is what loads the app."""

from __future__ import annotations

import sys
from typing import Any


def flask_command() -> tuple[str, dict[str, Any]] | None:
    """The name and the options of the command of `flask` that runs in this thread, such as `run`; None without one.

    click is asked only if something else has loaded it.
    """
    click: Any = sys.modules.get("click")
    context = click.get_current_context(silent=True) if click is not None else None
    if context is None or type(context.find_root().obj).__module__ != "flask.cli":
        return None
    return str(context.info_name), dict(context.params)


def only_administers() -> bool:
    """Whether the app is loaded by a command of `flask` that serves no requests, such as `flask routes`."""
    command = flask_command()
    return command is not None and command[0] != "run"
