"""`nipo-auth check`: what is wrong, or could be better, with a deployment's settings."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click

from nipo_auth_mw.cli import live as running
from nipo_auth_mw.cli.context import ACTOR, Context, json_option, show
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.flows.staff import ADMIN
from nipo_auth_mw.parts.services import Services
from nipo_auth_mw.rules import is_loopback

_SHORT_SECRET = 43
"""Characters of base64 that hold 256 bits."""
_A_LOOK = 20
_CLOCK_TOLERANCE = 5
_SEALED_WITHIN = 180
"""Seconds after which a row is sealed for sure while a server lives."""


@click.command()
@click.option("--live", is_flag=True, help="Ask the running server at base_url too: TLS, client addresses, its clock.")
@json_option
@click.pass_obj
def check(context: Context, live: bool, as_json: bool) -> None:
    """Look at the settings and the store as the server would use them. Exit code 1 when something is wrong.

    `error` is wrong, `warning` is worth a thought, `ok` was looked at and is well.
    """
    with context.services() as services:
        looks = [_settings(services.config), _store(context, services), _history(services), _clocks(services)]
        if live:
            looks.append(running.findings(services))
        found = [{"level": level, "about": about, "text": text} for look in looks for level, about, text in look]
    show(found, as_json, "level", "about", "text")
    if any(one["level"] == "error" for one in found):
        sys.exit(1)


Finding = tuple[str, str, str]


def _settings(config: AuthConfig) -> Iterator[Finding]:
    if "NIPO_AUTH_BASE_URL" not in os.environ:
        yield "error", "base_url", "NIPO_AUTH_BASE_URL is not set in this shell, so links in mails cannot be checked"
    elif config.secure:
        yield "ok", "base_url", f"people reach {config.base_url} by https; cookies are Secure"
    else:
        yield "warning", "base_url", "plain http: for development on this machine only"
    if any(len(secret) < _SHORT_SECRET for secret in config.secrets):
        yield "warning", "secret_key", "shorter than 43 characters; secrets.token_urlsafe(48) makes a good one"
    else:
        yield "ok", "secret_key", f"{len(config.secrets)} of good length, the first one signs"
    if config.secure and config.trusted_proxies == 0:
        text = "0: right only if TLS ends in the server itself; behind nginx everybody would count as one client"
        yield "warning", "trusted_proxies", text
    else:
        yield "ok", "trusted_proxies", f"{config.trusted_proxies}"
    if not config.site_name:
        yield "warning", "site_name", "not set: pages and mails call the site by its host name"
    if config.timezone == "UTC":
        yield "warning", "timezone", 'UTC: days of the history begin at midnight UTC; such as "Asia/Tokyo"'


def _store(context: Context, services: Services) -> Iterator[Finding]:
    yield "ok", "store", "reachable, tables of this release"
    path = _file_of(context)
    if path is not None and Path(path).stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield "error", "store", f"{path} can be read by other users of this machine: chmod 600"
    if services.directory is not None and not _has_admin(services):
        yield "error", "administrators", "there is none that is active: nipo-auth user add --role admin ADDRESS"
    try:
        services.lockout.limited("192.0.2.1")
    except StoreUnavailable:
        yield "error", "lockout.counters", "out of reach: nobody can sign in"
    else:
        yield from _counters(context, services.config)
    expired = services.sessions.overdue()
    if expired:
        text = f"at least {expired} sessions are past their time: run `nipo-auth session sweep` by a timer"
        yield "warning", "sweep", text


def _counters(context: Context, config: AuthConfig) -> Iterator[Finding]:
    """Whether all processes count in one place."""
    counters = config.lockout.counters
    where = urlsplit(counters).hostname or ""
    if counters == "store":
        reach = "of this machine" if _file_of(context) else "of every machine that uses this database"
        yield "ok", "lockout.counters", f"in the store, shared by all processes {reach}"
    elif is_loopback(where) and not is_loopback(urlsplit(context.url).hostname or "localhost"):
        text = "Redis is on this machine, the store on another: each machine would allow its own number of guesses"
        yield "warning", "lockout.counters", text
    else:
        yield "ok", "lockout.counters", f"{counters.partition(':')[0]}: reachable, shared by all that use it"


def _history(services: Services) -> Iterator[Finding]:
    """What the newest rows tell of the server that wrote them: its secret, its clock, its background thread."""
    newest = services.audit.events(limit=_A_LOOK)
    if not newest:
        yield "ok", "threads", "nothing was written yet, so there is nothing to tell whether background threads work"
        return
    if not any(services.seals.fits(one) for one in newest):
        text = "the history was written with another secret: this shell and the server must have the same"
        yield "error", "secret_key", text
        return
    if newest[0].time.timestamp() > time.time() + _CLOCK_TOLERANCE:
        yield "error", "clock", "the history has an entry of the future: a clock was wrong, or has been set back"
    late = services.seals.unsealed(before=time.time() - _SEALED_WITHIN)
    if any(one.actor != ACTOR and one.event != "session_expired" for one in late):
        text = "entries wait unsealed: the server's background thread, which sends mails too, is not at work (uWSGI: "
        yield "warning", "threads", text + "enable-threads), or the server was stopped before it sealed them"
    else:
        yield "ok", "threads", "what servers wrote is sealed: their background threads, which send mails too, work"


def _clocks(services: Services) -> Iterator[Finding]:
    """This machine's clock against those of the servers it asks."""
    clocks = {"database": getattr(services.users, "now", lambda: None), "redis": services.lockout.now}
    for name, clock in clocks.items():
        there = clock()
        if there is None:
            continue
        ahead = there - time.time()
        if abs(ahead) > _CLOCK_TOLERANCE:
            text = f"the {name} server's clock is {ahead:+.0f} s from this machine's: keep both by NTP"
            yield "error", "clock", text
        else:
            yield "ok", "clock", f"this machine and the {name} server agree"


def _file_of(context: Context) -> str | None:
    """The file of an SQLite store."""
    return context.url.removeprefix("sqlite:///") if context.url.startswith("sqlite:") else None


def _has_admin(services: Services) -> bool:
    holders = getattr(services.directory, "active_with_role", None)
    return holders is None or bool(holders(ADMIN))
