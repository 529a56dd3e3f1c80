"""The texts: complete, alike in every language, and inserted literally."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from jinja2 import DictLoader

import nipo_auth_mw
from nipo_auth_mw._flows.email_change import CANCEL_LASTS
from nipo_auth_mw._flows.staff import CHANGE_WITHIN
from nipo_auth_mw._pages.catalogues import Catalogues, placeholders, shipped
from nipo_auth_mw._pages.renderer import Renderer
from nipo_auth_mw.errors import ConfigError

from .conftest import LANGUAGES, config, values

PACKAGE = Path(nipo_auth_mw.__file__).parent
# Names of things, and the label of the language switch, which is for people who cannot read the page.
NAMES = {"Caps", "Lock", "UTC", "IP", "ID", "base_url", "Language", "InPrivate", "Edge", "Cookie", "CSV", "QR", "Excel"}
NAMES |= {"Google", "Microsoft", "Authenticator", "Apple", "PIN"}
NAMES |= {"TSV", "UTF", "Shift_JIS", "MB", "xlsx", "JavaScript"}
# What people are told to look for by its shape.
SHAPES = {"aaa", "abc", "abcabcabc", "yamada", "dummy", "invalid", "example", "jp"}
SHAPES |= {"nipo", "auth", "user", "password", "security", "import"}


def catalogue(language: str) -> dict[str, str]:
    return {key: text for texts in catalogues(language).values() for key, text in texts.items()}


def catalogues(language: str) -> dict[str, dict[str, str]]:
    """Feature -> its texts, as the file has them."""

    def flat(table: dict[str, object], above: str = "") -> dict[str, str]:
        found: dict[str, str] = {}
        for key, value in table.items():
            found |= flat(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: str(value)}
        return found

    files = sorted((PACKAGE / "locale" / language).glob("*.toml"))
    return {file.stem: flat(tomllib.loads(file.read_text("utf-8"))) for file in files}


def test_both_languages_have_a_catalogue_for_each_feature_with_the_same_keys_and_placeholders() -> None:
    ja, en = catalogues("ja"), catalogues("en")
    assert list(ja) == list(en)
    for feature in en:
        assert list(ja[feature]) == list(en[feature]), feature
        for key, text in ja[feature].items():
            assert placeholders(text) == placeholders(en[feature][key]), key


def test_each_text_has_one_place() -> None:
    for language in LANGUAGES:
        keys = [key for texts in catalogues(language).values() for key in texts]
        assert len(keys) == len(set(keys))
        assert dict(shipped(language)) == catalogue(language)


def test_a_japanese_text_holds_no_english_word_but_names() -> None:
    for key, text in catalogue("ja").items():
        if key == "time.home":
            continue  # the key of a time zone, which no page shows
        words = set(re.findall(r"[A-Za-z_]{2,}", re.sub(r"\{[a-z_]+\}", "", text)))
        assert words <= NAMES | SHAPES, key


def test_japanese_sentences_end_as_sentences_and_hold_no_half_width_kana_or_full_width_latin() -> None:
    for key, text in catalogue("ja").items():
        assert not re.search(r"[｡-ﾟＡ-Ｚａ-ｚ０-９]", text), key
        if key.endswith(".detail"):
            assert all(line.endswith("。") for line in text.splitlines()), key


@pytest.mark.parametrize(
    ("language", "user", "admin"), [("ja", "管理者", "システムの担当者"), ("en", "administrator", "provider")]
)
def test_a_refusal_says_whom_to_ask_and_sends_no_administrator_to_an_administrator(
    pages: Renderer, language: str, user: str, admin: str
) -> None:
    assert user in pages.ask(language)
    assert user in pages.ask(language, "staff")
    assert admin in pages.ask(language, "admin")
    assert user not in pages.ask(language, "admin")
    helped = Renderer(config(support="内線 <123>"))
    assert "内線 <123>" in helped.ask(language) == helped.ask(language, "admin")
    assert "内線 <123>" in helped.problem(language, "account_disabled", email="x").detail


def test_every_key_that_is_used_exists_and_every_key_is_used() -> None:
    sources = [*(PACKAGE / "templates").glob("*.*"), *PACKAGE.rglob("*.py")]
    text = "\n".join(path.read_text("utf-8") for path in sources)
    used = set(re.findall(r"""\bt\(\s*["']([a-z_.]+)["']""", text)) | set(
        re.findall(r"""\btext\(\s*[a-z_.]+,\s*"([a-z_.]+)\"""", text)
    )
    keys = set(catalogue("en"))
    assert {name for name in used if not name.endswith(".")} <= keys
    built = ("problem.", "event.", "role.", "duration.", "mail.", "help.", "advice.", "flash.", "requirement.")
    built += ("why.", "limit.", "actor.", "nav.", "audit.", "event_group.", "event_by_another.", "usage.")
    built += ("ending.", "means.", "ask.", "zone.", "time.", "staff.show.", "staff.column.", "staff.mark.")
    built += ("staff.csv.", "staff.preview_gets.")
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
def test_a_value_is_inserted_as_it_stands(pages: Renderer, value: str) -> None:
    problem = pages.problem("en", "account_disabled", email=value)
    assert f"You cannot sign in as {value}." in problem.detail


def test_a_text_that_is_missing_or_lacks_a_value_is_a_mistake_of_ours(pages: Renderer) -> None:
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
def test_a_duration_in_words(pages: Renderer, seconds: int, ja: str, en: str) -> None:
    assert (pages.catalogues.duration("ja", seconds), pages.catalogues.duration("en", seconds)) == (ja, en)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_days_that_a_text_names_are_those_of_the_code(language: str) -> None:
    named = {key: re.findall(r"(\d+)(?:日| days)", text) for key, text in shipped(language).items()}
    cancelled = ("mail.email_change_asked.lead", "mail.email_changed.lead", "help.address.answer")
    lasting = {"staff.must_change_advice": CHANGE_WITHIN, **dict.fromkeys(cancelled, CANCEL_LASTS)}
    found = {key: [timedelta(days=int(one)) for one in days] for key, days in named.items() if days}
    assert found == {key: [lasts] for key, lasts in lasting.items()}


def test_a_moment_is_named_as_people_do(pages: Renderer) -> None:
    tokyo = timezone(timedelta(hours=9))
    now = datetime(2026, 11, 27, 0, 10, tzinfo=tokyo)
    for time, ja, en in (
        (now, "今日 0:10", "Today, 00:10"),
        (now - timedelta(minutes=11), "昨日 23:59", "Yesterday, 23:59"),
        (now - timedelta(hours=43), "2026/11/25（水） 5:10", "Wed 25 Nov 2026, 05:10"),
        (now + timedelta(days=1), "2026/11/28（土） 0:10", "Sat 28 Nov 2026, 00:10"),
    ):
        assert pages.catalogues.moment("ja", time, now) == ja
        assert pages.catalogues.moment("en", time, now) == en
    assert pages.catalogues.until("ja", now, now) == "0:10"
    assert pages.catalogues.until("ja", now + timedelta(days=1), now) == "2026/11/28（土） 0:10"
    with pytest.raises(ValueError, match="zone"):
        pages.catalogues.date("en", now.replace(tzinfo=None))


FRENCH = "\n".join(f"{key} = {json.dumps(text)}" for key, text in catalogue("en").items())
FRENCH = FRENCH.replace('"English"', '"Français"').replace('submit = "Sign in"', 'submit = "Se connecter"')


def test_a_third_language_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "locale").mkdir()
    (tmp_path / "locale/fr.toml").write_text(FRENCH, "utf-8")
    pages = Renderer(config(languages=("ja", "fr"), default_language="fr"), tmp_path)
    html = pages.render("login.html", "fr", **{**values(), "sections": ()})
    assert '<html lang="fr">' in html
    assert "Se connecter" in html
    assert '<span lang="fr">Français</span>' in html


