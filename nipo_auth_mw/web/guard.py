"""Which of the app's paths need a session, and what a visitor is told there."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Doubled slashes, dot segments, blanks at a segment's end (some apps trim them), backslashes, parameters, controls.
_ODD = re.compile(r"//|/\.{1,2}(?:/|\Z)| (?:/|\Z)|[\\;\x00-\x1f\x7f]")


class Guard:
    """Everything needs a session but the path prefixes in `public`; `protect` are exceptions inside them.

    Prefixes are whole segments and the longest match wins. A public rule matches only a canonical path: apps decode and
    tidy paths in different ways, so an odd spelling of a public path may well be a protected page to the app behind us.
    We never normalise; the app sees what came (CVE-2026-2880, GHSA-x732-6j76-qmhm).
    """

    def __init__(self, public: Sequence[str], protect: Sequence[str]) -> None:
        rules = [(_as_wsgi(path), False) for path in public] + [(_as_wsgi(path), True) for path in protect]
        self._rules = sorted(((path, _below(path), needs) for path, needs in rules), key=lambda rule: -len(rule[0]))

    def needs_session(self, path: str) -> bool:
        """`path` is PATH_INFO as the server gives it."""
        for exact, below, needs in self._rules:
            if path == exact or path.startswith(below):
                return needs or _is_odd(path)
        return True


class Prefixes:
    """A few path prefixes of whole segments."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._exact = tuple(_as_wsgi(path) for path in paths)
        self._below = tuple(_below(path) for path in self._exact)

    def match(self, path: str) -> bool:
        return path.startswith(self._below) or path in self._exact


def _below(path: str) -> str:
    return path if path == "/" else path + "/"


def _as_wsgi(path: str) -> str:
    """A path's UTF-8 bytes as latin-1 characters, as WSGI has them (PEP 3333)."""
    return path.encode().decode("latin-1")


def _is_odd(path: str) -> bool:
    if not path.startswith("/") or _ODD.search(path):
        return True
    if path.isascii():
        return False
    try:
        path.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return True
    return False
