"""A device in words a person recognises, out of a User-Agent. Never used to decide anything."""

from __future__ import annotations

_LONGEST = 512

# Each browser also names the ones it descends from, so the order decides.
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
    """Such as "Chrome — Windows"; only one of the two when the other is unknown, "" when both are."""
    head = user_agent[:_LONGEST]
    names = (next((name for mark, name in table if mark in head), "") for table in (_BROWSERS, _SYSTEMS))
    return " — ".join(filter(None, names))
