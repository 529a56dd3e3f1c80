"""`nipo-auth check`: what is wrong, or could be better, with a deployment's settings."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from nipo_auth_mw.cli.context import Context, json_option, show
from nipo_auth_mw.config import AuthConfig
from nipo_auth_mw.errors import StoreUnavailable
from nipo_auth_mw.flows.staff import ADMIN
from nipo_auth_mw.parts.services import Services

_SHORT_SECRET = 43
"""Characters of base64 that hold 256 bits."""


@click.command()
@json_option
@click.pass_obj
def check(context: Context, as_json: bool) -> None:
    """Look at the settings and the store as the server would use them. Exit code 1 when something is wrong.

    `error` is wrong, `warning` is worth a thought, `ok` was looked at and is well.
    """
    with context.services() as services:
        found = [
            {"level": level, "about": about, "text": text}
            for level, about, text in (*_settings(services.config), *_store(context, services))
        ]
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
        yield "ok", "lockout.counters", f"{services.config.lockout.counters.partition(':')[0]}: reachable, shared"
    expired = services.sessions.overdue()
    if expired:
        text = f"at least {expired} sessions are past their time: run `nipo-auth session sweep` by a timer"
        yield "warning", "sweep", text


def _file_of(context: Context) -> str | None:
    """The file of an SQLite store."""
    return context.url.removeprefix("sqlite:///") if context.url.startswith("sqlite:") else None


def _has_admin(services: Services) -> bool:
    holders = getattr(services.directory, "active_with_role", None)
    return holders is None or bool(holders(ADMIN))
