"""The names of passkeys: what a user may type, and what a new passkey is called until then."""

from __future__ import annotations

import re
import unicodedata

from nipo_auth_mw._lines import plain_line

MOST_CHARACTERS = 60

# The makers' own ids: github.com/passkeydeveloper/passkey-authenticator-aaguids, and Yubico's "YubiKey Hardware FIDO2
# AAGUIDs". They are not attested, so a name is a help to the user and no decision depends on it.
_BY_AAGUID = {
    "fbfc3007-154e-4ecc-8c0b-6e020557d7bd": "iCloud Keychain",
    "dd4ec289-e01d-41c9-bb89-70fa845d4bf2": "iCloud Keychain",
    "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4": "Google Password Manager",
    "adce0002-35bc-c60a-648b-0b25f1f05503": "Chrome (Mac)",
    "771b48fd-d3d4-4f74-9232-fc157ab0507a": "Edge (Mac)",
    "08987058-cadc-4b81-b6e1-30de50dcbe96": "Windows Hello",
    "9ddd1817-af5a-4672-a2b9-3e3dd95000a9": "Windows Hello",
    "6028b017-b1d4-4c02-b4b3-afcdafc96bb2": "Windows Hello",
    "53414d53-554e-4700-0000-000000000000": "Samsung Pass",
    "bada5566-a7aa-401f-bd96-45619a55120d": "1Password",
    "d548826e-79b4-db40-a3d8-11116f7e8349": "Bitwarden",
    "531126d6-e717-415c-9320-3d9aa6981239": "Dashlane",
    "0ea242b4-43c4-4a1b-8b17-dd6d0b6baec6": "Keeper",
    "b84e4048-15dc-4dd0-8640-f4f60813c8af": "NordPass",
    "50726f74-6f6e-5061-7373-50726f746f6e": "Proton Pass",
    "fdb141b2-5d84-443e-8a35-4698c205a502": "KeePassXC",
    "cb69481e-8ff7-4039-93ec-0a2729a154a8": "YubiKey 5",
    "ee882879-721c-4913-9775-3dfcce97072a": "YubiKey 5",
    "fa2b99dc-9e39-4257-8f92-4a30d23c4118": "YubiKey 5",
    "2fc0579f-8113-47ea-b116-bb5a8db9202a": "YubiKey 5",
    "c5ef55ff-ad9a-4b9f-b580-adebafe026d0": "YubiKey 5",
    "19083c3d-8383-4b18-bc03-8f1c9ab2fd1b": "YubiKey 5",
    "a25342c0-3cdc-4414-8e46-f4807fca511c": "YubiKey 5",
}
_REMOVED = frozenset({"Cc", "Cf", "Cn", "Co", "Cs"})
# Where a mail program sees a link or an address: in `https://…`, `evil.example` and `a@b`.
_IN_LINK = re.compile(r"(?<=[/@])(?=\S)|(?<=\.)(?=[^\W\d_])")


def default_name(aaguid: str, device: str) -> str:
    """The name of a new passkey: that of its maker, else `device`, such as "Chrome (Windows)"; "" if both are unknown.

    `aaguid` is the authenticator's id as it is written with hyphens.
    """
    return _BY_AAGUID.get(aaguid, device)


def cleaned_name(typed: str) -> str:
    """One line of at most 60 characters, in NFC and without control and format characters. "" if nothing is left."""
    line = plain_line(typed, MOST_CHARACTERS, removed=_REMOVED)
    return unicodedata.normalize("NFC", line)[:MOST_CHARACTERS].strip()


def without_links(name: str) -> str:
    """The name as a mail shows it: with blanks where a mail program would make a link of it.

    An attacker who adds a passkey gives it its name, and the mail that warns the owner must not lead to the attacker.
    """
    return _IN_LINK.sub(" ", name)
