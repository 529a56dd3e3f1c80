"""What a page says about the site: its name, its icon and its colours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from markupsafe import escape

from nipo_auth_mw._pages.catalogues import Catalogues
from nipo_auth_mw.config import AuthConfig

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="{back}"/>'
    '<text x="16" y="22.5" font-size="19" font-weight="700" font-family="sans-serif" text-anchor="middle"'
    ' fill="{front}">{letter}</text></svg>'
)
_COLOUR = r"--{name}:\s*(#[0-9a-fA-F]{{3,8}})\b"


class Brand:
    """The site's name in each language, and what follows from it and from the theme.

    `themes` are the texts of `theme.css`: that of the host app, if it has one, and the shipped one.
    """

    def __init__(self, config: AuthConfig, catalogues: Catalogues, themes: Sequence[str]) -> None:
        self.host: str = urlsplit(config.base_url).netloc
        self._names = {
            code: catalogues.text(code, "site.name") or config.site_name or self.host for code in config.languages
        }
        name = config.site_name or self.host
        light = [theme.partition("@media")[0] for theme in themes]
        dark = [theme.partition("@media")[2] for theme in themes]
        self.colours: tuple[str, str] = (_colour(light, "page"), _colour(dark, "page"))
        self.icon: str = _ICON.format(
            back=_colour(light, "accent"), front=_colour(light, "on-accent"), letter=escape(initial_of(name))
        )

    def name(self, language: str) -> str:
        """The site's name: the text `site.name` of the language, else the setting `site_name`, else the host's name."""
        return self._names[language]


def initial_of(name: str) -> str:
    """The first letter of a name, which stands for it in an icon."""
    return name.strip()[:1].upper()


def _colour(themes: Sequence[str], name: str) -> str:
    """The colour of this name in the first theme that gives it as `#rrggbb`."""
    found = (re.search(_COLOUR.format(name=name), theme) for theme in themes)
    return next(match[1] for match in found if match)
