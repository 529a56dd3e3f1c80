"""`nipo-auth user export`: the accounts as a CSV file that `user import` and the staff pages read."""

from __future__ import annotations

import os
from pathlib import Path

import click

from nipo_auth_mw._flows.staff_actor import Actor
from nipo_auth_mw._flows.staff_export import export
from nipo_auth_mw._flows.staff_rows import cells_of, text_of
from nipo_auth_mw._flows.staff_words import COLUMNS, headings_in, words_shown
from nipo_auth_mw._pages.renderer import Renderer
from nipo_auth_mw.cli._context import ACTOR, Context, counted, json_option, show_one, told
from nipo_auth_mw.stores._files import write_new


@click.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@click.pass_obj
def export_(context: Context, file: Path, as_json: bool) -> None:
    """Write every account to a new CSV file, without passwords, for a spreadsheet or for `user import`."""
    taken = click.BadParameter("the file exists", param_hint="FILE")
    if os.path.lexists(file):
        raise taken
    with context.services() as services:
        config = services.config
        catalogues, language = Renderer(config).catalogues, config.default_language
        shown = words_shown(catalogues, config, language)
        rows = [cells_of(row, COLUMNS, shown) for row in export(services, actor=Actor(ACTOR))]
        headings = list(headings_in(catalogues, language).values())
        text = text_of([headings, *rows]) + "\n"
        with told(file):
            try:
                write_new(file, text.encode("utf-8-sig"))
            except FileExistsError:
                raise taken from None
    show_one({"written": len(rows)}, as_json, f"{counted(len(rows), 'account')} written")
