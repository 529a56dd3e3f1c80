"""Where a person may be sent: paths of the app's own origin, by an allow-list of characters.

Parsers disagree about what a URL is, and every open redirect lives in that disagreement (CVE-2021-32618,
CVE-2023-49438, CVE-2024-56734 and many more). So nothing is parsed: one slash, no second slash or backslash after it,
then printable ASCII without backslash. Browsers strip tabs and line feeds inside URLs; those are not printable.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

_SAFE = re.compile(r"/(?![/\\])[!-\[\]-~]*\Z")
# Browsers take dot segments away, so `/./auth/logout` would be our own page by another name.
_DOT_SEGMENT = re.compile(r"/\.{1,2}(?:/|\Z)")
LONGEST = 2000


# Our pages that people may be sent to after they have signed in or confirmed; none of them changes anything by itself.
_LANDED_ON = ("account/", "staff/", "history")


def safe_next(text: str | None, *, own: str, default: str, but: Sequence[str] = _LANDED_ON) -> str:
    """`text` itself when it is a path of our origin, else `default`.

    `own` is the path of our own pages as people see it. They are not landed on (a `next` of `logout` would ask people
    whether to sign out, one of `login` would loop), but for those in `but`, where `account/` is that page too.
    """
    if not text or len(text) > LONGEST or not _SAFE.match(text):
        return default
    # As the server will compare it: `/%61uth/logout` is our own page as well.
    path, own = unquote(text.partition("?")[0].partition("#")[0]), unquote(own)
    if _DOT_SEGMENT.search(path):
        return default
    if path == own or path.startswith(own + "/"):
        rest = path[len(own) + 1 :]
        return text if rest in but or rest.partition("/")[0] + "/" in but else default
    return text
