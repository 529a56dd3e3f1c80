"""Warnings about a deployment, each logged once, at the first request that shows the fault."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from nipo_auth_mw._validation import header_key
from nipo_auth_mw._web.client_address import client_address, is_private, read
from nipo_auth_mw.config import AuthConfig

_log = logging.getLogger("nipo_auth_mw")
# A front end signs in for so many accounts; a user and their script for fewer.
_MANY_ACCOUNTS = 10
_MOST_CLIENTS = 100
_MISSPELT = frozenset({"role", "roles", "rol", "roll"})
_FORWARDING = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP", "Fastly-Client-IP")

Environ = dict[str, Any]


class DeploymentWarnings:
    """Checks requests to the middleware's own pages, so that requests to the host app cost nothing."""

    def __init__(self, config: AuthConfig) -> None:
        self._config = config
        self._open = {"passed on", "mount", "proxy", "null", "front end", "role"}
        self._accounts: dict[str, set[int]] = {}

    def __call__(self, environ: Environ) -> None:
        """Check one request. A balancer that asks for the health of a process sends no address of a client."""
        if environ.get("PATH_INFO") == f"{self._config.prefix}/health":
            return
        if "mount" in self._open:
            self._about_mount(str(environ.get("SCRIPT_NAME", "")).rstrip("/"))
        if "proxy" in self._open:
            self._about_proxies(environ)
        if environ.get("HTTP_ORIGIN") == "null" and "HTTP_SEC_FETCH_SITE" not in environ:
            self._warn(
                "null",
                "a browser sent the origin null, so its form is refused; if a proxy sets Referrer-Policy: no-referrer, "
                "remove that header",
            )

    def count_sign_in(self, environ: Environ, email: str) -> None:
        """Notice a program at a private address that signs in for many accounts.

        Such a front end is not one client: its failures are those of all its users.
        """
        address = client_address(environ)
        if "front end" not in self._open or len(self._accounts) > _MOST_CLIENTS:
            return
        accounts = self._accounts.setdefault(address, set())
        accounts.add(hash(email.strip().casefold()))
        if len(accounts) >= _MANY_ACCOUNTS:
            self._accounts.clear()
            self._warn(
                "front end",
                "a program at %s signs in for many accounts, so the client limit counts all its users as one; let it "
                "send the address of its user in X-Forwarded-For, and count it in trusted_proxies",
                address,
            )

    def tell_mount_passed_on(self) -> None:
        """Tell that a proxy does not cut the mount off."""
        text = "the proxy passes the mount %r on; let the proxy cut it off, or set SCRIPT_NAME to it"
        self._warn("passed on", text, self._config.mount)

    def notice_parameters(self, names: Iterable[str]) -> None:
        """Notice a parameter of `forward` that may be a misspelt `role`.

        It is not refused: Caddy passes on the query of the page, which may have such a name.
        """
        if "role" not in self._open:
            return
        for name in names:
            if name.casefold() in _MISSPELT:
                self._warn(
                    "role",
                    "a proxy asked %s/forward with the parameter %r and without role, so every user passes; the "
                    "parameter is called role, unless this one is of the page",
                    self._config.prefix,
                    name,
                )

    def _warn(self, about: str, text: str, *values: object) -> None:
        """Log a warning, once."""
        if about in self._open:
            self._open.discard(about)
            _log.warning(text, *values)

    def _about_mount(self, mount: str) -> None:
        """Warn if `base_url` lacks the mount of the app: links in mails use `base_url` alone."""
        if mount and mount != self._config.mount:
            text = "the server mounts the app at %r, base_url names %r; add the mount to base_url"
            self._warn("mount", text, mount, self._config.mount)

    def _about_proxies(self, environ: Environ) -> None:
        """Warn if a proxy hides the client addresses: all visitors would count as one client."""
        trusted = self._config.trusted_proxies
        address = client_address(environ)
        named = [name for name in _FORWARDING if header_key(name) in environ]
        entries = len(str(environ.get("HTTP_X_FORWARDED_FOR", "")).split(",")) if named[:1] == [_FORWARDING[0]] else 0
        if trusted and entries < trusted:
            self._warn(
                "proxy",
                "trusted_proxies is %d, and X-Forwarded-For has %d entries, so the address %s may be that of a proxy "
                "and count all visitors as one client; let each proxy append to X-Forwarded-For",
                trusted,
                entries,
                address or "''",
            )
        elif read(address) is None:
            if named or self._config.secure:
                self._warn(
                    "proxy",
                    "the server names no client address, as on a UNIX socket, so all visitors share one limit; let the "
                    "proxy send X-Forwarded-For and set trusted_proxies to the number of proxies",
                )
        elif named and is_private(address) and (not trusted or entries > trusted):
            self._warn(
                "proxy",
                "trusted_proxies is %d, and a request from %s has %s: if that is the address of a proxy, all visitors "
                "count as one client address; set trusted_proxies to the number of proxies, which have to send "
                "X-Forwarded-For",
                trusted,
                address,
                named[0],
            )
