"""Flash messages: each one is for the next page alone, one of the middleware's or one of the host app's.

The cookie holds the name of a text in the catalogue and a digest of the path, so a forged cookie can show no other
text. A user who signs out meanwhile, or whose account is disabled, must not read of success on the sign-in page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from urllib.parse import unquote

from nipo_auth_mw._web.cookies import Cookie


class FlashMessages:
    """The cookie that holds a flash message until its page is asked for. `is_known` judges the name of a text."""

    def __init__(self, cookie: Cookie, is_known: Callable[[str], bool]) -> None:
        self.cookie_name = cookie.name
        self._cookie = cookie
        self._is_known = is_known

    def leave(self, word: str, to: str) -> str:
        """The Set-Cookie value that leaves this message for the page at `to`, a path that may have a query."""
        return self._cookie.set(_bound(word, unquote(to.partition("?")[0])))

    def drop(self) -> str:
        """The Set-Cookie value that takes the message away."""
        return self._cookie.delete()

    def read(self, header: str, method: str, path: str) -> str:
        """The name of the message that was left for the page at this path; "" for none, and for another method."""
        value = (self._cookie.read(header) if method == "GET" else None) or ""
        word = value.partition("-")[0]
        return word if word and value == _bound(word, path) and self._is_known(word) else ""


def _bound(word: str, path: str) -> str:
    """The value of the cookie of a message for the page at this path."""
    return f"{word}-{hashlib.sha256(path.encode('utf-8', 'replace')).hexdigest()[:16]}"
