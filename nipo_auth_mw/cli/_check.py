"""`nipo-auth check`: finds faults in the settings of a deployment."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click

from nipo_auth_mw._flows.staff_actor import ADMIN
from nipo_auth_mw._services import Services
from nipo_auth_mw._throttle.counters import server_time
from nipo_auth_mw._validation import is_loopback
from nipo_auth_mw.cli import _live
from nipo_auth_mw.cli._check_accounts import account_findings, proofs_of_older_keys
from nipo_auth_mw.cli._check_two_steps import two_step_findings
from nipo_auth_mw.cli._context import ACTOR, Context, counted, json_option, show
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import MailerError, StoreUnavailable
from nipo_auth_mw.models import Client, Event

_SHORT_SECRET = 43
"""Characters of base64 that hold 256 bits."""
_A_LOOK = 20
_CLOCK_TOLERANCE = 5
_SENT_WITHIN = 900
"""Seconds within which a mail leaves while the mail server works."""
_SEALED_WITHIN = 180
"""Seconds within which a running server has sealed a row."""


@click.command()
@click.option("--live", is_flag=True, help="Check the running server at base_url too: TLS, client addresses, clock.")
@json_option
@click.pass_obj
def check(context: Context, live: bool, as_json: bool) -> None:
    """Check the settings and the store as the server would use them. Exit code 1 if there is an error.

    An `error` has to be fixed, a `warning` is worth a look, and `ok` names a check that passed.
    """
    with context.services(writes=False) as services:
        looks = [
            _settings(context, services.config),
            _store(context, services),
            two_step_findings(services),
            account_findings(services, of_app=bool(context.app)),
            _older_keys(services),
            _history(services),
            _clocks(services),
            _mails(services),
            _mailer(services) if context.app else (),
        ]
        if live:
            looks.append(_live.findings(services))
        found = [{"level": level, "about": about, "text": text} for look in looks for level, about, text in look]
    show(found, as_json, "level", "about", "text")
    if any(one["level"] == "error" for one in found):
        sys.exit(1)


Finding = tuple[str, str, str]


def _settings(context: Context, config: AuthConfig) -> Iterator[Finding]:
    """Findings about the settings alone."""
    if not context.app and "NIPO_AUTH_BASE_URL" not in os.environ:
        yield "error", "base_url", "NIPO_AUTH_BASE_URL is not set in this shell, so links in mails cannot be checked"
    elif config.secure:
        yield "ok", "base_url", f"users reach {config.base_url} by https; cookies are Secure"
    else:
        yield "warning", "base_url", "is plain http, for development on this machine only"
    if any(len(secret) < _SHORT_SECRET for secret in config.secrets):
        yield "warning", "secret_key", "is shorter than 43 characters; secrets.token_urlsafe(48) makes a good one"
    else:
        yield "ok", "secret_key", f"{len(config.secrets)} of sufficient length; the first one signs"
    if config.secure and config.trusted_proxies == 0:
        text = "is 0, which is right only if no proxy is in front; behind one, all visitors count as one client"
        yield "warning", "trusted_proxies", text
    else:
        yield "ok", "trusted_proxies", f"{config.trusted_proxies}"
    if "/*" in config.public_paths:
        rest = "only protected_paths require a session" if config.protected_paths else "no path requires a session"
        yield "warning", "public_paths", f'has "/*", so the whole app is public and {rest}'
    if not config.site_name:
        yield "warning", "site_name", "is not set, so pages and mails show the host name"
    if config.timezone == "UTC":
        yield (
            "warning",
            "timezone",
            'is UTC, so days of the audit log begin at midnight UTC; set one such as "Asia/Tokyo"',
        )


def _store(context: Context, services: Services) -> Iterator[Finding]:
    """Findings about the store, its administrators, the attempt counters and the sweep."""
    yield "ok", "store", "is reachable, with the tables of this release"
    path = _file_of(context)
    if path is not None and Path(path).stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield "error", "store", f"{path} can be read by other users of this machine; run chmod 600"
    if services.directory is not None and not _has_admin(services):
        yield "error", "administrators", "no active one exists; run nipo-auth user add --role admin ADDRESS"
    try:
        services.client_limit.limited(Client("192.0.2.1"))
    except StoreUnavailable:
        yield "error", "lockout.storage", "cannot be reached, so no user can sign in"
    else:
        yield from _counters(context, services.config)
    if expired := services.sessions.overdue():
        number = counted(expired, "session")
        text = f"at least {number} expired and did not end; run `nipo-auth session sweep` by a timer"
        yield "warning", "sweep", text


def _counters(context: Context, config: AuthConfig) -> Iterator[Finding]:
    """Whether all processes share the attempt counters."""
    counters = config.lockout.storage
    where = urlsplit(counters).hostname or ""
    if counters == "store":
        reach = "of this machine" if _file_of(context) else "of every machine that uses this database"
        yield "ok", "lockout.storage", f"is the store, shared by all processes {reach}"
    elif is_loopback(where) and not is_loopback(urlsplit(context.url).hostname or "localhost"):
        text = "Redis runs on this machine and the store on another, so each machine would count guesses separately"
        yield "warning", "lockout.storage", text
    else:
        yield "ok", "lockout.storage", f"{counters.partition(':')[0]} is reachable, shared by all processes that use it"


def _older_keys(services: Services) -> Iterator[Finding]:
    """Whether the secret keys behind the first one can be dropped."""
    if len(services.config.secrets) == 1:
        return
    left = services.sessions.on_older_keys()
    if left is None:
        text = "the session store has no restamp_session; drop the older keys when all earlier sessions are over"
        yield "warning", "older_keys", text
    elif left:
        yield "warning", "older_keys", f"{counted(left, 'session')} not used since the first key came would end"
    proofs, codes = proofs_of_older_keys(services)
    if proofs:
        number = counted(proofs, "account")
        yield "warning", "older_keys", f"{number} with an app or a passkey of an older key, which would end"
    if codes:
        number = counted(codes, "account")
        text = f"{number} with backup codes of an older key, which would end; their users have to make new ones"
        yield "warning", "older_keys", text
    if left == 0 and not proofs and not codes:
        yield "ok", "older_keys", "no session needs them; drop them when links that were mailed before are over"


def _history(services: Services) -> Iterator[Finding]:
    """Findings from the newest rows of the audit log about their server: secret, clock, background thread."""
    newest = services.audit.events(limit=_A_LOOK)
    if not newest:
        yield "ok", "threads", "not checked, since the audit log is empty"
        return
    if not any(services.seals.fits(one) for one in newest):
        text = "the audit log's newest rows have a key that is not among the secret keys; set the server's here"
        yield "error", "secret_key", text
        return
    if newest[0].time.timestamp() > time.time() + _CLOCK_TOLERANCE:
        yield "error", "clock", "the audit log has a row from the future: a clock was wrong, or has been set back"
    late = services.seals.unsealed(before=time.time() - _SEALED_WITHIN)
    if any(map(_is_of_a_server, late)):
        text = "rows are not sealed: the server's background thread, which also sends mails, does not run (uWSGI: set "
        yield "warning", "threads", text + "enable-threads), or the server stopped before it sealed them"
    elif any(map(_is_of_a_server, newest)):
        yield "ok", "threads", "the servers' rows are sealed, so their background threads, which also send mails, run"
    else:
        yield "ok", "threads", "not checked, since none of the newest rows of the audit log is of a server"


def _is_of_a_server(row: Event) -> bool:
    """Whether a server wrote the row: a command names itself, and ends expired sessions as a server does."""
    return row.actor != ACTOR and row.event != "session_expired"


def _clocks(services: Services) -> Iterator[Finding]:
    """This machine's clock against those of the database and Redis."""
    clocks = {"database": getattr(services.users, "now", lambda: None), "redis": lambda: server_time(services.counters)}
    for name, clock in clocks.items():
        there = clock()
        if there is None:
            continue
        ahead = there - time.time()
        if abs(ahead) > _CLOCK_TOLERANCE:
            text = f"the {name} server's clock is {ahead:+.0f} s from this machine's; set both by NTP"
            yield "error", "clock", text
        else:
            yield "ok", "clock", f"this machine and the {name} server agree"


