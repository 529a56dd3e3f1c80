"""Static files: hashed names, an exact table, replaced by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import DictLoader

import nipo_auth_mw
from nipo_auth_mw._pages.assets import Assets
from nipo_auth_mw._pages.renderer import Renderer
from tests.each import each

from .conftest import config, values

STATIC = Path(nipo_auth_mw.__file__).parent / "static"


def test_a_name_changes_with_the_content() -> None:
    one, two = Assets({"auth.css": b"a"}), Assets({"auth.css": b"b"})
    assert re.fullmatch(r"auth\.[0-9a-f]{8}\.css", one.name_of("auth.css"))
    assert one.name_of("auth.css") != two.name_of("auth.css")
    assert one.find(two.name_of("auth.css")) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("auth.css", "text/css; charset=utf-8"),
        ("theme.css", "text/css; charset=utf-8"),
        ("auth.js", "text/javascript; charset=utf-8"),
        ("touch-icon.png", "image/png"),
    ],
)
def test_our_files_are_found_under_their_served_names(pages: Renderer, name: str, kind: str) -> None:
    found = pages.assets.find(pages.assets.name_of(name))
    assert found is not None
    assert found.body == (STATIC / name).read_bytes()
    assert found.content_type == kind


@pytest.mark.parametrize(
    "name", ["", "auth.css", "../pages.py", "auth.00000000.css", "/etc/passwd", "..", "auth.css\x00"]
)
def test_only_exact_names_are_found(pages: Renderer, name: str) -> None:
    assert pages.assets.find(name) is None
    assert pages.assets.find(pages.assets.name_of("auth.css") + name + "/") is None


def test_pages_name_the_files_that_are_served(pages: Renderer) -> None:
    html = pages.render("login.html", "en", **values())
    named = re.findall(r'(?:href|src)="/app/-/auth/static/([^"]+)"', html)
    assert len(named) == 6
    assert all(pages.assets.find(name) for name in named)


def served(pages: Renderer, name: str) -> str:
    found = pages.assets.find(pages.assets.name_of(name))
    assert found is not None
    return found.body.decode()


def test_a_hosts_theme_comes_after_ours_and_needs_only_what_it_changes() -> None:
    text = served(Renderer(config(), DictLoader({"theme.css": ":root { --accent: #aa5500 } /* 橙 */"})), "theme.css")
    assert text.startswith((STATIC / "theme.css").read_text("utf-8"))
    assert text.endswith(":root { --accent: #aa5500 } /* 橙 */")


def test_the_icon_has_the_first_letter_of_the_site_in_the_colours_of_its_theme() -> None:
    pages = Renderer(config(site_name="<&日報"), DictLoader({"theme.css": ":root { --accent: #aa5500 }"}))
    icon = served(pages, "icon.svg")
    assert ">&lt;</text>" in icon
    assert 'fill="#aa5500"' in icon
    assert 'content="#f4f6f8"' in pages.render("login.html", "en", **values())
    assert served(Renderer(config(), DictLoader({"icon.svg": "<svg/>"})), "icon.svg") == "<svg/>"


def test_a_site_may_have_a_name_in_each_language(pages: Renderer) -> None:
    texts = DictLoader({"locale/en.toml": '[site]\nname = "Daily reports"'})
    both = Renderer(config(), texts)
    assert "<title>Sign in – Daily reports</title>" in both.render("login.html", "en", **values())
    assert "– 日報くん</title>" in both.render("login.html", "ja", **values())


def test_our_files_fetch_nothing_from_elsewhere() -> None:
    for path in set(STATIC.iterdir()) - {STATIC / "touch-icon.png"}:
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|url\(|@import|fetch\(|innerHTML|eval\(|\.style\b", text), path.name


def _colours(text: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", text))


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


PAIRS = [
    ("text", "page", 7),
    ("text", "card", 7),
    ("text", "alert-page", 7),
    ("text", "badge", 7),
    ("muted", "page", 7),
    ("muted", "card", 7),
    ("accent", "page", 7),
    ("accent", "card", 7),
    ("accent-strong", "card", 7),
    ("on-accent", "accent", 7),
    ("on-accent", "accent-strong", 7),
    ("alert", "alert-page", 7),
    ("warn", "warn-page", 7),
    ("good", "good-page", 7),
    ("good", "card", 7),
    ("alert", "card", 7),
    ("on-state", "state-on", 4.5),
    ("on-state", "state-off", 4.5),
    ("control-line", "card", 3),
    ("control-line", "page", 3),
]


@each("front, back, least", PAIRS)
def test_contrast_is_enough_in_light_and_dark(front: str, back: str, least: float) -> None:
    """WCAG 2.2, 1.4.3, 1.4.6 and 1.4.11."""
    light, _, dark = (STATIC / "theme.css").read_text("utf-8").partition("@media")
    for colours in (_colours(light), {**_colours(light), **_colours(dark)}):
        high, low = sorted((_luminance(colours[front]), _luminance(colours[back])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= least
