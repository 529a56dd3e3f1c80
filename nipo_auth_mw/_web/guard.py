"""Which paths of the host app require a session."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# Doubled slashes, dot segments, blanks at a segment's end (some apps trim them), backslashes, parameters, controls, and
# percent signs that a second decoder would read.
_ODD = re.compile(r"//|/\.{1,2}(?:/|\Z)| (?:/|\Z)|[\\;\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}")


class PathRules:
    """Path rules: `/healthz` is exactly that path, `/static/*` is `/static` and everything below it."""

    def __init__(self, rules: Iterable[str]) -> None:
        spelt = [_as_wsgi(rule) for rule in rules]
        # A subtree covers its own root too.
        self._exact = frozenset(rule.removesuffix("/*") for rule in spelt)
        self._below = tuple(rule[:-1] for rule in spelt if rule.endswith("/*"))

    def match(self, path: str) -> bool:
        """Whether a rule covers `path`, which is PATH_INFO as the server gives it."""
        return path in self._exact or path.startswith(self._below)


class Guard:
    """Every path requires a session, except those listed in `public_paths`; `protected_paths` are exceptions within
    those.

    The longer rule wins. A public rule covers only a canonical path: apps decode and normalise paths in different ways,
    so an odd spelling of a public path may be a protected page to the app behind the middleware. The middleware never
    normalises a path: the app gets the path as it came (CVE-2026-2880, GHSA-x732-6j76-qmhm; ASVS 5 8.3.1).
    """

    def __init__(self, public: Sequence[str], protected: Sequence[str]) -> None:
        rules = [(_as_wsgi(rule), False) for rule in public] + [(_as_wsgi(rule), True) for rule in protected]
        subtrees = [(rule.removesuffix("/*"), needs) for rule, needs in rules if rule.endswith("/*")]
        # A subtree covers its own root, unless that root has a rule of its own.
        exact = dict(subtrees) | {rule: needs for rule, needs in rules if not rule.endswith("/*")}
        self._exact = {path: needs or _is_odd(path) for path, needs in exact.items()}
        longest_first = sorted(subtrees, key=lambda rule: -len(rule[0]))
        self._below = tuple((root + "/", needs) for root, needs in longest_first)

    def needs_session(self, path: str) -> bool:
        """Whether the path requires a session. `path` is PATH_INFO as the server gives it."""
        needs = self._exact.get(path)
        if needs is None:
            needs = next((needs for below, needs in self._below if path.startswith(below)), True) or _is_odd(path)
        return needs


def _as_wsgi(path: str) -> str:
    """The UTF-8 bytes of a path as latin-1 characters, as WSGI holds them (PEP 3333)."""
    return path.encode().decode("latin-1")


def _is_odd(path: str) -> bool:
    """Whether the path is not canonical, so that two readers could take it for different pages."""
    if not path.startswith("/") or _ODD.search(path):
        return True
    if path.isascii():
        return False
    try:
        path.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return True
    return False
