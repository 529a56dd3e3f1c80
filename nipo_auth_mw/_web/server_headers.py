"""The copies of the request headers that servers keep in the environ, beside the keys of PEP 3333."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from nipo_auth_mw._validation import header_key

# Where a2wsgi keeps the request of an ASGI server, and where eventlet keeps the headers, as they came.
_SCOPE, _RAW = "asgi.scope", "headers_raw"


def replace_copies(environ: dict[str, Any], keys: Collection[str], *headers: tuple[str, str]) -> None:
    """Put these headers in place of those with these keys of the environ, in its copies: an app may read them there."""
    if isinstance(scope := environ.get(_SCOPE), dict):
        kept = [pair for pair in scope.get("headers", ()) if header_key(pair[0].decode("latin-1")) not in keys]
        added = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        environ[_SCOPE] = {**scope, "headers": [*kept, *added]}
    if _RAW in environ:
        environ[_RAW] = (*(pair for pair in environ[_RAW] if header_key(pair[0]) not in keys), *headers)
