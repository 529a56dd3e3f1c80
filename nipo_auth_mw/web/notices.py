"""Warnings about a deployment, each given once, at the first request that shows the need."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable
from typing import Any

from nipo_auth_mw.config import AuthConfig

_log = logging.getLogger("nipo_auth_mw")

Environ = dict[str, Any]
Warning_ = Callable[[Environ], bool]


def warn_about_mount(config: AuthConfig) -> Warning_:
    """Links in mails use `base_url` alone, so a mounted app must name its mount there. True once it was said."""

    def warning(environ: Environ) -> bool:
        mount = str(environ.get("SCRIPT_NAME", "")).rstrip("/")
        if not mount or mount == config.mount:
            return False
        _log.warning("the server mounts the app at %r, base_url at %r; name the mount in base_url", mount, config.mount)
        return True

    return warning


def warn_about_proxy(config: AuthConfig) -> Warning_:
    """A proxy on this machine with `trusted_proxies=0` makes everybody one client. True once it was said."""

    def warning(environ: Environ) -> bool:
        if config.trusted_proxies or "HTTP_X_FORWARDED_FOR" not in environ:
            return False
        try:
            if not ipaddress.ip_address(environ.get("REMOTE_ADDR") or "").is_loopback:
                return False
        except ValueError:
            return False
        _log.warning(
            "requests come through a proxy on this machine, but trusted_proxies is 0: every visitor counts as one "
            "client address; set trusted_proxies to the number of proxies"
        )
        return True

    return warning
