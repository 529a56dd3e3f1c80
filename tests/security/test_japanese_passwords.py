"""Passwords that an attacker guesses from lists of Japanese names, places and words, in whatever spelling."""

from __future__ import annotations

import random
import string
import time

from nipo_auth_mw import PasswordPolicy
from nipo_auth_mw._credentials import japanese
from nipo_auth_mw._credentials.generator import generate_password
from nipo_auth_mw._credentials.policy import PasswordRules
from nipo_auth_mw._credentials.romaji import one_spelling, romaji
from nipo_auth_mw.errors import PasswordRejected
from tests.each import each

HANAKO = ("hanako.sato@kaisha.example", "佐藤 花子")
GUESSABLE = {
    "a surname": "satou123 yamada2026 SATOU123 Sakurai-2024 kobayashi0401 itou20010401 abe12345",
    "a given name": "ichirou5 kenichi1 Hanako!! yoshikazu7 shunsuke99",
    "two names": "satoufuji hanakosatou1 suzukitanaka1 yamamotokenji2024 takahashiyuki0401 satou.hanako.2024",
    "a place": "oosaka12 tokyo2020 sinzyuku1 hokkaidou",
    "a word": "nippo123 nippou2026 sakura2024 kanrisha1 konnichiwa arigatou1 ohayougozaimasu otsukaresama",
    "a romanisation": "satoh1234 ohta2024 kanrisya1 shimbashi1 sinbasi12 kennichi1 ken'ichi1 toukyou1 tookyoo1",
    "look-alikes": "s4t0u123 n1pp0u2026 s@kura2024",
    "full width": "ｓａｔｏｕ１２３ ＳＡＫＵＲＡ１２",
    "kana": "さとう12345 サトウハナコ１２ ｻﾄｳﾊﾅｺ123 しゃちょう2024 がっこう2024 ファイト123456 ふぁいと123456",
    "one letter more": "xsatou12 satoux12",
    "repetitions": "nippounippounippou さくらさくらさくら",
    "figures first": "2024sakura 0401hanako 123satou456",
}


def reason(password: str, about: tuple[str, ...] = HANAKO) -> str:
    try:
        PasswordRules(PasswordPolicy(), "日報").check(password, about=about)
    except PasswordRejected as refused:
        return refused.reason
    return ""


@each("kind", GUESSABLE)
def test_pw17_japanese_names_places_and_words_are_refused(kind):
    passed = [password for password in GUESSABLE[kind].split() if reason(password) != "guessable"]
    assert passed == []


def test_pw17_the_accounts_own_reading_is_known_in_any_spelling():
    assert reason("kurosujima8", about=()) == ""
    for reading in ("くろすじま", "クロスジマ", "ｸﾛｽｼﾞﾏ", "kurosujima", "kurosuzima@kaisha.example"):
        assert reason("kurosujima8", about=(reading,)) == "guessable"


@each(
    "text",
    [
        "sakura tsukue hikouki",
        "kumo-yakisoba-takao",
        "satou7Qx!k",
        "kq7!vbX2",
        "いろはにほへとちりぬるを",
        "tanuki4817yakisoba3",
    ],
)
def test_pw17_three_words_or_random_characters_are_taken(text):
    assert reason(text) == ""


def test_pw17_random_passwords_are_not_taken_for_words():
    chosen = random.Random(20261130)
    letters, figures = string.ascii_letters, string.digits

    def refused(alphabet: str, length: int) -> int:
        texts = ("".join(chosen.choices(alphabet, k=length)) for _ in range(2000))
        return sum(japanese.guesses(text, HANAKO) < japanese.GUESSABLE_BELOW for text in texts)

    assert refused(letters + figures, 8) <= 2
    assert refused(letters + figures, 10) == 0
    assert refused(string.ascii_lowercase, 10) == 0
    generated = [generate_password(PasswordPolicy()) for _ in range(500)]
    assert not [text for text in generated if japanese.guesses(text, HANAKO) < japanese.GUESSABLE_BELOW]
    words = sorted(word for word in japanese._listed() if len(word) > 3)
    phrases = ["-".join(chosen.sample(words, 3)) for _ in range(500)]
    assert not [text for text in phrases if japanese.guesses(text) < japanese.GUESSABLE_BELOW]


@each(
    "kana,typed",
    [
        ("さとう", "satou satoo satoh sato satō"),
        ("しんじ", "shinji sinzi sinji"),
        ("しゅんすけ", "shunsuke syunsuke"),
        ("じゅんいち", "junichi jun'ichi zyuniti jyunichi"),
        ("つちや", "tsuchiya tutiya"),
        ("はっとり", "hattori"),
        ("まっちゃ", "matcha maccha mattya"),
        ("ふじた", "fujita huzita"),
        ("ほんま", "honma homma"),
        ("ヴィーナス", "binasu viinasu"),
        ("パーティー", "paati"),
        ("おおの", "oono ono ohno"),
        ("を", "wo o"),
        ("ファミリー", "famirii hamili"),
    ],
)
def test_pw17_every_romanisation_is_one_spelling(kana, typed):
    assert {one_spelling(romaji(word)) for word in typed.split()} == {one_spelling(romaji(kana))}


def test_pw17_no_password_takes_long_to_judge():
    for text in ("satou1" * 21, "o" * 128, "aiueo0" * 21, "ni1chi" * 21 + "x", "'" * 128, "しゃ" * 64, "satōu" * 25):
        begun = time.perf_counter()
        japanese.guesses(text, HANAKO)
        assert time.perf_counter() - begun < 0.1
