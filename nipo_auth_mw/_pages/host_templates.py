"""Files and blocks of a host app that have no effect, since their names are misspelt. Told at start."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches

_log = logging.getLogger("nipo_auth_mw")
_ALIKE = 0.85
_NAMED = re.compile(
    r"""\{%[-+]?\s*(?:extends|include|import|from)\s+(?P<quote>["'])(?P<name>[^"']+)(?P=quote)(?P<rest>[^%]*)%\}"""
)


def warn_of_names(own: Mapping[str, str], shipped: Collection[str]) -> None:
    """Log each file whose name is almost that of a shipped one, if no other file names it.

    `own` holds the host app's files by their names.
    """
    for name in sorted(own.keys() - set(shipped)):
        meant = get_close_matches(name, shipped, 1, _ALIKE)
        used = any(name in text for other, text in own.items() if other != name)
        if meant and not used:
            _log.warning("no page uses the template %r; a shipped one is called %r", name, meant[0])


def warn_of_parents(own: Mapping[str, str], names: Iterable[str], shipped: Iterable[str]) -> None:
    """Log each template that a host app's file extends, includes or imports, and that no one has: its page is a 503.

    `names` are those of all files of the host app.
    """
    known = {*names, *shipped, *(f"nipo_auth_mw/{name}" for name in shipped)}
    for name, text in sorted(own.items()):
        for named in _NAMED.finditer(text):
            if named["name"] not in known and "ignore missing" not in named["rest"]:
                _log.warning("the template %r names %r, which does not exist", name, named["name"])


def warn_of_blocks(own: Mapping[str, str], shipped: Collection[str], blocks_of: Callable[[str], Iterable[str]]) -> None:
    """Log each block of a host app's page that no other template has, so that nothing is put in its place.

    `blocks_of` gives the names of the blocks in a template.
    """
    blocks = {name: set(blocks_of(name)) for name in own}
    replaced = {name for name in own if name in shipped and "extends" in own[name]}
    if not replaced:
        return
    known = {block for name in shipped for block in blocks_of(f"nipo_auth_mw/{name}")}
    known |= {block for name, found in blocks.items() if name not in replaced for block in found}
    for name in sorted(replaced):
        for block in sorted(blocks[name] - known):
            _log.warning("the template %r has a block %r that no template above it has", name, block)
