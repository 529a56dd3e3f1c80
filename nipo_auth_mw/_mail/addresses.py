"""The canonical form of an email address: one spelling for look-ups, for uniqueness and for the lockout.

An address is made canonical first and validated second (CVE-2026-73420). The canonical form has ASCII characters for
the full-width ones and the hyphens that a Japanese keyboard types, no white space and no invisible characters at its
ends, lower-case letters, and the domain in its A-label form by UTS 46. Every function checks the length before it does
anything else with the text, because normalisation takes quadratic time on long runs of combining marks.

An account can be given only an `accepted` address; sign-in needs only the `canonical` form. Users in Japan still have
addresses such as `user..y@` and `user.@`, which mobile carriers gave out, so these are accepted. So are domains such as
`.local` and `.invalid`, for users without a mailbox. With the setting `login_domain` such a user has a short id.

The only module that imports idna.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import idna

from nipo_auth_mw.errors import EmailRejected

MAX_LENGTH = 254
NEEDS_MAILBOX = "needs_mailbox"
_MAX_LOCAL = 64
_NO_MAILBOX = (".invalid", "@invalid")
"""The domain for users without a mailbox. No server ever receives mail for it (RFC 2606)."""
# Not NFKC, which would also make the Kelvin sign and other look-alikes ASCII.
_HALF_WIDTH = {0xFF01 + offset: 0x21 + offset for offset in range(94)} | {0x3000: " "}
# Hyphens and dashes of documents, which no domain has (RFC 5892).
_HALF_WIDTH |= dict.fromkeys((0x2010, 0x2011, 0x2013, 0x2212), "-")
# What the key of a hyphen types where a Japanese input method is on. A domain may have it, a local part never has.
_LONG_VOWEL_MARKS = dict.fromkeys((0x30FC, 0xFF70), "-")
# What comes along with text that is copied out of documents, mails and spreadsheets.
_INVISIBLE = map(chr, (*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF))
_AT_ENDS = " \t\u00a0" + "".join(_INVISIBLE)
_FULL_STOPS = {0x3002: ".", 0xFF61: "."}
_PRINTABLE = re.compile(r"[!-~]+\Z")
_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]+\Z")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses as the settings have them read: a text without @ is an id, short for an address of `login_domain`.

    Both spellings are one address, with one account and one counter (CVE-2026-19607). No mail goes to `login_domain`.
    """

    login_domain: str = ""

    def canonical(self, text: str) -> str | None:
        """The spelling under which an address or an id is looked up and counted, or None for any other text."""
        return canonical(self._whole(text))

    def accepted(self, text: str) -> str:
        """The canonical form of an address or an id that an account may be given. Raises `EmailRejected`."""
        return accepted(self._whole(text))

    def receiving(self, text: str) -> str:
        """The canonical form of an address that mails can be sent to.

        Raises `EmailRejected`, with the reason `needs_mailbox` for an address without a mailbox.
        """
        address = accepted(text)
        if self.without_mailbox(address):
            raise EmailRejected(NEEDS_MAILBOX)
        return address

    def without_mailbox(self, email: str) -> bool:
        """Whether the address is one for users without a mailbox, by its domain alone."""
        return email.lower().endswith(_NO_MAILBOX) or self.is_login_id(email)

    def is_login_id(self, email: str) -> bool:
        """Whether the address is what an id is short for."""
        return bool(self.login_domain) and email.lower().endswith(f"@{self.login_domain}")

    def has_mailbox(self, to: str) -> bool:
        """Whether mails may be sent to this address of an account."""
        try:
            self.receiving(to)
        except EmailRejected:
            # The host app's own table may hold a text that a mail server reads as two mailboxes.
            return False
        return True

    def _whole(self, text: str) -> str:
        """The address that an id is short for; any other text as it is."""
        if not self.login_domain or len(text) > MAX_LENGTH:
            return text
        login_id = _half_width(text)
        return f"{login_id}@{self.login_domain}" if login_id and "@" not in login_id else text


def canonical(text: str) -> str | None:
    """The spelling under which an address is looked up and counted, or None for a text that is no address."""
    try:
        return _canonical(text)
    except EmailRejected:
        return None


def accepted(text: str) -> str:
    """The canonical form of an address that an account may be given.

    Raises `EmailRejected` with one of the reasons `too_long`, `no_address`, `not_ascii`, `bad_domain`, `bad_character`.
    """
    address = _canonical(text)
    local, _, domain = address.rpartition("@")
    if len(local) > _MAX_LOCAL:
        raise EmailRejected("too_long")
    if not _LOCAL.match(local) or local.startswith(("-", ".")):
        raise EmailRejected("bad_character")
    labels = domain.split(".")
    if len(labels) < 2 or len(domain) > 253 or not all(_LABEL.match(label) for label in labels):
        raise EmailRejected("bad_domain")
    if labels[-1].isdigit():
        # An IPv4 address, or a name that a resolver may read as one.
        raise EmailRejected("bad_domain")
    return address


def has_wrong_letters(text: str) -> bool:
    """Whether an address was typed with kana or kanji on: its local part holds letters that no local part has."""
    return not _half_width(text[:MAX_LENGTH]).partition("@")[0].translate(_LONG_VOWEL_MARKS).isascii()


def _half_width(text: str) -> str:
    """The text with the ASCII characters that its full-width ones stand for, and with nothing blank at its ends."""
    return text.translate(_HALF_WIDTH).strip(_AT_ENDS)


def _canonical(text: str) -> str:
    if len(text) > MAX_LENGTH:
        raise EmailRejected("too_long")
    local, _, domain = _half_width(text).partition("@")
    local, domain = local.translate(_LONG_VOWEL_MARKS), domain.translate(_FULL_STOPS)
    if not local or not domain or "@" in domain:
        raise EmailRejected("no_address")
    if not local.isascii():
        # Unicode's lower-casing would turn look-alikes into ASCII letters, such as the Kelvin sign into k.
        raise EmailRejected("not_ascii")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True, transitional=False).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise EmailRejected("bad_domain") from None
    address = f"{local}@{domain}".lower()
    if len(address) > MAX_LENGTH:
        raise EmailRejected("too_long")
    if not _PRINTABLE.match(address):
        raise EmailRejected("bad_character")
    return address
