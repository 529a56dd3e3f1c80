"""What `benchmarks.flood` has gunicorn serve: a page that says who it sees, behind the middleware as it comes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nipo_auth_mw import AuthConfig, AuthMiddleware
from nipo_auth_mw.stores import SQLStore

SECRET = "for benchmarks alone: anybody can read this key in the source"
FOLDER = "BENCHMARK_FOLDER"


def page(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Who is seen, and in which process."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ.get('REMOTE_USER', '-')} {os.getpid()}".encode()]


def middleware(folder: Path) -> AuthMiddleware:
    """Real hashes, SQLite, and one proxy that is believed, so that a sender can come from many addresses."""
    store = SQLStore(f"sqlite:///{folder / 'auth.db'}")
    store.create_schema()
    return AuthMiddleware(
        page, AuthConfig(secret_key=SECRET, base_url="http://localhost", trusted_proxies=1), store=store
    )


def application() -> AuthMiddleware:
    return middleware(Path(os.environ[FOLDER]))
