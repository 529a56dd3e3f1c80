"""Every command of `nipo-auth`, and what to call it with, for the tests that try each of them."""

from __future__ import annotations

from collections.abc import Mapping

import click

from nipo_auth_mw.cli import cli

_UNASKED = {"password_stdin", "yes", "every"}
"""The flags that answer what a command would ask, or want to know, without a name of its own."""


def commands(group: click.Group = cli, before: str = "") -> dict[str, click.Command]:
    """Each command by its name, such as `user add`."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        found |= commands(command, f"{before}{name} ") if isinstance(command, click.Group) else {before + name: command}
    return found


def arguments_of(verb: str, values: Mapping[str, str]) -> list[str]:
    """What this command needs beyond its name, by the names of its parameters. KeyError for one without a value."""
    given = ["--email", values["email"]] if verb == "init" else []
    for one in commands()[verb].params:
        option = isinstance(one, click.Option)
        if one.required:
            given += [one.opts[0]] * option + [values[str(one.name)]]
        elif one.name in _UNASKED:
            given.append(one.opts[0])
    return given
