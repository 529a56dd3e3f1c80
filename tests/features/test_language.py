"""The language of a page: an allow-list, whatever is sent."""

from __future__ import annotations

import random
import string
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nipo_auth_mw._web import language
from nipo_auth_mw._web.language import choose
from tests.each import each
from tests.kit import browser, middleware, person

JA_EN = ("ja", "en")


def chosen(languages: tuple[str, ...] = JA_EN, default: str = "en", **sent: str | None) -> str:
    return choose(languages, default, **{"cookie": None, "account": None, "accept": None, **sent})


@pytest.mark.parametrize(
    ("sent", "language"),
    [
        ({}, "en"),
        ({"accept": "ja"}, "ja"),
        ({"account": "ja", "accept": "en"}, "ja"),
        ({"cookie": "en", "account": "ja", "accept": "ja"}, "en"),
        ({"cookie": "fr", "account": "ja"}, "ja"),
        ({"cookie": "", "account": "", "accept": ""}, "en"),
    ],
)
def test_the_switch_wins_then_the_account_then_the_browser(sent: dict[str, Any], language: str) -> None:
    assert chosen(**sent) == language


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("ja-JP", "ja"),
        ("JA-jp", "ja"),
        ("ja-Jpan-JP", "ja"),
        ("fr, ja;q=0.3", "ja"),
        ("en;q=0.8, ja;q=0.9", "ja"),
        ("ja;q=0.9, en;q=0.9", "ja"),
        ("en , ja", "en"),
        ("ja;q=0, en;q=0.1", "en"),
        ("ja;Q=1.000", "ja"),
        ("*, ja;q=0.5", "ja"),
        ("*", "en"),
        ("de-CH, fr", "en"),
    ],
)
def test_the_browsers_wish_with_the_highest_weight_that_we_speak(accept: str, language: str) -> None:
    assert chosen(accept=accept) == language


@pytest.mark.parametrize(
    ("accept", "language"),
    [("zh-TW", "zh-TW"), ("zh-tw", "zh-TW"), ("zh-HK", "zh"), ("zh", "zh"), ("zh-TW-x", "zh-TW")],
)
def test_a_region_falls_back_to_its_language(accept: str, language: str) -> None:
    assert chosen(("en", "zh", "zh-TW"), accept=accept) == language


JUNK = [
    "../../etc/passwd",
    "ja/../en",
    "ja.toml",
    "ja\x00",
    "ja\r\nX: y",
    "ja\n",
    " ja",
    "ｊａ",
    "ja;q=2",
    "ja;q=-1",
    "ja;q=nan",
    "ja;q=1e9",
    "ja;q=0.1234",
    "ja;q=",
    "ja;x=1",
    ";;;,,,===",
    "-",
    "--ja",
    "ja--",
    "*-ja",
    "\xff" * 40,
    "a" * 1_000_000,
    "," * 1_000_000,
    "xx," * 333_333 + "ja",
    "x;q=0.5, " * 100_000,
    "fr," * 20 + "ja",
]


@each("junk", JUNK)
def test_junk_is_no_language_and_no_exception(junk: str) -> None:
    assert chosen(cookie=junk, account=junk) == "en"
    assert chosen(accept=junk) in {"en", "ja"}


@each("junk", [one for one in JUNK if one not in {"ja\n", " ja", "ja--"}])
def test_junk_in_the_header_asks_for_nothing(junk: str) -> None:
    assert chosen(accept=junk) == "en"


def test_an_item_cut_in_the_middle_is_not_read_as_another_one() -> None:
    accept = "x" * 509 + ",ja-is-not-what-this-says"
    assert accept[:512].endswith(",ja")
    assert chosen(accept=accept) == "en"


# The default of `text` leaves out the same, by encoding each character that there is.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_the_answer_is_always_a_configured_language(cookie: str, account: str, accept: str) -> None:
    assert chosen(cookie=cookie, account=account, accept=accept) in JA_EN


def test_ten_thousand_different_headers_leave_nothing_behind() -> None:
    dice = random.Random(1)
    letters = string.ascii_letters + ",;=-.*"
    headers = ["".join(dice.choices(letters, k=40)) for _ in range(10_000)]
    chosen(accept="ja")
    tracemalloc.start()
    for header in headers:
        chosen(cookie=header, account=header, accept=header)
    # Of this module alone: threads of other tests' middlewares may be at work.
    traces = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, language.__file__)])
    tracemalloc.stop()
    assert sum(one.size for one in traces.statistics("filename")) < 20_000


@pytest.fixture
def auth():
    auth = middleware(base_url="http://localhost", site_name="日報")
    person(auth, name="田中")
    return auth


def test_the_language_switch_holds_and_comes_back(auth):
    test_app = browser(auth, HTTP_ACCEPT_LANGUAGE="en")
    page = test_app.get("/-/auth/login?next=/reports")
    assert page.html.html["lang"] == "en"
    form = page.forms["language"]
    form["lang"] = "ja"
    back = form.submit()
    assert back.location == "/-/auth/login?next=/reports"
    assert back.follow().html.html["lang"] == "ja"
    assert test_app.post("/-/auth/language", {"lang": "xx"}, expect_errors=True).status_int == 422


@pytest.mark.parametrize(
    "wanted", ["/-/auth/login?\r\nX: y", "/-/auth/login?next=%0d%0aX:y\n", "//evil.example/-/auth/login?"]
)
def test_the_language_switch_comes_back_to_no_odd_place(auth, wanted):
    answer = browser(auth).post("/-/auth/language", {"lang": "ja", "next": wanted})
    assert (answer.status_int, answer.location) == (303, "/-/auth/login")
