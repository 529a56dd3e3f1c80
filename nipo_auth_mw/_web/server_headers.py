"""The copies of the request headers that servers keep in the environ, beside the keys of PEP 3333."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from nipo_auth_mw._validation import header_key

# Where a2wsgi keeps the request of an ASGI server, and where eventlet keeps the headers, as they came.
SCOPE, RAW = "asgi.scope", "headers_raw"


def leave_out(environ: dict[str, Any], keys: Collection[str]) -> None:
    """Leave the headers with these keys of the environ out of its copies: an app may read them there."""
    if isinstance(scope := environ.get(SCOPE), dict):
        pairs = scope.get("headers", ())
        environ[SCOPE] = {
            **scope,
            "headers": [one for one in pairs if header_key(one[0].decode("latin-1")) not in keys],
        }
    if RAW in environ:
        environ[RAW] = tuple(one for one in environ[RAW] if header_key(one[0]) not in keys)