def test_a_host_replaces_single_texts_and_adds_its_own() -> None:
    host = {
        "locale/ja.toml": 'login.submit = "入る"\nhost.hello = "こんにちは、{name}さん"',
        "locale/en.toml": 'host.hello = "Hello {name}"',
        "hello.html": '{{ t("host.hello", name=name) }}',
    }
    pages = Renderer(config(), DictLoader(host))
    assert pages.text("ja", "login.submit") == "入る"
    assert pages.text("en", "login.submit") == "Sign in"
    assert pages.render("hello.html", "ja", name="<山田>") == "こんにちは、&lt;山田&gt;さん"


@pytest.mark.parametrize(
    ("languages", "files", "told"),
    [
        (("en", "fr"), {}, "'fr' has no texts"),
        (("en",), {"en": 'login.title = "{typo}"'}, "login.title has ['typo']"),
        (("en",), {"en": 'login.title = "Sign in'}, "locale/en.toml is not TOML"),
        (("en",), {"en": "login.title = 5"}, "login.title is not text"),
    ],
)
def test_what_is_wrong_with_a_catalogue_is_told_at_construction(
    languages: tuple[str, ...], files: dict[str, str], told: str
) -> None:
    loader = DictLoader({f"locale/{language}.toml": text for language, text in files.items()})
    with pytest.raises(ConfigError, match=re.escape(told)):
        Renderer(config(languages=languages, default_language="en"), loader)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_shipped_languages_lack_nothing(caplog: pytest.LogCaptureFixture) -> None:
    Renderer(config())
    assert told(caplog) == []


