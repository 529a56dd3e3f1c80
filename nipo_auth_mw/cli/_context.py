"""The store, the settings and the output that all commands share."""

from __future__ import annotations

import importlib
import io
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from nipo_auth_mw import _wiring
from nipo_auth_mw._flows.invitations import Invited
from nipo_auth_mw._pages.renderer import Renderer
from nipo_auth_mw._services import Services
from nipo_auth_mw.accounts import Accounts
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import ConfigError, NoSuchAccount
from nipo_auth_mw.legacy import without_secrets
from nipo_auth_mw.middleware import AuthMiddleware
from nipo_auth_mw.models import User
from nipo_auth_mw.stores._sql import SQLStore

ACTOR = "cli"
_A_LOOK = 50
F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
stdin_option = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


class Context:
    """One invocation: the URL of the store and the settings from `NIPO_AUTH_*`, or the host app itself."""

    def __init__(self, url: str, app: str | AuthMiddleware = "") -> None:
        self.url = "" if app else url
        self.app = app

    def store(self) -> SQLStore:
        """Open the store. Raises `ConfigError` for a relative path of an SQLite file."""
        return sql_store_at(self.url, "--store")

    def config(self, *, needs_secret: bool = False) -> AuthConfig:
        """The server's settings.

        `needs_secret`: the command reads or writes data that is keyed with the server's secret. Raises `ConfigError`.
        """
        settings = dict(os.environ)
        if "NIPO_AUTH_SECRET_KEY" not in settings:
            if needs_secret:
                hint = "Set NIPO_AUTH_SECRET_KEY in this shell to the server's."
                problem = "is missing, and this command reads or writes data that is keyed with it"
                raise ConfigError("NIPO_AUTH_SECRET_KEY", problem, hint)
            settings["NIPO_AUTH_SECRET_KEY"] = secrets.token_urlsafe(48)
        settings.setdefault("NIPO_AUTH_BASE_URL", "http://localhost")
        return AuthConfig.from_mapping(settings)

    @contextmanager
    def services(
        self, *, needs_secret: bool = True, writes: bool = True, create_schema: bool = False
    ) -> Iterator[Services]:
        """The services of the commands. Rows of the audit log are keyed, so a command that writes any needs the secret.

        A command that `writes` is refused under another secret than the server's, before it has written anything.
        `create_schema` creates the tables first. With --app the services are the app's own. Raises `ConfigError` and
        `StoreUnavailable`.
        """
        if self.app:
            built = (self.app if isinstance(self.app, AuthMiddleware) else middleware_of(self.app))._services
            own = {id(store): store for store in (built.session_store, built.users, built.audit)}.values()
            for step in ("create_schema", "check") if create_schema else ("check",):
                for store in own:
                    getattr(store, step, lambda: None)()
            yield built
            return
        if not self.url:
            raise click.UsageError("Give --store URL, or --app MODULE:NAME.")
        config = self.config(needs_secret=needs_secret)
        store = self.store()
        try:
            built = services_over(config, store)
            if needs_secret and writes:
                _refuse_another_secret(built, store)
            if create_schema:
                store.create_schema()
            store.check()
            yield built
        finally:
            store.close()

    @contextmanager
    def accounts(self, *, needs_secret: bool = True, create_schema: bool = False) -> Iterator[Accounts]:
        """The accounts; the audit log names the command line as the actor."""
        with self.services(needs_secret=needs_secret, create_schema=create_schema) as built:
            yield Accounts(built, actor=ACTOR)


def sql_store_at(url: str, option: str) -> SQLStore:
    """The store at the URL of an option. Raises `ConfigError` for a relative path of an SQLite file."""
    if url.startswith("sqlite:") and not url.startswith("sqlite:////"):
        hint = "Write sqlite:////absolute/path/auth.db, with four slashes."
        problem = "is a relative path, which the server and this shell may resolve to two files"
        raise ConfigError(option, problem, hint)
    return SQLStore(url)


def services_over(config: AuthConfig, store: SQLStore) -> Services:
    """The services over this store. Asks the store for nothing."""
    return _wiring.build(
        config,
        Renderer(config),
        store=store,
        users=None,
        sessions=None,
        audit=None,
        mailer=None,
        hasher=None,
        legacy_hashers=without_secrets(),
        listeners=(),
    )