def _mails(services: Services) -> Iterator[Finding]:
    """Findings about the outbox."""
    rows = services.outbox.rows
    if not services.outbox.is_durable:
        yield "warning", "mail", "the session store keeps no mails, so a process that is killed loses those that wait"
        return
    failed = rows.count_mails("failed")
    waiting = [*rows.mails(state="waiting", limit=1), *rows.mails(state="asked", limit=1)]
    late = [one for one in waiting if one.queued_at < time.time() - _SENT_WITHIN]
    if failed:
        yield "warning", "mail", f"gave up on {counted(failed, 'mail')}; `nipo-auth mail list --failed` shows more"
    if any(one.tries == 0 for one in late):
        yield "error", "mail", "mails wait, and no process sends them: start the server, or run `nipo-auth mail send`"
    elif late:
        yield "warning", "mail", f"mails are late: {late[0].reason or 'no answer yet'}"
    elif not failed:
        yield "ok", "mail", "no mail is late, and none was given up"


def _mailer(services: Services) -> Iterator[Finding]:
    """Whether the app's mailer reaches its server. The mails of a request for a new password go there."""
    if not services.outbox.sends:
        yield "warning", "mailer", "the app has none, so users get no mails and cannot set a new password themselves"
        return
    try:
        asked = services.outbox.check_mailer()
    except MailerError as problem:
        yield "error", "mailer", f"the mail server takes no mails: {problem}"
        return
    if asked:
        yield "ok", "mailer", "the mail server answers; `nipo-auth mail test ADDRESS` sends a mail"
    else:
        yield "ok", "mailer", "not checked, since it has no method check; `nipo-auth mail test ADDRESS` sends a mail"


def _file_of(context: Context) -> str | None:
    """The file of an SQLite store."""
    return context.url.removeprefix("sqlite:///") if context.url.startswith("sqlite:") else None


def _has_admin(services: Services) -> bool:
    """Whether an active administrator exists."""
    holders = getattr(services.directory, "active_with_role", None)
    return holders is None or bool(holders(ADMIN))
