"""The static files, served under names that change with their content, so that browsers may cache them for a year."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

_SHIPPED = Path(__file__).parent.parent / "static"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
}


class Asset(NamedTuple):
    """A static file and its media type."""

    body: bytes
    content_type: str


class Assets:
    """A fixed table of files.

    A requested name is only looked up in the table. It never becomes a file's path, which stops path traversal.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._names: dict[str, str] = {}
        self._table: dict[str, Asset] = {}
        for name, body in files.items():
            stem, _, kind = name.rpartition(".")
            served = f"{stem}.{sha256(body).hexdigest()[:8]}.{kind}"
            self._names[name] = served
            self._table[served] = Asset(body, _TYPES[kind])

    def name_of(self, name: str) -> str:
        """The served name of a file such as `auth.css`: `auth.3f2c91ab.css`. Raises `KeyError` for an unknown file."""
        return self._names[name]

    def find(self, served: str) -> Asset | None:
        """The file with exactly this served name, or None."""
        return self._table.get(served)


@lru_cache(maxsize=1)
def shipped_files() -> Mapping[str, bytes]:
    """The shipped static files by their names, read-only."""
    files = sorted(_SHIPPED.iterdir())
    return MappingProxyType({path.name: path.read_bytes() for path in files if path.is_file()})
