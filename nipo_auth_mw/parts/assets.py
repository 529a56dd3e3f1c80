"""Our static files, served under names that change with their content, so that they may be cached for a year."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


class Asset(NamedTuple):
    body: bytes
    content_type: str


class Assets:
    """A fixed table of files. What is asked for is looked up in it and never becomes a path."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._names: dict[str, str] = {}
        self._table: dict[str, Asset] = {}
        for name, body in files.items():
            stem, _, kind = name.rpartition(".")
            served = f"{stem}.{sha256(body).hexdigest()[:8]}.{kind}"
            self._names[name] = served
            self._table[served] = Asset(body, _TYPES[kind])

    def name_of(self, name: str) -> str:
        """The name `auth.css` is served under, such as `auth.3f2c91ab.css`. KeyError for a file we don't have."""
        return self._names[name]

    def find(self, served: str) -> Asset | None:
        """The file served under exactly this name."""
        return self._table.get(served)
