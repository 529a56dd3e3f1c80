"""Passwords that an attacker guesses from lists of Japanese names, places and words, in whatever spelling."""

from __future__ import annotations

import random
import string
import time
from pathlib import Path

from nipo_auth_mw import PasswordPolicy, _flows
from nipo_auth_mw._credentials import japanese
from nipo_auth_mw._credentials.generator import generate_password
from nipo_auth_mw._credentials.policy import PasswordRules
from nipo_auth_mw._credentials.romaji import one_spelling, romaji
from nipo_auth_mw.errors import PasswordRejected
from nipo_auth_mw.testing import MemoryMailer, link_in
from tests.each import each
from tests.kit import PASSWORD, browser, middleware, person, sign_in

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


OWN = "kurosujima8"
READING = {"name": "黒島", "reading": "くろすじま"}


def by_create(auth, boss):
    return boss.post_json("/-/auth/staff/create", {"email": "new@example.com", "password": OWN, **READING}, status="*")


def by_administrator(auth, boss):
    return boss.post_json("/-/auth/staff/1/password", {"password": OWN}, status="*")


def by_reset(auth, boss):
    browser(auth).post("/-/auth/forgot", {"email": "tanaka@example.com"})
    return browser(auth).post_json(link_in(auth._services.outbox._mailer.outbox[-1]), {"password": OWN}, status="*")


def by_invitation(auth, boss):
    made = boss.post_json("/-/auth/staff/create", {"email": "new@dummy.invalid", "invite": True, **READING})
    return browser(auth).post_json(made.json["link"], {"password": OWN}, status="*")


def by_owner(auth, boss):
    device = browser(auth)
    sign_in(device)
    return device.post_json("/-/auth/account/password", {"current_password": PASSWORD, "password": OWN}, status="*")


@each("door", [by_create, by_administrator, by_reset, by_invitation, by_owner])
def test_pw17_the_reading_is_known_wherever_a_password_is_set(door):
    auth = middleware(mailer=MemoryMailer())
    user, boss = person(auth), browser(auth)
    person(auth, "kanri@example.com", role="admin")
    sign_in(boss, "kanri@example.com")
    boss.post_json(f"/-/auth/staff/{user.id}/profile", READING)
    answer = door(auth, boss)
    assert (answer.status_int, answer.json["code"], answer.json["reason"]) == (422, "password_rejected", "guessable")


def test_pw17_every_password_that_is_set_is_checked_by_one_helper():
    flows = Path(_flows.__file__).parent
    names = {path.name for path in flows.glob("*.py") if "password_rules.check(" in path.read_text("utf-8")}
    assert names == {"new_password.py"}


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
        begun = time.thread_time()
        japanese.guesses(text, HANAKO)
        assert time.thread_time() - begun < 0.1
