"""What mail programs and people do to the links in mails."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

_TOKEN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_SIGNATURE = 43
"""Characters of a signature with 256 bits in base64: a text that ends in so many is a whole token."""
_LONGEST = 4000


def token_in(text: str) -> str:
    """The token in the last part of a link's path, which the server has decoded once.

    Mail programs take what follows a link for a part of it, such as a bracket or a full stop. They encode it again,
    break it into lines and put invisible characters into it. None of these is a character of a token. A text without a
    token is given back up to its first other character, and opens nothing.
    """
    text = unquote(unquote(text[:_LONGEST].encode("latin-1", "replace").decode("utf-8", "replace")))
    # A line of quoted-printable ends in "=".
    text = "".join(" " if _is_blank(one) else one for one in text.replace("=\r\n", "").replace("=\n", ""))
    for spelling in (text.replace(" ", ""), text):
        token = _run(spelling)
        if len(token.rpartition(".")[2]) == _SIGNATURE:
            return token
    return _run(text)


def _run(text: str) -> str:
    """The first run of a token's characters. No token ends in a full stop."""
    found = _TOKEN.search(text)
    return found[0].rstrip(".") if found else ""


def _is_blank(character: str) -> bool:
    """Whether the character is a blank, a line break or invisible."""
    return unicodedata.category(character) in {"Cc", "Cf", "Zs", "Zl", "Zp"}
