"""The texts: complete, alike in every language, and inserted literally."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from jinja2 import DictLoader

import nipo_auth_mw
from nipo_auth_mw.errors import ConfigError
from nipo_auth_mw.parts.pages import Pages
from nipo_auth_mw.parts.texts import Texts, places

from .conftest import CODES, EVENTS, LANGUAGES, config, values

PACKAGE = Path(nipo_auth_mw.__file__).parent
# Names of things, and the label of the language switch, which is for people who cannot read the page.
NAMES = {"Caps", "Lock", "UTC", "IP", "ID", "base_url", "Language", "InPrivate", "Edge", "Cookie", "CSV"}
# What people are told to look for by its shape.
SHAPES = {"aaa", "abc", "abcabcabc", "yamada", "dummy", "invalid"}


def catalogue(language: str) -> dict[str, str]:
    def flat(table: dict[str, object], above: str = "") -> dict[str, str]:
        found: dict[str, str] = {}
        for key, value in table.items():
            found |= flat(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: str(value)}
        return found

    return flat(tomllib.loads((PACKAGE / "locale" / f"{language}.toml").read_text("utf-8")))


def test_both_catalogues_hold_the_same_keys_with_the_same_places() -> None:
    ja, en = catalogue("ja"), catalogue("en")
    assert list(ja) == list(en)
    assert {key: places(text) for key, text in ja.items()} == {key: places(text) for key, text in en.items()}


def test_a_japanese_text_holds_no_english_word_but_names() -> None:
    for key, text in catalogue("ja").items():
        words = set(re.findall(r"[A-Za-z_]{2,}", re.sub(r"\{[a-z_]+\}", "", text)))
        assert words <= NAMES | SHAPES, key


def test_japanese_sentences_end_as_sentences_and_hold_no_half_width_kana_or_full_width_latin() -> None:
    for key, text in catalogue("ja").items():
        assert not re.search(r"[｡-ﾟＡ-Ｚａ-ｚ０-９]", text), key
        if key.endswith(".detail"):
            assert all(line.endswith("。") for line in text.splitlines()), key


def test_a_refusal_says_whom_to_ask() -> None:
    for code in CODES:
        assert "管理者" in catalogue("ja")[f"problem.{code}.detail"], code
        assert "administrator" in catalogue("en")[f"problem.{code}.detail"], code


def test_every_code_every_event_and_both_roles_have_words() -> None:
    wanted = {f"problem.{code}.{part}" for code in CODES for part in ("title", "detail")}
    wanted |= {f"event.{name}" for name in EVENTS} | {"role.admin", "role.staff"}
    for language in LANGUAGES:
        assert wanted <= catalogue(language).keys()


def test_every_key_that_is_used_exists_and_every_key_is_used() -> None:
    sources = [*(PACKAGE / "templates").glob("*.*"), *PACKAGE.rglob("*.py")]
    text = "\n".join(path.read_text("utf-8") for path in sources)
    used = set(re.findall(r"""\bt\(\s*["']([a-z_.]+)["']""", text)) | set(
        re.findall(r"""\btext\(\s*[a-z_.]+,\s*"([a-z_.]+)\"""", text)
    )
    keys = set(catalogue("en"))
    assert used - {"mail.", "stale.", "nav.", "problem."} <= keys
    built = ("problem.", "event.", "role.", "duration.", "mail.", "help.", "advice.", "said.", "stale.", "nav.")
    built += ("why.", "limit.", "actor.", "history.")
    assert {key for key in keys - used if not key.startswith(built)} <= set(re.findall(r'"([a-z_.]+)"', text))


@pytest.mark.parametrize(
    "value",
    [
        "{{7*7}}",
        "{% raw %}",
        "%(x)s",
        "{email}",
        "{retry_after}",
        "{0.__class__}",
        "{email.__class__}",
        "\\1\\g<0>",
        "$x",
    ],
)
def test_a_value_is_inserted_as_it_stands(pages: Pages, value: str) -> None:
    problem = pages.problem("en", "account_disabled", email=value)
    assert f"The account {value} is disabled" in problem.detail


def test_a_text_that_is_missing_or_lacks_a_value_is_a_mistake_of_ours(pages: Pages) -> None:
    with pytest.raises(KeyError):
        pages.text("en", "no.such.key")
    with pytest.raises(KeyError):
        pages.text("en", "problem.locked.detail")


@pytest.mark.parametrize(
    ("seconds", "ja", "en"),
    [
        (250, "4分10秒", "4 minutes 10 seconds"),
        (300, "5分", "5 minutes"),
        (61, "1分1秒", "1 minute 1 second"),
        (1, "1秒", "1 second"),
        (0, "0秒", "0 seconds"),
        (-3, "0秒", "0 seconds"),
        (3600, "1時間", "1 hour"),
        (90061, "25時間1分1秒", "25 hours 1 minute 1 second"),
    ],
)
def test_a_duration_in_words(pages: Pages, seconds: int, ja: str, en: str) -> None:
    assert (pages.texts.duration("ja", seconds), pages.texts.duration("en", seconds)) == (ja, en)


def test_a_moment_names_its_zone(pages: Pages) -> None:
    time = datetime(2026, 11, 3, 9, 5, tzinfo=UTC)
    assert pages.texts.moment("ja", time) == "2026年11月3日 09:05（UTC）"
    assert pages.texts.moment("en", time) == "3 November 2026, 09:05 UTC"
    tokyo, west = timezone(timedelta(hours=9)), timezone(-timedelta(hours=3, minutes=30))
    assert pages.texts.moment("en", time.astimezone(tokyo)) == "3 November 2026, 18:05 UTC+09:00"
    assert pages.texts.moment("en", time.astimezone(west)) == "3 November 2026, 05:35 UTC-03:30"
    with pytest.raises(ValueError, match="zone"):
        pages.texts.moment("en", time.replace(tzinfo=None))


FRENCH = (PACKAGE / "locale/en.toml").read_text("utf-8").replace('name = "English"', 'name = "Français"')


def test_a_third_language_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "locale").mkdir()
    (tmp_path / "locale/fr.toml").write_text(FRENCH.replace('submit = "Sign in"', 'submit = "Se connecter"'), "utf-8")
    pages = Pages(config(languages=("ja", "fr"), default_language="fr"), tmp_path)
    html = pages.render("login.html", "fr", **values())
    assert '<html lang="fr">' in html
    assert "Se connecter" in html
    assert '<option value="fr" lang="fr" selected>Français</option>' in html


