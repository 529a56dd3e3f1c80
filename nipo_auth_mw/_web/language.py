"""The language of a page. The text that a browser sends is only compared with the configured list."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LONGEST = 512
_MOST = 20
_ITEM = re.compile(r"\s*([A-Za-z0-9-]{1,35}|\*)\s*(?:;\s*[qQ]\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?\Z")


def choose(
    languages: Sequence[str],
    default: str,
    *,
    cookie: str | None,
    account: str | None,
    accept: str | None,
) -> str:
    """One of `languages`: by the switch's cookie, else the account, else the best of Accept-Language, else `default`.

    A text that names no configured language counts as absent. The first 512 characters and 20 items of `accept` are
    read (RFC 9110 section 12.5.4; RFC 4647 section 3.4: `ja-JP` falls back to `ja`).
    """
    for wish in (cookie, account):
        if wish is not None and wish in languages:
            return wish
    return _accepted(languages, accept) or default


def _accepted(languages: Sequence[str], accept: str | None) -> str | None:
    """The configured language that Accept-Language prefers, or None."""
    if not accept:
        return None
    # The cut may fall inside an item, and the rest of that item must not count as another language.
    head, cut = accept[:_LONGEST], len(accept) > _LONGEST
    items = head.split(",", _MOST)
    items = items[: min(_MOST, len(items) - cut)]
    wishes: list[tuple[float, str]] = []
    for item in items:
        found = _ITEM.match(item)
        if found and (quality := float(found[2] or 1)) > 0:
            wishes.append((quality, found[1].lower()))
    wishes.sort(key=lambda wish: -wish[0])
    known = {language.lower(): language for language in languages}
    for _, tag in wishes:
        while tag and tag != "*":
            if tag in known:
                return known[tag]
            tag = tag.rpartition("-")[0]
    return None