def _refuse_another_secret(services: Services, store: SQLStore) -> None:
    """Raise `ConfigError` if the newest rows of the audit log were written with other secrets.

    Those rows are the store's only trace of the secret, and it cannot be guessed from them. One that fits is enough: a
    key may just have been replaced, and an attacker may have inserted rows.
    """
    try:
        store.check()
    except ConfigError:
        return
    newest = [event for event in services.audit.events(limit=_A_LOOK) if event.digest]
    if newest and not any(services.seals.fits(event) for event in newest):
        problem = "is not the secret of the server that wrote the audit log of this store"
        raise ConfigError("NIPO_AUTH_SECRET_KEY", problem, "Set it in this shell to the server's. Nothing was written.")


def middleware_of(app: str) -> AuthMiddleware:
    """The middleware of `module:name`: an `AuthMiddleware`, or an object whose `wsgi_app` is one.

    `module:factory()` is what a function without arguments returns, as for gunicorn. Raises `ConfigError`.
    """
    module, _, name = app.partition(":")
    # As for gunicorn and flask: the folder that the command was called in has the app.
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
        for part in (name or "app").removesuffix("()").split("."):
            found = getattr(found, part)
        found = found() if name.endswith("()") else found
    except (ImportError, AttributeError, ValueError) as problem:
        raise ConfigError("--app", f"{app} cannot be imported ({problem})", "Write it as reports:app.") from None
    for one in (found, getattr(found, "wsgi_app", None)):
        if isinstance(one, AuthMiddleware):
            return one
    hint = "Name the wrapped app; a factory as reports:create_app()."
    raise ConfigError("--app", f"{app} is no AuthMiddleware and has none as wsgi_app", hint)


def find(accounts: Accounts, who: str) -> User:
    """The account with this address or this id, be it the id of the account or one of `login_domain`.

    Raises `NoSuchAccount` for none, and for a text that is the one id of one account and the other id of another.
    """
    named, counted = accounts.find(who), None if "@" in who else accounts.get(who)
    if named is not None and counted is not None and named.id != counted.id:
        raise NoSuchAccount(f"{who!r} is the id of two accounts; write the address, which for one is {named.email}")
    found = named or counted
    if found is None:
        raise NoSuchAccount(f"no account has the address or id {who!r}")
    return found


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Tell an error of the operating system, such as a full disk, in one line. Raises click's `ClickException`."""
    try:
        yield
    except OSError as problem:
        raise click.ClickException(f"{path} cannot be written: {problem.strerror}") from None


def read_password(from_stdin: bool) -> str:
    """Read a password. It is never an argument: those show in `ps` and in the shell's history."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def bear_any_terminal() -> None:
    """Escape what the terminal cannot print: a name in Japanese must not end a command on a terminal in latin-1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def as_json_text(value: Any, indent: int | None = None) -> str:
    """JSON for standard output: in ASCII unless it is UTF-8, since JSON has escapes of its own."""
    in_utf8 = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")
    return json.dumps(value, ensure_ascii=not in_utf8, indent=indent)


def show(rows: Sequence[dict[str, Any]], as_json: bool, *columns: str) -> None:
    """Print one line a row, with the columns between tabs, or all rows as JSON."""
    if as_json:
        click.echo(as_json_text(list(rows), 2))
        return
    for row in rows:
        click.echo("\t".join(_cell(row[column]) for column in columns))


def show_one(row: dict[str, Any], as_json: bool, text: str = "") -> None:
    """Print the outcome of a change: as JSON, or as `text`."""
    if as_json:
        click.echo(as_json_text(row, 2))
    elif text:
        click.echo(text)


def user_row(user: User) -> dict[str, Any]:
    """The user as a dictionary for JSON."""
    return asdict(user) | {"state": "active" if user.active else "disabled"}


def invited_row(services: Services, invited: Invited) -> dict[str, Any]:
    """The end of an invitation, and its link unless a mail brings that, for the one who runs the command."""
    link = f"{services.config.base_url}{services.config.prefix}/{invited.route}" if invited.route else None
    ends = datetime.fromtimestamp(invited.until, UTC).isoformat(timespec="seconds")
    return {"invited_until": ends, "link": link}


def counted(number: int, what: str) -> str:
    """A number of things, such as `1 account` or `2 accounts`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _cell(value: Any) -> str:
    """The cell on one line. A name or a User-Agent must not write a second line or steer the terminal."""
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
