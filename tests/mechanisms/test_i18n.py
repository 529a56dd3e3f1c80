"""`nipo-auth i18n init`: a third language begins with a file that works before a word is translated."""

from __future__ import annotations

import re
import tomllib

import pytest
from click.testing import CliRunner

from nipo_auth_mw._pages.catalogues import _flat, shipped
from nipo_auth_mw.cli import cli
from nipo_auth_mw.errors import ConfigError
from tests.kit import browser, middleware


def run(*arguments):
    return CliRunner().invoke(cli, ["i18n", "init", *arguments])


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "templates"


@pytest.mark.parametrize("source", ["en", "ja"])
def test_the_file_holds_every_text_as_it_is(folder, source):
    done = run("fr", "--templates", str(folder), "--from", source)
    assert done.exit_code == 0, done.output
    text = (folder / "locale" / "fr.toml").read_text("utf-8")
    assert tomllib.loads(text) == {} or not any(_flat("", tomllib.loads(text)))
    head, _, rest = text.partition("\n\n")
    assert head.startswith("# ")
    filled = re.sub(r"^# ", "", rest, flags=re.MULTILINE)
    assert dict(_flat("", tomllib.loads(filled))) == dict(shipped(source))


def test_the_language_works_at_once_and_takes_what_is_translated(folder, caplog):
    run("fr", "--templates", str(folder))
    path = folder / "locale" / "fr.toml"
    text = path.read_text("utf-8")
    title = re.search(r"^# title = .*$", text[text.index("\n[login]\n") :], re.MULTILINE)[0]
    path.write_text(text.replace(title, 'title = "Connexion"', 1), "utf-8")
    auth = middleware(languages=["ja", "en", "fr"], templates=str(folder))
    page = browser(auth, HTTP_ACCEPT_LANGUAGE="fr").get("/-/auth/login")
    assert 'lang="fr"' in page.text
    assert "Connexion" in page.text
    assert shipped("en")["login.submit"] in page.text
    assert "'fr' falls back" in caplog.text


def test_a_file_that_is_there_is_never_replaced(folder):
    run("fr", "--templates", str(folder))
    path = folder / "locale" / "fr.toml"
    path.write_text("mine", "utf-8")
    refused = run("fr", "--templates", str(folder))
    assert isinstance(refused.exception, ConfigError)
    assert "exists already" in str(refused.exception)
    assert path.read_text("utf-8") == "mine"


WRONG = [["../fr"], ["fr/x"], [""], ["FR"], ["fr", "--from", "xx"], ["fr", "--from", ".."]]


@pytest.mark.parametrize("arguments", WRONG)
def test_what_is_no_language_is_refused(folder, arguments):
    refused = run(*arguments, "--templates", str(folder))
    assert isinstance(refused.exception, ConfigError)
    assert not folder.exists()
