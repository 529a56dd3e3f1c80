"""The canonical form of an address: one spelling for look-ups, for uniqueness and for the lock.

Canonical first, validated second (CVE-2026-73420): white space at the ends goes, letters become lower case, the domain
becomes its A-label form by UTS 46. Lengths are checked before anything else is done with the text, since normalising
long runs of combining marks is quadratic. Creation refuses what no mailbox of ours may look like; sign-in only asks for
the canonical form. Addresses that Japanese carriers once handed out (`user..y@`, `user.@`) are people's real ones
and are accepted, as are dummy domains such as `.local` and `.invalid`, for staff without a mailbox.
"""

from __future__ import annotations

import re

import idna

from nipo_auth_mw.errors import EmailRejected

LONGEST = 254
_LONGEST_LOCAL = 64
_PRINTABLE = re.compile(r"[!-~]+\Z")
_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]+\Z")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")


def canonical(text: str) -> str | None:
    """The one spelling under which an address is looked up and counted, or None for a text that can have none."""
    try:
        return _canonical(text)
    except EmailRejected:
        return None


def accepted(text: str) -> str:
    """The canonical form of an address that an account may be given. Raises `EmailRejected` with a reason."""
    address = _canonical(text)
    local, _, domain = address.rpartition("@")
    if len(local) > _LONGEST_LOCAL:
        raise EmailRejected("too_long")
    if not _LOCAL.match(local) or local.startswith(("-", ".")):
        raise EmailRejected("bad_character")
    labels = domain.split(".")
    if len(labels) < 2 or len(domain) > 253 or not all(_LABEL.match(label) for label in labels):
        raise EmailRejected("bad_domain")
    if labels[-1].isdigit():
        # An IPv4 address, or something a resolver may take for one.
        raise EmailRejected("bad_domain")
    return address


def _canonical(text: str) -> str:
    if len(text) > LONGEST:
        raise EmailRejected("too_long")
    local, at, domain = text.strip(" \t\u3000").rpartition("@")
    if not at or not local or not domain:
        raise EmailRejected("no_address")
    if not local.isascii():
        # Lower-casing by Unicode's rules would map look-alikes onto ASCII letters (the Kelvin sign onto k).
        raise EmailRejected("not_ascii")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True, transitional=False).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise EmailRejected("bad_domain") from None
    address = f"{local}@{domain}".lower()
    if len(address) > LONGEST:
        raise EmailRejected("too_long")
    if not _PRINTABLE.match(address):
        raise EmailRejected("bad_character")
    return address
