"""The device's description that users see, from the User-Agent header. No decision depends on it."""

from __future__ import annotations

from collections.abc import Iterable

from nipo_auth_mw.models import Session

_MAX_LENGTH = 512

# A browser's header also names the browsers it descends from, so the first match counts.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Line/", "LINE"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
)


def describe(user_agent: str) -> str:
    """Browser and system, such as "Chrome (Windows)". An unknown one is left out; "" if both are unknown."""
    head = user_agent[:_MAX_LENGTH]
    browser, system = (next((name for mark, name in table if mark in head), "") for table in (_BROWSERS, _SYSTEMS))
    return f"{browser} ({system})" if browser and system else browser or system


def by_device(sessions: Iterable[Session]) -> list[list[Session]]:
    """The sessions in groups of one description each, in the order of the first of each group.

    A user who signs in again and again with one browser has many sessions, which are one device in the user's eyes.
    """
    groups: dict[str, list[Session]] = {}
    for session in sessions:
        groups.setdefault(describe(session.user_agent), []).append(session)
    return list(groups.values())
