"""Warnings about a deployment, each given once, at the first request that shows the need."""

from __future__ import annotations

import ipaddress
import logging
from typing import Any

from nipo_auth_mw.config import AuthConfig

_log = logging.getLogger("nipo_auth_mw")

Environ = dict[str, Any]


class Warnings:
    """Looks at requests to our own pages, which every deployment sees soon and a busy one seldom."""

    def __init__(self, config: AuthConfig) -> None:
        self._mount = config.mount
        self._open = {"mount", *(() if config.trusted_proxies else ("proxy",))}

    def __call__(self, environ: Environ) -> None:
        if "mount" in self._open:
            self._about_mount(str(environ.get("SCRIPT_NAME", "")).rstrip("/"))
        if "proxy" in self._open and "HTTP_X_FORWARDED_FOR" in environ:
            self._about_proxy(str(environ.get("REMOTE_ADDR") or ""))

    def _about_mount(self, mount: str) -> None:
        """Links in mails use `base_url` alone, so a mounted app must name its mount there."""
        if mount and mount != self._mount:
            self._open.discard("mount")
            _log.warning("the server mounts the app at %r, base_url at %r; name the mount there", mount, self._mount)

    def _about_proxy(self, peer: str) -> None:
        """A proxy on this machine with `trusted_proxies=0` makes everybody one client."""
        try:
            here = ipaddress.ip_address(peer).is_loopback
        except ValueError:
            here = False
        if here:
            self._open.discard("proxy")
            _log.warning(
                "requests come through a proxy on this machine, but trusted_proxies is 0: every visitor counts as one "
                "client address; set trusted_proxies to the number of proxies"
            )
