"""The command line that loads the app, if one does."""

from __future__ import annotations

import sys
from typing import Any


def _command(owner: str) -> tuple[str, dict[str, Any]] | None:
    """The name and the options of the click command that runs in this thread, if its program is of this module.

    click is asked only if something else has loaded it.
    """
    click: Any = sys.modules.get("click")
    context = click.get_current_context(silent=True) if click is not None else None
    if context is None or type(context.find_root().obj).__module__ != owner:
        return None
    return str(context.info_name), dict(context.params)


def flask_command() -> tuple[str, dict[str, Any]] | None:
    """The name and the options of the command of `flask` that runs, such as `run`; None without one."""
    return _command("flask.cli")


def only_administers() -> bool:
    """Whether a command loads the app that serves no requests, such as `flask routes` or `nipo-auth --app`."""
    command = flask_command()
    return (command is not None and command[0] != "run") or _command("nipo_auth_mw.cli._context") is not None
