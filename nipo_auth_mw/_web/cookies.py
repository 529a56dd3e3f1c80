"""Reading one cookie out of a header, and writing one.

The standard library's `SimpleCookie` drops every cookie if one pair is broken, raises on a nameless one, and takes the
last of two with one name. An attacker on a sibling sub-domain can plant any of these. So this module looks for one name
and parses nothing else: a broken pair beside it does no harm. Two cookies with one name count as none, because the
attacker chooses their order (CVE-2023-23934; RFC 6265bis, section 8.6).
"""

from __future__ import annotations

import re
from typing import Any

from werkzeug.http import dump_cookie

from nipo_auth_mw._web.server_headers import replace_copies

STEM = "nipo_"
"""Each cookie's name holds it."""
LONGEST_HEADER = 32 * 1024
_SAFE = re.compile(r"[A-Za-z0-9._-]*")
# Where other libraries keep what they have parsed of the Cookie header.
_PARSED = ("webob._parsed_cookies", "paste.cookies", "paste.cookies.dict", "bottle.request.cookies", "werkzeug.request")


def take(header: str, name: str) -> tuple[str | None, str]:
    """The value of the one cookie called `name`, and the header without that name.

    The value is None if there is no such cookie, or more than one. The name is compared byte for byte: any character
    beside it except a blank or a tab makes it another name ("cookie prefix disguise", PortSwigger 2025). The other
    pairs stay as the client wrote them.
    """
    if name not in header:
        return None, header
    before, found, after = header.partition(name + "=")
    alone = found and (not before or before[-2:] == "; ") and name not in before and name not in after
    if alone and len(header) <= LONGEST_HEADER:
        # The name stands in the header once, as browsers write it, so the other pairs need no parsing.
        value, more, rest = after.partition("; ")
        if ";" not in value and '"' not in value:
            return value.strip(" \t"), before + rest if more else before[:-2]
    values, kept = [], []
    pairs = header.split(";")
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if equals and key.strip(" \t") == name:
            values.append(value)
        else:
            kept.append(pair)
    # The blank before a pair belongs to the separator.
    rest = ";".join(kept) if kept[:1] == pairs[:1] else ";".join(kept).lstrip(" \t")
    return _bare(values[0]) if len(values) == 1 and len(header) <= LONGEST_HEADER else None, rest


def _bare(value: str) -> str:
    """The value without blanks and tabs around it, and without one pair of double quotes, which some clients add."""
    value = value.strip(" \t")
    return value[1:-1] if value[:1] == '"' == value[-1] and len(value) >= 2 else value


def take_out(environ: dict[str, Any], cookie: Cookie, *others: Cookie) -> str | None:
    """Take the middleware's cookies out of a request with a Cookie header. Returns the value of the first one.

    An app that logs or echoes the header, or hands it to another program, then holds no secret of the middleware.
    """
    header = environ["HTTP_COOKIE"]
    value, rest = take(header, cookie.name)
    if STEM in rest:
        for other in others:
            _, rest = take(rest, other.name)
    if len(rest) != len(header):
        environ["HTTP_COOKIE"] = rest
        if not rest:
            del environ["HTTP_COOKIE"]
        if not environ.keys().isdisjoint(_PARSED):
            for key in _PARSED:
                environ.pop(key, None)
        replace_copies(environ, {"HTTP_COOKIE"}, *([("Cookie", rest)] if rest else []))
    return value


class Cookie:
    """One cookie of the middleware: its name, its flags, and how to set and delete it.

    `secure` follows `base_url` alone. `__Host-` binds the cookie to this host and to Path=/, so that no attacker on a
    sibling sub-domain can plant or shadow it (RFC 6265bis, section 4.1.3.2; ASVS 5 3.3.1). `lasts` is in seconds.
    """

    def __init__(self, name: str, *, secure: bool, lasts: int, http_only: bool = True) -> None:
        self.name = f"__Host-{name}" if secure and http_only else name
        flags: dict[str, Any] = {"path": "/", "httponly": http_only, "samesite": "Lax", "secure": secure}
        # Max-Age without Expires: every browser in use knows it, and no date has to be written for each answer.
        flags["sync_expires"] = False
        self._persistent = dump_cookie(self.name, max_age=lasts, **flags).partition(";")[2]
        self._of_browser = dump_cookie(self.name, **flags).partition(";")[2]
        self._deleted = dump_cookie(self.name, max_age=0, expires=0, **flags)

    def read(self, header: str) -> str | None:
        """The value of this cookie in a Cookie header, or None."""
        return take(header, self.name)[0]

    def set(self, value: str, *, persistent: bool = True) -> str:
        """The value of Set-Cookie. Without `persistent` the browser drops the cookie when it closes."""
        if not _SAFE.fullmatch(value):
            raise ValueError("this value of a cookie would have to be quoted")
        return f"{self.name}={value};{self._persistent if persistent else self._of_browser}"

    def delete(self) -> str:
        """The value of Set-Cookie that deletes this cookie."""
        return self._deleted
