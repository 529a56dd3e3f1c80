"""CSV: row RU25 of what must hold."""

from __future__ import annotations

import csv
import io
import itertools
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nipo_auth_mw._audit.csv_cells import harmless
from nipo_auth_mw.cli import cli
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import fast_hasher
from tests.kit import WRONG, browser, middleware, person, sign_in

SIGNS = "=+-@＝＋－＠﹦﹢﹣﹫"
SEPARATORS = ",;\t|"
INVISIBLE = " \t\r\n\v\f\"'\u00a0\u3000\u200b\ufeff\u2028\x00“”’`"
BEFORE = ["", '"', '""', "'", " ", '" ', ' "', "\u3000", "\ufeff", "\r\n", "\n", "\t", ",", ";", "|", '";"', ';"";']


def cells(text: str, separator: str) -> list[str]:
    """The cells as a spreadsheet shows them that splits at this separator, with and without regard to quotes."""
    read = [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) for cell in row]
    return [*read, *(cell for line in text.splitlines() for cell in line.split(separator))]


def formulas(text: str) -> list[str]:
    found = [cell for separator in SEPARATORS for cell in cells(text, separator)]
    return [cell for cell in found if cell.lstrip(INVISIBLE.replace("'", ""))[:1] in tuple(SIGNS)]


def written(*row: str) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([harmless(cell) for cell in row])
    return out.getvalue()


@pytest.mark.parametrize("sign", SIGNS)
def test_ru25_no_cell_begins_a_formula_whatever_stands_before_it(sign: str) -> None:
    evil = f'{sign}HYPERLINK("http://evil.example";"x")'
    for first, separator, before in itertools.product(("", "x", 'x"'), ("", *SEPARATORS, "\r\n"), BEFORE):
        cell = first + separator + before + evil
        if first and not separator + before:
            continue
        assert not formulas(written("2026-01-01", cell, "y")), cell
        assert not formulas(written(cell)), cell


@pytest.mark.parametrize(
    "plain",
    ["2026-04-01T12:00:00+09:00", "tanaka+x@example.com", "田中-太郎", "Mozilla/5.0 (X11; Linux x86_64)", "a=b", ""],
)
def test_ru25_what_begins_no_formula_stays_as_it_is(plain: str) -> None:
    assert harmless(plain) == plain


@pytest.fixture
def evil(store: SQLStore) -> Any:
    """A store whose audit log holds what strangers sent and an administrator wrote."""
    auth = middleware(store=store, hasher=fast_hasher(), secret_key="k" * 40 + "q")
    person(auth, "boss@example.com", role="admin", name="=1+1")
    for before in ('x;"', "x\t", 'x|" ', 'x,"', "x;\u3000", '";"'):
        sign_in(browser(auth, HTTP_USER_AGENT=f"{before}=HYPERLINK(1);y"), password=WRONG)
        sign_in(browser(auth, HTTP_USER_AGENT="x"), f'{before}=1+1"@example.com', WRONG)
    return auth


def test_ru25_the_file_of_the_page(evil: Any) -> None:
    boss = browser(evil)
    sign_in(boss, "boss@example.com")
    text = boss.get("/-/auth/audit.csv").body.decode("utf-8-sig")
    assert "HYPERLINK" in text
    assert not formulas(text)


def test_ru25_the_file_of_the_command_line(evil: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'auth.db'}"
    text = CliRunner().invoke(cli, ["--store", url, "audit", "export"], catch_exceptions=False).output
    assert "HYPERLINK" in text
    assert not formulas(text)
