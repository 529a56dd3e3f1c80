"""Paths that browsers and programs ask for by themselves, at the root of an app."""

from __future__ import annotations

import re
from collections.abc import Sequence

CHANGE_PATH = "/.well-known/change-password"
"""Where a password manager looks for the page that changes a password (W3C, "A Well-Known URL for Changing
Passwords")."""

_FETCHED = re.compile(
    r"/(?:\.well-known/.*|favicon[^/]*\.(?:ico|png|svg)|apple-touch-icon[^/]*\.png|apple-app-site-association"
    r"|(?:robots|humans|ads|app-ads|security|llms)\.txt|sitemap[^/]*\.xml|browserconfig\.xml|crossdomain\.xml"
    r"|clientaccesspolicy\.xml)",
    re.IGNORECASE,
)


def change_password_path(public: Sequence[str]) -> str | None:
    """The path that leads to the middleware's page; None if the host app answers it.

    A public rule for it, or for its folder, says that the app does. `/*` says nothing about it.
    """
    own = {CHANGE_PATH, "/.well-known/*"} & set(public)
    return None if own else CHANGE_PATH


def is_fetched_unasked(path: str) -> bool:
    """Whether a browser, a search engine or a system fetches this path without a user who wants to see it.

    A visitor gets 404 there: no one could sign in, and a page of sign-in would be taken for the file.
    """
    return _FETCHED.fullmatch(path) is not None
