"""Reading one cookie out of a header, and writing one.

The standard library's `SimpleCookie` drops every cookie if one pair is broken, raises on a nameless one, and takes the
last of two with one name. An attacker on a sibling sub-domain can plant any of these. So this module looks for one name
and parses nothing else: a broken pair beside it does no harm. Two cookies with one name count as none, because the
attacker chooses their order (CVE-2023-23934; RFC 6265bis, section 8.6).
"""

from __future__ import annotations

from typing import Any

from werkzeug.http import dump_cookie

LONGEST_HEADER = 32 * 1024


def read(header: str, name: str) -> str | None:
    """The value of the one cookie called `name`; None if there is none, or more than one."""
    start = header.find(name)
    if start < 0 or len(header) > LONGEST_HEADER:
        return None
    end = start + len(name)
    first = start == 0 or header[start - 2 : start] == "; "
    if first and header[end : end + 1] == "=" and header.find(name, end) < 0:
        # The name stands in the header once, as browsers write it, so the other pairs need no parsing.
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
    """The value without one pair of double quotes, which some clients add."""
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value


class Cookie:
    """One cookie of the middleware: its name, its flags, and how to set and delete it.

    `secure` follows `base_url` alone. `__Host-` binds the cookie to this host and to Path=/, so that no attacker on a
    sibling sub-domain can plant or shadow it (RFC 6265bis, section 4.1.3.2; ASVS 5 3.3.1). `lasts` is in seconds.
    """

    def __init__(self, name: str, *, secure: bool, lasts: int, http_only: bool = True) -> None:
        self.name = f"__Host-{name}" if secure and http_only else name
        self._flags: dict[str, Any] = {"path": "/", "httponly": http_only, "samesite": "Lax", "secure": secure}
        self._lasts = lasts

    def read(self, header: str) -> str | None:
        """The value of this cookie in a Cookie header, or None."""
        return read(header, self.name)

    def set(self, value: str, *, persistent: bool = True) -> str:
        """The value of Set-Cookie. Without `persistent` the browser drops the cookie when it closes."""
        return self._dump(value, max_age=self._lasts if persistent else None)

    def delete(self) -> str:
        """The value of Set-Cookie that deletes this cookie."""
        return self._dump("", max_age=0, expires=0)

    def _dump(self, value: str, **lifetime: Any) -> str:
        """The value of Set-Cookie with this cookie's flags."""
        return dump_cookie(self.name, value, **lifetime, **self._flags)
