"""How the texts read: rules that hold for all of them, and sentences around values that are rare."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from nipo_auth_mw._pages.catalogues import shipped
from nipo_auth_mw._pages.renderer import Renderer
from nipo_auth_mw.models import Client, Message, User

from .conftest import LANGUAGES, TEMPLATES, config, values

LETTER = "[ぁ-んァ-ヴ一-龠々ー]"
KINDS = sorted({key.split(".")[1] for key in shipped("en") if re.fullmatch(r"mail\.\w+\.lead", key)})
# One word for each thing, in the tone of the other texts.
ENGLISH = {
    r"mail(s|ed|ing)?": "email",
    r"e-mail": "email",
    r"log(ged)? ?(in|out)": "sign in, sign out",
    r"log": "history",
    r"can[’']t": "cannot",
    r"(do|need) not": "don’t",
    r"[Ii]ds?": "ID",
    r"[Cc]lear “": "untick",
}
"""What no English text says, and what it says in its place."""


def test_a_japanese_text_has_japanese_punctuation() -> None:
    for key, text in shipped("ja").items():
        assert not re.search(rf"{LETTER}[:;!?(),.~]|[:;!?(),]{LETTER}", text), key


def test_a_japanese_text_has_blanks_around_values_alone() -> None:
    for key, text in shipped("ja").items():
        assert not re.search(rf"{LETTER} [A-Za-z0-9.]|[A-Za-z0-9.] {LETTER}", text), key
        assert not re.search(r"[、。：「（] |[ 　][、。：」）]", text), key


def test_no_parentheses_stand_within_parentheses_of_a_japanese_text(pages: Renderer) -> None:
    """A day has its weekday in parentheses."""
    day = pages.catalogues.date("ja", datetime.now(UTC))
    for key, text in shipped("ja").items():
        assert not re.search(r"（[^）]*（", text.replace("{until}", day).replace("{at}", day)), key


def test_the_templates_leave_punctuation_to_the_texts() -> None:
    """A colon of a template is half a character wide in a Japanese sentence."""
    for path in TEMPLATES.iterdir():
        text = re.sub(r"{%.*?%}|{#.*?#}", "", path.read_text("utf-8"), flags=re.DOTALL)
        text = re.sub(r"<[^<>]*>", "|", re.sub(r"{{.*?}}", "…", text))
        assert not re.search(r"…[:;,.)]|[(]…", text), path.name


@pytest.mark.parametrize("word", ENGLISH)
def test_the_english_texts_have_one_word_for_a_thing(word: str) -> None:
    texts = {key: re.sub(r"“nipo-auth[^”]*”|\{\w+\}", "", text) for key, text in shipped("en").items()}
    assert {key: text for key, text in texts.items() if re.search(rf"(?<![\w-]){word}(?![\w-])", text)} == {}


def test_an_english_text_has_no_quotes_of_a_typewriter() -> None:
    assert {key: text for key, text in shipped("en").items() if re.search("['\"]|\\.\\.\\.|  ", text)} == {}


def mail(pages: Renderer, kind: str, language: str, **changed: Any) -> Message:
    given: dict[str, Any] = {"email": "hanako@example.jp", "name": "", "client": Client(), "proofs": [], "by": "cli"}
    given["at"] = datetime(2026, 12, 31, 15, tzinfo=UTC)
    given |= {"link": "https://reports.example.jp/-/auth/x", "seconds": 3600, "about": "about", "unnamed": False}
    return pages.mail(kind, language, "hanako@example.jp", **given | changed)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_link_of_a_mail_in_plain_text_says_what_it_is_for(pages: Renderer, kind: str, language: str) -> None:
    """In HTML it is a button. "Sign in with the new one." and an address below it would lead to the wrong page."""
    lines = mail(pages, kind, language).text.splitlines()
    link = lines.index("https://reports.example.jp/-/auth/x")
    assert lines[link - 1] == shipped(language)[f"mail.{kind}.button"]
    assert lines[link - 2] == lines[link + 1] == ""


@pytest.mark.parametrize(
    ("zone", "ja", "en"),
    [
        ("Asia/Tokyo", "2026/12/31（木） 23:59まで", "Thu 31 Dec 2026, 23:59 (Japan time)"),
        ("UTC", "協定世界時（UTC）の2026/12/31（木） 14:59まで", "Thu 31 Dec 2026, 14:59 (UTC)"),
        ("Asia/Seoul", "Asia/Seoulの2026/12/31（木） 23:59まで", "Thu 31 Dec 2026, 23:59 (Asia/Seoul)"),
    ],
)
def test_a_mail_tells_the_day_and_the_zone_of_its_link(zone: str, ja: str, en: str) -> None:
    """It may be read on the next day, when "until 0:59" would seem to be good for another night."""
    pages = Renderer(config(timezone=zone))
    with time_machine.travel(datetime(2026, 12, 31, 13, 59, 30, tzinfo=UTC), tick=False):
        assert ja in mail(pages, "reset", "ja").text
        assert en in mail(pages, "reset", "en").text


@pytest.mark.parametrize("kind", KINDS)
def test_a_mail_tells_when_it_happened(kind: str) -> None:
    """A mail may wait for its server for three days, and its reader compares the time with what they did."""
    pages = Renderer(config(timezone="Asia/Tokyo"))
    for language, line in (
        ("ja", "日時：2027/1/1（金） 0:00"),
        ("en", "Time: Fri 1 Jan 2027, 00:00 (Japan time)"),
    ):
        told = mail(pages, kind, language)
        assert line in told.text.splitlines()
        assert f"{line}<br>" in told.html.splitlines()


def test_a_refusal_names_the_zone_unless_its_readers_take_it_for_granted() -> None:
    with time_machine.travel(datetime(2026, 12, 31, 14, 59, 30, tzinfo=UTC), tick=False):
        shown = {
            (zone, language): Renderer(config(timezone=zone)).problem(language, "locked", retry_after=1).detail
            for zone in ("Asia/Tokyo", "UTC")
            for language in LANGUAGES
        }
    assert "、2027/1/1（金） 0:00までロック" in shown["Asia/Tokyo", "ja"]
    assert "until Fri 1 Jan 2027, 00:00 (Japan time)." in shown["Asia/Tokyo", "en"]
    assert "、協定世界時（UTC）の15:00までロック" in shown["UTC", "ja"]
    assert "until 15:00 (UTC)." in shown["UTC", "en"]


def test_a_mail_names_a_passkey_without_a_name_and_the_command_line(pages: Renderer) -> None:
    assert "パスキー：（名前なし）\n" in mail(pages, "passkey_added", "ja", about="").text
    assert "Passkey: it has no name\n" in mail(pages, "passkey_added", "en", about="").text
    assert "リセットした人：コマンドライン\n" in mail(pages, "factors_reset_by", "ja").text
    assert "Reset by: command line\n" in mail(pages, "factors_reset_by", "en").text


def test_a_mail_lists_proofs_as_sentences_do(pages: Renderer) -> None:
    proofs = [("passkey", "iPhone", datetime(2026, 11, 20, tzinfo=UTC))]
    assert "- パスキー iPhone：協定世界時（UTC）の2026/11/20（金） 0:00に設定\n" in (
        mail(pages, "password_reset", "ja", proofs=proofs).text
    )
    assert "- Passkey iPhone, set up on Fri 20 Nov 2026, 00:00 (UTC)\n" in (
        mail(pages, "password_reset", "en", proofs=proofs).text
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_account_that_is_gone_says_whom_to_ask(pages: Renderer, language: str) -> None:
    for word in ("disabled", "deleted"):
        assert "内線 123" in pages.render("login.html", language, **{**values(), "ended": word, "ask": "内線 123"})


def test_a_person_without_a_name_stands_apart_from_the_sentence() -> None:
    person = User("18", "yamada@staff.invalid", True, "", "staff")
    pages = Renderer(config(login_domain="staff.invalid"))
    given = {**values(), "deleted": person}
    assert "「yamada」のアカウントを削除しました。" in pages.render("staff.html", "ja", **given)
    assert "The account of yamada was deleted." in pages.render("staff.html", "en", **given)


@pytest.mark.parametrize(("made", "refused"), [(0, 3), (5, 0)])
def test_a_report_of_an_import_counts_nobody_as_a_sentence_can(pages: Renderer, made: int, refused: int) -> None:
    report = pages.text("ja", "staff.report_lead", made=made, refused=refused)
    assert report == f"追加した人は{made}人、追加できなかった行は{refused}行です。"


def test_a_time_on_paper_has_its_date(pages: Renderer) -> None:
    slip = replace(values()["slips"][1], until=datetime.now(UTC) + timedelta(minutes=1))
    html = pages.render("staff-handover.html", "en", **{**values(), "slips": [slip], "created": True})
    assert re.search(r"<dt>Valid until</dt><dd>\w{3} \d+ \w{3} \d{4}, \d\d:\d\d \(UTC\)</dd>", html)


@pytest.mark.parametrize(
    ("language", "words"), [("ja", "バックアップコードは、もう"), ("en", "The backup codes cannot")]
)
def test_backup_codes_that_are_gone_are_not_called_sign_in_details(pages: Renderer, language: str, words: str) -> None:
    gone = re.search('<p class="left" hidden>(.*?)</p>', pages.render("two_step-codes.html", language, **values()))
    assert gone is not None
    assert gone[1].startswith(words)