def test_a_host_replaces_single_texts_and_adds_its_own() -> None:
    host = {
        "locale/ja.toml": 'login.submit = "入る"\nhost.hello = "こんにちは、{name}さん"',
        "locale/en.toml": 'host.hello = "Hello {name}"',
        "hello.html": '{{ t("host.hello", name=name) }}',
    }
    pages = Pages(config(), DictLoader(host))
    assert pages.text("ja", "login.submit") == "入る"
    assert pages.text("en", "login.submit") == "Sign in"
    assert pages.render("hello.html", "ja", name="<山田>") == "こんにちは、&lt;山田&gt;さん"


@pytest.mark.parametrize(
    ("languages", "files", "told"),
    [
        (("en", "fr"), {}, "'fr' has no texts"),
        (("en", "fr"), {"fr": '[language]\nname = "Français"'}, "'fr' lacks account.address, "),
        (("ja", "en"), {"ja": 'logn.title = "typing mistake"'}, "'en' lacks logn.title"),
        (("en",), {"en": 'login.title = "{typo}"'}, "login.title has ['typo']"),
        (("en",), {"en": 'login.title = "Sign in'}, "locale/en.toml is not TOML"),
        (("en",), {"en": "login.title = 5"}, "login.title is no text"),
    ],
)
def test_what_is_wrong_with_a_catalogue_is_told_at_construction(
    languages: tuple[str, ...], files: dict[str, str], told: str
) -> None:
    loader = DictLoader({f"locale/{language}.toml": text for language, text in files.items()})
    with pytest.raises(ConfigError, match=re.escape(told)):
        Pages(config(languages=languages, default_language="en"), loader)


def test_a_catalogue_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "locale").mkdir()
    (tmp_path / "locale/ja.toml").write_bytes('login.title = "入る"'.encode("cp932"))
    with pytest.raises(ConfigError, match=re.escape("locale/ja.toml is not UTF-8")):
        Pages(config(), tmp_path)


def test_texts_need_no_templates() -> None:
    assert Texts(("ja",)).text("ja", "login.title") == "ログイン"
