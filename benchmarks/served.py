"""The app that gunicorn serves in `benchmarks.flood`, behind the middleware."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nipo_auth_mw import AuthConfig, AuthMiddleware
from nipo_auth_mw.stores import SQLStore

SECRET = "for benchmarks only: this key is public, in the source"
FOLDER = "BENCHMARK_FOLDER"


def page(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The user and the process id."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ.get('REMOTE_USER', '-')} {os.getpid()}".encode()]


def middleware(folder: Path) -> AuthMiddleware:
    """nipo_auth_mw with real hashes, on SQLite, behind one proxy, so that a sender can use many client addresses."""
    store = SQLStore(f"sqlite:///{folder / 'auth.db'}")
    store.create_schema()
    return AuthMiddleware(
        page, AuthConfig(secret_key=SECRET, base_url="http://localhost", trusted_proxies=1), store=store
    )


def application() -> AuthMiddleware:
    """The entry point for gunicorn."""
    return middleware(Path(os.environ[FOLDER]))
