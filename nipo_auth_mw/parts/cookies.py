"""Reading one cookie out of a header, and writing one.

The standard library's `SimpleCookie` drops every cookie when one pair is broken, raises on a nameless one and takes the
last of two with one name; a sibling sub-domain can plant any of these. So our own names are looked for and nothing
else is interpreted: a broken neighbour costs nothing, and two cookies of one name count as none, because their order is
the attacker's choice (CVE-2023-23934; RFC 6265bis, section 8.6).
"""

from __future__ import annotations

from typing import Any

from werkzeug.http import dump_cookie

LONGEST_HEADER = 32 * 1024


def read(header: str, name: str) -> str | None:
    """The value of the one cookie called `name`; None when there is none, or more than one."""
    start = header.find(name)
    if start < 0 or len(header) > LONGEST_HEADER:
        return None
    end = start + len(name)
    first = start == 0 or header[start - 2 : start] == "; "
    if first and header[end : end + 1] == "=" and header.find(name, end) < 0:
        # As browsers write it, once: no need to look at the other pairs.
        return _unquoted(header[end + 1 :].partition(";")[0].strip(" \t"))
    found: str | None = None
    for pair in header.split(";"):
        key, equals, value = pair.partition("=")
        if equals and key.strip(" \t") == name:
            if found is not None:
                return None
            found = value.strip(" \t")
    return None if found is None else _unquoted(found)


def _unquoted(value: str) -> str:
    """Without one pair of double quotes, which some clients add."""
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value


class Cookie:
    """One cookie of ours: its name, its flags, how to set it and how to take it away.

    `secure` follows `base_url` alone: `__Host-` binds the cookie to this very host and to Path=/, so that no sibling
    sub-domain can plant or shadow it (RFC 6265bis, section 4.1.3.2; ASVS 5 3.3.1).
    """

    def __init__(self, name: str, *, secure: bool, lasts: int, http_only: bool = True) -> None:
        self.name = f"__Host-{name}" if secure and http_only else name
        self._flags: dict[str, Any] = {"path": "/", "httponly": http_only, "samesite": "Lax", "secure": secure}
        self._lasts = lasts

    def read(self, header: str) -> str | None:
        return read(header, self.name)

    def set(self, value: str, *, kept: bool = True) -> str:
        """A Set-Cookie value. Not kept: it goes when the browser closes."""
        return self._dump(value, max_age=self._lasts if kept else None)

    def delete(self) -> str:
        return self._dump("", max_age=0, expires=0)

    def _dump(self, value: str, **lifetime: Any) -> str:
        return dump_cookie(self.name, value, **lifetime, **self._flags)