@pytest.mark.parametrize(("language", "start"), [("ja", "【{site_name}】"), ("en", "{site_name}: ")])
def test_the_subject_of_every_mail_begins_with_the_sites_name(language: str, start: str) -> None:
    mails = {
        key: text for key, text in shipped(language).items() if key.startswith("mail.") and key.endswith(".subject")
    }
    assert mails
    assert {key: text for key, text in mails.items() if not text.startswith(start)} == {}


def test_a_language_that_lacks_texts_falls_back_with_one_warning_that_lists_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = [line for line in FRENCH.splitlines() if not line.startswith(("login.title ", "nav.staff "))]
    host = {"locale/fr.toml": "\n".join(lines), "locale/ja.toml": 'login.title = "入口"'}
    pages = Renderer(config(languages=("ja", "fr", "en"), default_language="ja"), DictLoader(host))
    assert told(caplog) == ["the language 'fr' falls back to 'ja' for login.title, nav.staff"]
    assert pages.text("fr", "login.title") == "入口", "the default language as the host app has it"
    assert pages.text("fr", "login.submit") == "Se connecter"
    assert pages.text("en", "login.title") == "Sign in"


def test_a_default_language_that_lacks_texts_falls_back_to_english(caplog: pytest.LogCaptureFixture) -> None:
    lines = [line for line in FRENCH.splitlines() if not line.startswith("login.title ")]
    host = {"locale/fr.toml": "\n".join(lines)}
    pages = Renderer(config(languages=("fr",), default_language="fr"), DictLoader(host))
    assert told(caplog) == ["the language 'fr' falls back to 'en' for login.title"]
    assert pages.text("fr", "login.title") == "Sign in"


def test_a_text_that_only_the_default_language_of_a_host_has_reaches_every_language(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pages = Renderer(config(), DictLoader({"locale/en.toml": 'host.hello = "Hello"'}))
    assert told(caplog) == ["the language 'ja' falls back to 'en' for host.hello"]
    assert pages.text("ja", "host.hello") == "Hello"


def test_a_catalogue_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "locale").mkdir()
    (tmp_path / "locale/ja.toml").write_bytes('login.title = "入る"'.encode("cp932"))
    with pytest.raises(ConfigError, match=re.escape("locale/ja.toml is not UTF-8")):
        Renderer(config(), tmp_path)


def test_texts_need_no_templates() -> None:
    assert Catalogues(("ja",)).text("ja", "login.title") == "ログイン"


def test_a_hosts_texts_are_seen_by_its_own_middleware_alone() -> None:
    with_host = Renderer(config(), DictLoader({"locale/ja.toml": 'login.submit = "入る"'}))
    without = Renderer(config())
    assert with_host.text("ja", "login.submit") == "入る"
    assert without.text("ja", "login.submit") == shipped("ja")["login.submit"] == catalogue("ja")["login.submit"]


def test_what_all_middlewares_share_is_read_only() -> None:
    ours: Any = shipped("en")
    with pytest.raises(TypeError):
        ours["login.submit"] = "changed"
    assert shipped("en") == catalogue("en")
    assert shipped("xx") == {}


@pytest.mark.parametrize("language", ["ja", "en"])
def test_a_misspelt_key_is_told_with_its_file_and_the_key_that_was_meant(
    language: str, caplog: pytest.LogCaptureFixture
) -> None:
    Renderer(config(), DictLoader({f"locale/{language}.toml": 'login.sumbit = "入る"'}))
    assert told(caplog) == [
        f"locale/{language}.toml has the key login.sumbit, which no page shows; the pages have login.submit"
    ]


def test_a_role_of_the_host_apps_own_is_no_misspelt_key(caplog: pytest.LogCaptureFixture) -> None:
    Renderer(config(), DictLoader({"locale/ja.toml": 'role.staffs = "社員"'}))
    assert told(caplog) == ["the language 'ja' alone has the keys role.staffs"]
