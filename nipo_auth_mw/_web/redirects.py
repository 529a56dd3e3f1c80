"""Redirect targets: paths of the app's own origin, by an allow-list of characters.

Parsers disagree about the meaning of a URL, and open redirects come from that disagreement (CVE-2021-32618,
CVE-2023-49438, CVE-2024-56734 and many more). So nothing is parsed: a target is one slash, no second slash or backslash
after it, then printable ASCII without backslash. Browsers strip tabs and line feeds inside URLs; those are not
printable.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, unquote

_SAFE = re.compile(r"/(?![/\\])[!-\[\]-~]*\Z")
# A browser removes dot segments, so `/./auth/logout` would be a page of the middleware by another name.
_DOT_SEGMENT = re.compile(r"/\.{1,2}(?:/|\Z)")
# A form of 64 KiB carries so many characters even if each of them is escaped as three.
LONGEST = 16_000
# A server may refuse a longer request line: gunicorn takes 4,094 bytes, and nginx, Apache and IIS not many more.
LONGEST_IN_URL = 4_000
# The path of any page of ours, with the name of the parameter.
_LONGEST_PAGE = 200


def safe_next(text: str | None, *, own: str, default: str, allowed: Callable[[str], bool]) -> str:
    """`text` if it is a path of the app's origin, else `default` (open redirects; ASVS 5 3.7.2).

    `own` is the path of the middleware's own pages, as users see it. `allowed` judges a path below `own`, since not
    every page is a redirect target: a `next` of `logout` would ask the user whether to sign out, and a `next` of
    `login` would loop.
    """
    if not text or len(text) > LONGEST or not _SAFE.match(text):
        return default
    # Decoded, as the server compares it: `/%61uth/logout` is a page of the middleware too.
    path, own = unquote(text.partition("?")[0].partition("#")[0]), unquote(own)
    if _DOT_SEGMENT.search(path):
        return default
    if path == own or path.startswith(own + "/"):
        return text if allowed(path[len(own) + 1 :]) else default
    return text


def for_link(target: str) -> str:
    """`target` if the query of a link to a page of ours has room for it, else ""."""
    return target if len(quote(target, safe="")) <= LONGEST_IN_URL - _LONGEST_PAGE else ""
