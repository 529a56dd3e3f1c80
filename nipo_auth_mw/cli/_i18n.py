"""`nipo-auth i18n`: begin the translation of the pages and mails into a further language."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

import click

from nipo_auth_mw import _validation
from nipo_auth_mw._pages.catalogues import shipped
from nipo_auth_mw.cli._context import json_option, show, told
from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.stores._files import write_new

_HEAD = """\
# The texts of nipo_auth_mw in the language {code!r}. Remove the "# " of a line and translate it.
# A line that stays as it is falls back to the default language. Words in braces, such as {{minutes}}, stay.
"""


@click.group()
def i18n() -> None:
    """Begin the translation into a further language."""


@i18n.command("init")
@click.argument("language")
@click.option("--templates", default="templates", show_default=True, help="The folder given as `templates`.")
@click.option("--from", "source", default="en", show_default=True, help="The shipped language to translate from.")
@json_option
def init(language: str, templates: str, source: str, as_json: bool) -> None:
    """Write locale/LANGUAGE.toml with every text, for translators to fill in. Never replaces a file."""
    (code,) = _validation.language_codes([language])
    texts = shipped(source)
    if not texts:
        raise ConfigError("--from", f"{source!r} is not a shipped language", 'Use "en" or "ja".')
    path = Path(templates, "locale", f"{code}.toml")
    text = _HEAD.format(code=code) + "".join(_lines(texts))
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_new(path, text.encode(), 0o666)
        except FileExistsError:
            raise ConfigError("language", f"{path} exists already", "Translate that file, or move it away.") from None
    show([{"file": str(path), "texts": len(texts)}], as_json, "file", "texts")
    click.echo(f'Add "{code}" to the setting `languages`, and give the folder {templates} as `templates`.', err=True)


def _lines(texts: Mapping[str, str]) -> Iterator[str]:
    """The texts as TOML, a table for each part of a page, each text behind a comment sign."""
    pairs = sorted((*key.rpartition(".")[::2], text) for key, text in texts.items())
    for table, rows in groupby(pairs, key=lambda row: row[0]):
        yield f"\n[{table}]\n" if table else "\n"
        # JSON's strings are strings of TOML, except for the one character that JSON does not escape.
        for _, name, text in rows:
            yield f"# {name} = {json.dumps(text, ensure_ascii=False)}\n".replace("\x7f", "\\u007f")
