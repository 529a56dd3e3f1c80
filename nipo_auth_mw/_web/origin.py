"""The origin of a request: a page of this site, a page of another origin, or a program.

No page can set the headers `Sec-Fetch-Site` and `Origin`, and the cookies are `SameSite=Lax`. So no form needs a token
(Go 1.25's `http.CrossOriginProtection`, whose documentation gives the reasoning; ASVS 5 3.5.1).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from nipo_auth_mw._validation import is_loopback
from nipo_auth_mw.config import AuthConfig

Environ = dict[str, Any]


def is_from_elsewhere(environ: Environ, config: AuthConfig) -> bool:
    """Whether a page of another origin made the browser send this request (cross-site request forgery).

    Every browser in use sends Sec-Fetch-Site with a cross-site POST, and an older one sends Origin. A request without
    both comes from a program, which has no cookies to abuse. Host is not read, since the sender chooses it.
    """
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = environ.get("HTTP_ORIGIN")
    if origin is None or origin == config.origin:
        return False
    return config.secure or not _is_loopback_origin(origin)


def is_other_address(environ: Environ, config: AuthConfig) -> bool:
    """Whether the request comes from a page of this site that the browser opened by another address than `base_url`:
    by http, by IP address, or by another host name.

    No page of an attacker has the origin that Host names. A proxy may have replaced Host. A browser sends no
    Sec-Fetch-Site to an http address, so a form of an http page without it was sent to one, too.
    """
    host, origin = environ.get("HTTP_HOST"), str(environ.get("HTTP_ORIGIN") or "")
    if "HTTP_SEC_FETCH_SITE" in environ or origin == config.origin:
        return False
    by_http = config.secure and re.fullmatch(r"http://[^/]+", origin) is not None
    return by_http or (bool(host) and origin == f"https://{host}")


def _is_loopback_origin(origin: str) -> bool:
    """Whether the origin is a plain http page on this machine."""
    try:
        parts = urlsplit(origin)
        return parts.scheme == "http" and not parts.path and is_loopback(parts.hostname or "")
    except ValueError:
        return False


def names_wrong_host(environ: Environ, config: AuthConfig) -> bool:
    """Whether Host names another machine although `base_url` is plain http.

    This stops a development set-up from serving in production. It also stops DNS rebinding.
    """
    host = environ.get("HTTP_HOST")
    if config.secure or not host:
        return False
    name = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?", host)
    return name is None or not is_loopback(name.group(1))
