"""A device in words."""

from __future__ import annotations

from nipo_auth_mw._pages.user_agents import describe
from tests.each import each

KIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
WINDOWS = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {KIT} Chrome/143.0.0.0 Safari/537.36"
ANDROID = f"Mozilla/5.0 (Linux; Android 15; K) {KIT}"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"


@each(
    "agent, words",
    [
        (WINDOWS, "Chrome (Windows)"),
        (WINDOWS + " Edg/143.0.0.0", "Edge (Windows)"),
        (WINDOWS + " OPR/120.0.0.0", "Opera (Windows)"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox (Windows)"),
        (ANDROID + " Chrome/143.0.0.0 Mobile Safari/537.36", "Chrome (Android)"),
        (ANDROID + " SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36", "Samsung Internet (Android)"),
        (IPHONE + " Version/18.1 Mobile/15E148 Safari/604.1", "Safari (iPhone)"),
        (IPHONE + " CriOS/143.0 Mobile/15E148 Safari/604.1", "Chrome (iPhone)"),
        (IPHONE + " FxiOS/145.0 Mobile/15E148 Safari/605.1.15", "Firefox (iPhone)"),
        (IPHONE + " Mobile/15E148 Safari Line/14.19.0", "LINE (iPhone)"),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15",
            "Safari (Mac)",
        ),
        (f"Mozilla/5.0 (X11; Linux x86_64) {KIT} Chrome/143.0.0.0 Safari/537.36", "Chrome (Linux)"),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {KIT} Chrome/143.0.0.0 Safari/537.36", "Chrome (ChromeOS)"),
        ("Mozilla/5.0 (iPad)", "iPad"),
        ("Firefox/1", "Firefox"),
        ("curl/8.5.0", ""),
        ("", ""),
        ("x" * 600 + "Chrome/1", ""),
        ("<script>\r\n\x00", ""),
    ],
)
def test_browser_and_system_as_people_call_them(agent: str, words: str) -> None:
    assert describe(agent) == words
