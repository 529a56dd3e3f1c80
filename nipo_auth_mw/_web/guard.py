"""Which paths of the host app require a session."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable, Sequence

# Doubled slashes, dot segments, blanks around a segment (some apps trim them), backslashes, parameters, controls,
# percent signs that a second decoder would read, and the streams of NTFS, where `page::$DATA` is the file `page`.
_ODD = re.compile(r"//|/\.{1,2}(?:/|\Z)|/ | (?:/|\Z)|[\\;\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}|:\$")
_LONGEST = 1000
# CherryPy calls the method `my_page` for `/my-page`, `/my.page` and every other mark.
_MARKS = str.maketrans(dict.fromkeys(string.punctuation, "_"))


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
    so an odd spelling of a public path may be a protected page to the app behind the middleware. An exception covers
    what an app or a file system may take for it, too: with or without a slash at its end, in other case, width or
    composition, with other marks of punctuation, with dots and blanks at a segment's end. The middleware never
    normalises a path: the app gets the path as it came (CVE-2026-2880, GHSA-x732-6j76-qmhm; ASVS 5 8.3.1).

    `root` is a mount that the app cuts off a path by itself. A path below it is public only if the rest is public, too.
    """

    def __init__(self, public: Sequence[str], protected: Sequence[str], root: str = "") -> None:
        self._root = _as_wsgi(root)
        rules = [(rule, False) for rule in public] + [(rule, True) for rule in protected]
        self._rules = _Rules([(_as_wsgi(rule), needs) for rule, needs in rules])
        # Of two rules that differ in nothing else, each covers its own spelling, and the public one all others.
        alike = [(_alike(rule), needs) for rule, needs in reversed(rules)]
        self._alike = _Rules(alike) if protected else None
        # Judged once: most requests of visitors are for paths that a rule names.
        self._named = {path: self._judge(path) for path in map(_as_wsgi, [*public, *protected])}

    def needs_session(self, path: str) -> bool:
        """Whether the path requires a session. `path` is PATH_INFO as the server gives it."""
        needs = self._named.get(path)
        return self._judge(path) if needs is None else needs

    def _judge(self, path: str) -> bool:
        below = bool(self._root) and path.startswith(self._root + "/")
        return self._judge_rest(path) or (below and self._judge_rest(path.removeprefix(self._root)))

    def _judge_rest(self, path: str) -> bool:
        if self._rules.need_session(path) or _is_odd(path):
            return True
        return self._alike is not None and self._alike.need_session(_alike(path.encode("latin-1").decode("utf-8")))


class _Rules:
    """Rules, each with whether it requires a session. Of two for one path the later one counts."""

    def __init__(self, rules: Sequence[tuple[str, bool]]) -> None:
        subtrees = {rule.removesuffix("/*"): needs for rule, needs in rules if rule.endswith("/*")}
        exact = {rule: needs for rule, needs in rules if not rule.endswith("/*")}
        # Many apps answer a page with and without the slash. A subtree of the same root says what it covers.
        slashed = {_slashed(rule): True for rule, needs in exact.items() if needs and rule not in subtrees}
        # A subtree covers its own root, unless that root has a rule of its own.
        self._exact = slashed | subtrees | exact
        longest_first = sorted(subtrees.items(), key=lambda rule: -len(rule[0]))
        self._below = tuple((root + "/", needs) for root, needs in longest_first)

    def need_session(self, path: str) -> bool:
        """Whether the rules require a session for this path, as they do for a path that none covers."""
        needs = self._exact.get(path)
        if needs is None:
            needs = next((needs for below, needs in self._below if path.startswith(below)), True)
        return needs


def _slashed(path: str) -> str:
    """The same path without the slash at its end, or with one."""
    return path[:-1] if path.endswith("/") else path + "/"


def _alike(path: str) -> str:
    """One spelling for all that some app or file system takes for this path."""
    # Normalisation takes quadratic time on long runs of combining marks, and no rule is so long.
    spelt = path if path.isascii() else unicodedata.normalize("NFKC", path[:_LONGEST])
    return "/".join(one if one == "*" else _alike_in_name(one) for one in spelt.casefold().split("/"))


def _alike_in_name(segment: str) -> str:
    """One spelling of a segment."""
    return segment.strip(" ").rstrip(". ").translate(_MARKS)


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
