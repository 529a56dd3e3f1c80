"""No command and no mail of a development day ends because a terminal cannot print a name."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from unittest import mock

import pytest

from nipo_auth_mw.cli import main
from nipo_auth_mw.mailers import ConsoleMailer
from nipo_auth_mw.models import Message
from tests.commands import arguments_of, commands
from tests.kit import PASSWORD
from tests.mechanisms.test_cli import settings_of

NAME = "山田 太郎 é 🙂"
WHO = "yamada@example.com"
# The second account, whatever its address is meanwhile.
VALUES = {"who": "2", "name": NAME, "role": "staff", "address": "second@example.com", "language": "fr"}
# `dev-cert` writes files and prints their names alone. The last command leaves no account to the others.
COMMANDS = sorted((verb for verb in commands() if verb != "dev-cert"), key=lambda verb: verb == "user delete")
ONCE = {"user add", "user delete", "i18n init"}
ENCODINGS = ["ascii", "latin-1", "cp932", "cp1252", "utf-8"]


pytestmark = pytest.mark.usefixtures("quick_hashes")


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding):
        self.sink = io.BytesIO()
        super().__init__(self.sink, encoding=encoding, write_through=True)


def run(store, encoding, *arguments):
    """The exit code, and what was printed, as the terminal's encoding reads it."""
    out, err = Terminal(encoding), Terminal(encoding)
    with (
        mock.patch.dict(os.environ, settings_of(store), clear=True),
        mock.patch.multiple(sys, stdout=out, stderr=err, stdin=io.StringIO(f"{PASSWORD}\n")),
    ):
        try:
            main(list(arguments))
            code = 0
        except SystemExit as end:
            code = end.code or 0
    return code, *(one.sink.getvalue().decode(encoding, "replace") for one in (out, err))


# ASCII can print the least. Each other encoding is tried with one command of each kind of output.
SOME = ["init", "user add", "user list", "audit export"]


@pytest.mark.parametrize(("encoding", "tried"), [("ascii", COMMANDS), *((one, SOME) for one in ENCODINGS[1:])])
def test_every_command_bears_a_terminal_that_cannot_print_a_name(tmp_path, monkeypatch, encoding, tried):
    monkeypatch.chdir(tmp_path)
    store = f"sqlite:///{tmp_path / 'auth.db'}"
    for command in tried:
        for more in ([], ["--json"]) if command not in ONCE else ([],):
            file = tmp_path / f"{command}{len(more)}"
            if command == "user import":
                file.write_text(f"email,name\np{len(more)}@example.com,{NAME}\n", "utf-8")
            email = "admin@example.com" if command == "init" else WHO
            given = arguments_of(command, {**VALUES, "email": email, "file": str(file), "url": f"sqlite:///{file}"})
            given += {"user list": [NAME[:2]], "user invite": ["--revoke"]}.get(command, [])
            given += ["--name", NAME] if command in {"init", "user add"} else []
            code, out, err = run(store, encoding, *command.split(), *given, *more)
            # `check` finds that base_url is not set in this shell, and `mail send` no mailer.
            assert code == {"check": 1, "mail send": 2, "mail test": 2}.get(command, 0), (command, err)
            assert "Traceback" not in err
            if more and command == "user list":
                assert json.loads(out)[0]["name"] == NAME, "JSON has escapes of its own"
            elif command == "user list":
                assert WHO in out
            elif command == "audit export" and not more:
                assert len({len(row) for row in csv.reader(io.StringIO(out))}) == 1


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_refusal_bears_it_too(tmp_path, encoding):
    store = f"sqlite:///{tmp_path / 'auth.db'}"
    run(store, encoding, "init", "--email", "admin@example.com", "--password-stdin")
    for arguments in (
        ["user", "disable", NAME],
        ["user", "add", NAME, "--password-stdin"],
        ["audit", "list", "--event", NAME],
    ):
        code, out, err = run(store, encoding, *arguments)
        assert code in {1, 2}
        assert "Traceback" not in out + err


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_mail_is_printed_on_any_console_with_its_link(monkeypatch, encoding):
    out = Terminal(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    ConsoleMailer().send(Message(WHO, f"【日報】{NAME}", f"{NAME}\nhttp://localhost/-/auth/reset/1\n"))
    printed = out.sink.getvalue().decode(encoding)
    assert "http://localhost/-/auth/reset/1\n" in printed.replace("\r", "")
    assert (NAME in printed) is (encoding == "utf-8")
