"""Writes docs/help.ja.md and docs/help.en.md, which a host app can publish: `python docs/make_help.py`."""

from __future__ import annotations

from pathlib import Path

from nipo_auth_mw import AuthConfig
from nipo_auth_mw._flows.help import ADMIN_TOPICS, facts
from nipo_auth_mw._pages.catalogues import Catalogues
from nipo_auth_mw._web.views.help import topics

DEFAULTS = AuthConfig(secret_key="only the defaults of the policies are read here", base_url="http://localhost")  # noqa: S106


def page(language: str) -> str:
    """The help page of one language as Markdown, with the default settings."""
    texts = Catalogues([language])
    lines = [f"# {texts.text(language, 'help.title')}"]
    ask, given = texts.text(language, "ask.user"), facts(DEFAULTS, "")
    told = topics(texts, language, given, ask)
    for _, question, blocks in [*told, *topics(texts, language, given, ask, ADMIN_TOPICS)]:
        lines += ["", f"## {question}"]
        for kind, entries in blocks:
            lines += ["", *(f"* {entry}" if kind == "list" else entry for entry in entries)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for language in ("ja", "en"):
        (Path(__file__).parent / f"help.{language}.md").write_text(page(language), "utf-8")
