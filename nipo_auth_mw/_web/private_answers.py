"""Answers to a session, kept out of shared caches (RFC 9111, section 3; RFC 9213).

An app that was public before it was wrapped goes on saying `Cache-Control: public`. A proxy or a content delivery
network would hand its page of one user to every visitor. So an answer to a session is private, whatever the app says,
and the browser asks again after sign-out. What the app says more strictly stays.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from nipo_auth_mw._web.guard import Guard
from nipo_auth_mw._web.intercept_401 import StartResponse, Write

Headers = list[tuple[str, str]]

# Headers for one cache or one vendor's, which count above Cache-Control there. RFC 9213 names them `…-Cache-Control`.
_TARGETED = frozenset({"surrogate-control", "edge-control", "x-accel-expires"})
# A directive with its value, or an empty place between two commas.
_DIRECTIVE = re.compile(r"""\s*(?:([^\s,="]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*))?)?\s*(?:,|\Z)""")
_ASSETS = ("text/css", "text/javascript", "application/javascript", "font/", "image/", "audio/", "video/")
_OPEN = frozenset({"public", "s-maxage"})
_UNREADABLE = "private, no-cache"
_UNSAID = ("Cache-Control", "private, no-cache")
_VARY = ("Vary", "Cookie")


class _Kinds(dict[str, str]):
    """What a header is to caches, by its name as an app spells it; "" for nothing."""

    def __missing__(self, name: str) -> str:
        low = name.lower()
        targeted = "targeted" if low in _TARGETED or low.endswith("-cache-control") else ""
        kind = low if low in {"cache-control", "vary", "expires"} else targeted
        # An app that makes names up must not fill the memory.
        if len(self) < 512:
            self[name] = kind
        return kind


_KINDS = _Kinds()


def private(start_response: StartResponse, guard: Guard, path: str) -> StartResponse:
    """`start_response` that makes the answer private. `path` is PATH_INFO of the request."""

    def start(status: str, headers: Headers, exc_info: Any = None) -> Write:
        headers = privately(status, headers, guard, path)
        return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

    return start


def privately(status: str, headers: Headers, guard: Guard, path: str) -> Headers:
    """The headers of an answer that no shared cache may keep.

    An asset on a public path whose app says `public` is the same for all users, so it stays as it is: a style sheet, a
    script, an image, or a 304, which names no type.
    """
    for name, _ in headers:
        if _KINDS[name]:
            break
    else:
        # Most apps say nothing. A 304 that says nothing leaves the stored answer as it is.
        return [*headers, _VARY] if status[:3] == "304" else [*headers, _UNSAID, _VARY]
    kept: Headers = []
    cache = vary = ""
    asset, expires = status[:3] == "304", False
    for pair in headers:
        kind = _KINDS[pair[0]]
        if kind == "cache-control":
            cache = f"{cache}, {pair[1]}" if cache else pair[1]
        elif kind == "vary":
            vary = f"{vary}, {pair[1]}" if vary else pair[1]
        elif kind != "targeted" or _is_strict(pair[1]):
            kept.append(pair)
            asset = asset or (pair[0].lower() == "content-type" and pair[1].lower().startswith(_ASSETS))
            expires = expires or kind == "expires"
    if asset and cache and _is_open(cache) and not guard.needs_session(path):
        return headers
    if cache:
        kept.append(("Cache-Control", made_private(cache)))
    elif status[:3] != "304":
        kept.append(("Cache-Control", "private") if expires else _UNSAID)
    kept.append(("Vary", _by_cookie(vary)))
    return kept


def may_carry_the_cookie(headers: Headers) -> bool:
    """Whether the app lets no shared cache keep the answer, by what it says or by saying nothing (CVE-2023-30861).

    The answer leaves as a private one in any case. A cache that goes by its own rules follows the app's words.
    """
    if any(_KINDS[name] == "targeted" and not _is_strict(text) for name, text in headers):
        return False
    cache = ", ".join(text for name, text in headers if _KINDS[name] == "cache-control")
    found = _directives(cache)
    if not cache or found is None:
        return not cache and not any(_KINDS[name] == "expires" for name, _ in headers)
    named = {name for name, _ in found}
    closed = ("private", None) in found or ("no-store", None) in found
    return not named & _OPEN and (closed or "max-age" not in named)


@lru_cache(maxsize=256)
def made_private(cache: str) -> str:
    """A Cache-Control without what opens the answer to shared caches, and with `private`, unless it says `no-store`."""
    found = _directives(cache)
    if found is None:
        return _UNREADABLE
    closed = ("private", None) in found or ("no-store", None) in found
    if closed and not any(name in _OPEN or (name == "private" and value) for name, value in found):
        return cache
    # `private="Set-Cookie"` closes one header and opens the rest.
    rest = [(name, value) for name, value in found if name not in _OPEN and name != "private"]
    told = [name if value is None else f"{name}={value}" for name, value in rest]
    return ", ".join(told if ("no-store", None) in rest else ["private", *told])


def _directives(cache: str) -> list[tuple[str, str | None]] | None:
    """The directives of a Cache-Control, names in lower case; None for a text that two caches may read differently."""
    found: list[tuple[str, str | None]] = []
    at = 0
    while at < len(cache):
        match = _DIRECTIVE.match(cache, at)
        if match is None:
            return None
        if match[1]:
            found.append((match[1].lower(), match[2]))
        at = match.end()
    return found


@lru_cache(maxsize=256)
def _by_cookie(vary: str) -> str:
    """The Vary header with Cookie: a browser and a cache that ignores `private` then ask again after sign-out."""
    named = {part.strip().lower() for part in vary.split(",")}
    return vary if named & {"cookie", "*"} else f"{vary}, Cookie" if vary else "Cookie"


def _is_strict(text: str) -> bool:
    """Whether a header for one cache forbids that cache to keep the answer."""
    named = {(name, value) for name, value in _directives(text) or ()}
    return bool(named & {("no-store", None), ("private", None), ("0", None)})


@lru_cache(maxsize=256)
def _is_open(cache: str) -> bool:
    """Whether a Cache-Control opens the answer to shared caches."""
    return any(name in _OPEN for name, _ in _directives(cache) or ())
