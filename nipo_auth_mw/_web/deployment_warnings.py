"""Warnings about a deployment, each logged once, at the first request that shows the fault."""

from __future__ import annotations

import ipaddress
import logging
from typing import Any

from nipo_auth_mw.config import AuthConfig

_log = logging.getLogger("nipo_auth_mw")

Environ = dict[str, Any]


class DeploymentWarnings:
    """Checks requests to the middleware's own pages, so that requests to the host app cost nothing."""

    def __init__(self, config: AuthConfig) -> None:
        self._mount = config.mount
        self._open = {"mount", *(() if config.trusted_proxies else ("proxy",))}

    def __call__(self, environ: Environ) -> None:
        """Check one request."""
        if "mount" in self._open:
            self._about_mount(str(environ.get("SCRIPT_NAME", "")).rstrip("/"))
        if "proxy" in self._open and "HTTP_X_FORWARDED_FOR" in environ:
            self._about_proxy(str(environ.get("REMOTE_ADDR") or ""))

    def _about_mount(self, mount: str) -> None:
        """Warn if `base_url` lacks the mount of the app: links in mails use `base_url` alone."""
        if mount and mount != self._mount:
            self._open.discard("mount")
            _log.warning(
                "the server mounts the app at %r, base_url names %r; add the mount to base_url", mount, self._mount
            )

    def _about_proxy(self, peer: str) -> None:
        """Warn if a proxy hides the client addresses: all visitors would count as one client."""
        try:
            here = ipaddress.ip_address(peer).is_loopback
        except ValueError:
            here = False
        if here:
            self._open.discard("proxy")
            _log.warning(
                "requests come through a proxy on this machine, but trusted_proxies is 0: all visitors count as one "
                "client address; set trusted_proxies to the number of proxies"
            )
