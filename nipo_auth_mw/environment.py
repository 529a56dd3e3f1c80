"""`from_environ`: what `AuthMiddleware` is built with, out of the environment, and what a development day makes up."""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nipo_auth_mw import mailers, stores
from nipo_auth_mw._runtime.commands import only_administers
from nipo_auth_mw._validation import is_loopback
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.mailers import ConsoleMailer
from nipo_auth_mw.models import Message
from nipo_auth_mw.stores._files import give_name, write_new

__all__ = ["from_environ"]

_PREFIX = "NIPO_AUTH_"
_BASE_URL, _SECRET, _STORE = (_PREFIX + name for name in ("BASE_URL", "SECRET_KEY", "STORE"))
_SMTP, _SENDER, _NAME = (_PREFIX + name for name in ("SMTP_URL", "SENDER", "SENDER_NAME"))
_FOLDER = _PREFIX + "DEVELOPMENT"
# Names that no public resolver knows: RFC 6761, RFC 6762, RFC 8375, ICANN's resolution of 29 July 2024.
_PRIVATE_NAMES = (".local", ".test", ".internal", ".home.arpa")
_log = logging.getLogger("nipo_auth_mw")

_stand_in: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
"""Set by the test kit's plugin alone, in the process of the tests."""


def from_environ(
    mapping: Mapping[str, Any] | None = None, *, development: str | Path | None = None, base_url: str = ""
) -> dict[str, Any]:
    """The settings, store and mailer for `AuthMiddleware(app, **from_environ())`, out of `NIPO_AUTH_…`.

    `mapping` is `os.environ` by default. Beside the settings, NIPO_AUTH_STORE is the store's URL, and
    NIPO_AUTH_SMTP_URL, NIPO_AUTH_SENDER and NIPO_AUTH_SENDER_NAME are what `SMTPMailer` takes; without the first two no
    mail is sent.

    `development`, or NIPO_AUTH_DEVELOPMENT, is a folder, which makes this a development set-up. What is missing then is
    made up: `base_url` (`http://localhost:8000` if this argument names none), a secret key in a file that only its
    owner can read, an SQLite file with its tables, and a mailer that prints. Cookies get a name of the folder's own, so
    that two apps on localhost do not sign each other out. A value that is given is never replaced.

    Raises `ConfigError` for a setting that is missing or bad. Nothing is made up for a public `base_url`, so a server
    that was started in development by mistake does not come up.
    """
    return prepared(mapping, development=development, base_url=base_url)


def prepared(
    mapping: Mapping[str, Any] | None,
    *,
    development: str | Path | None,
    base_url: str = "",
    switch: str = f"set {_FOLDER} to a folder instead, such as .nipo-auth",
    init: str = "nipo-auth init, with --app",
    store: Any = None,
) -> dict[str, Any]:
    """`from_environ` in the words of a framework.

    `switch` is what a developer does to have a development set-up. `init` is the command that makes the first account,
    "" if the accounts are in a table of the app. `store` stands for NIPO_AUTH_STORE.
    """
    given = dict(os.environ if mapping is None else mapping)
    if store is not None:
        given[_STORE] = store
    if _stand_in is not None:
        return _stand_in(given)
    folder = development or given.get(_FOLDER)
    if folder:
        return _developing(given, Path(folder).absolute(), base_url or "http://localhost:8000", init)
    for name in (_BASE_URL, _SECRET, _STORE):
        if not given.get(name):
            raise ConfigError(name, "is missing", f"Set it. On a developer's machine, {switch}.")
    return {"config": AuthConfig.from_mapping(given), "store": _store(given[_STORE]), "mailer": _mailer(given)}


def _developing(given: dict[str, Any], folder: Path, base_url: str, init: str) -> dict[str, Any]:
    """The same, with what is missing made up in `folder`. Raises `ConfigError` for a public `base_url`."""
    given.setdefault(_BASE_URL, base_url)
    missing = [name for name in (_SECRET, _STORE) if not given.get(name)]
    host = urlsplit(str(given[_BASE_URL])).hostname or ""
    if missing and not _is_private(host):
        problem = f"is missing, and nothing is made up for {host}, which is a public address"
        raise ConfigError(missing[0], problem, f"Set it. A development set-up has {_BASE_URL}=http://localhost:8000.")
    try:
        _open(folder)
        if not given.get(_SECRET):
            given[_SECRET] = _kept_secret(folder / "secret_key")
    except OSError as problem:
        hint = "Name a folder in which this process may write."
        raise ConfigError(_FOLDER, f"{problem.filename} cannot be used ({problem.strerror})", hint) from None
    given.setdefault(_PREFIX + "REALM", hashlib.sha256(os.fsencode(folder)).hexdigest()[:8])
    config = AuthConfig.from_mapping(given)
    mailer = _mailer(given) or (_Printing() if _is_private(host) else None)
    if given.get(_STORE):
        return {"config": config, "store": _store(given[_STORE]), "mailer": mailer}
    store = stores.SQLStore(f"sqlite:///{folder / 'auth.db'}")
    store.create_schema()
    if init and not only_administers() and not store.search("", after=None, limit=1):
        _log.warning("development: %s has no account yet; make the first: %s", folder, init)
    return {"config": config, "store": store, "mailer": mailer}


def _is_private(host: str) -> bool:
    """Whether a name or an address is of this machine or of a private network."""
    if is_loopback(host):
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_NAMES)


def _open(folder: Path) -> None:
    """Make the folder, for its owner alone, with a file that keeps it out of git."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignored = folder / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", "utf-8")


def _kept_secret(file: Path) -> str:
    """The secret key in the file. Of several processes that make it at once, all get the one that is kept."""
    if not file.exists():
        made = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
        write_new(made, secrets.token_urlsafe(48).encode())
        try:
            with suppress(FileExistsError):
                give_name(made, file)
        finally:
            made.unlink(missing_ok=True)
    return file.read_text("utf-8").strip()


def _store(given: Any) -> Any:
    """The store of a URL; a store as it is."""
    return stores.SQLStore(given) if isinstance(given, str) else given


def _mailer(given: Mapping[str, Any]) -> Any:
    """The mailer of NIPO_AUTH_SMTP_URL and NIPO_AUTH_SENDER; None without both. Raises `ConfigError` for one alone."""
    url, sender = given.get(_SMTP), given.get(_SENDER)
    if not url and not sender:
        return None
    if not url or not sender:
        raise ConfigError(_SENDER if url else _SMTP, "is missing", f"{_SMTP} and {_SENDER} belong together.")
    return mailers.SMTPMailer(url, sender=sender, sender_name=given.get(_NAME) or "")


class _Printing:
    """The mailer of a development set-up: prints each mail, also where a phone of the same network tests over TLS."""

    def __init__(self) -> None:
        self._console = ConsoleMailer()

    def send(self, message: Message) -> None:
        """Print the mail."""
        self._console.send(message)
