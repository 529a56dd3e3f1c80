"""Codes of an authenticator app: the vectors of RFC 6238, what is read as a code, and what an app gets."""

from __future__ import annotations

import base64
import time
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from nipo_auth_mw._credentials import totp
from tests.each import each

SECRET = b"12345678901234567890"
NOW = 1_795_470_000.0
STEP = totp.step_at(NOW)

# RFC 6238, appendix B, for SHA-1. Its codes have eight digits; the last six of them are the code of six.
VECTORS = {
    59: "94287082",
    1111111109: "07081804",
    1111111111: "14050471",
    1234567890: "89005924",
    2000000000: "69279037",
    20000000000: "65353130",
}


def step_of(text: str, *, now: float = NOW, after: int = 0, secret: bytes = SECRET) -> int | None:
    return totp.step_of(secret, text, now=now, after=after)


@pytest.mark.parametrize("moment", VECTORS)
def test_codes_are_those_of_rfc_6238(moment):
    code = VECTORS[moment][-6:]
    assert totp.code_at(SECRET, totp.step_at(moment)) == code
    assert step_of(code, now=moment) == moment // 30


def test_to3_one_step_early_or_late_and_no_more():
    code, start = totp.code_at(SECRET, STEP), STEP * 30
    accepted = [off for off in (-30.001, -30, -29, 0, 29, 30, 59, 59.999, 60, 90) if step_of(code, now=start + off)]
    assert accepted == [-30, -29, 0, 29, 30, 59, 59.999]


def test_to1_a_code_is_accepted_once_and_none_before_it():
    for step in (STEP - 1, STEP, STEP + 1):
        code = totp.code_at(SECRET, step)
        assert step_of(code, after=step - 1) == step
        assert step_of(code, after=step) is None
        assert step_of(code, after=STEP + 1) is None


def test_to1_of_two_steps_with_one_code_it_is_the_higher(monkeypatch):
    """Else the same six digits would be accepted a second time."""
    monkeypatch.setattr(totp, "code_at", lambda secret, step: "123456" if step in (STEP - 1, STEP) else "654321")
    assert step_of("123456") == STEP
    assert step_of("123456", after=STEP) is None


def test_the_first_minute_of_1970_has_no_step_before_zero():
    assert step_of(totp.code_at(SECRET, 0), now=0.0, after=-1) == 0


@pytest.fixture
def hmacs(monkeypatch):
    """The steps whose code was computed."""
    steps = []
    real = totp.code_at
    monkeypatch.setattr(totp, "code_at", lambda secret, step: steps.append(step) or real(secret, step))
    return steps


@each(
    "spelled",
    ["{} {}", "{}-{}", "{}  {}", "\t{}{}\n", "{}\u3000{}", "{}ー{}", "{}－{}", "{}‑{}", "{}\xa0{}", "- {} - {} -"],
)
@each("full_width", [False, True])
def test_to6_digits_of_both_widths_in_groups(spelled, full_width):
    code = totp.code_at(SECRET, STEP)
    if full_width:
        code = "".join(chr(0xFEE0 + ord(digit)) for digit in code)
    assert step_of(spelled.format(code[:3], code[3:])) == STEP


NO_CODES = {
    "five digits": "12345",
    "seven digits": "1234567",
    "arabic": "\u0661\u0662\u0663\u0664\u0665\u0666",
    "mixed scripts": "12\u066345\uff16",
    "devanagari": "\u0967\u0968\u0969\u096a\u096b\u096c",
    "superscript": "12345\u00b2",
    "circled": "\u246012345",
    "mathematical": "\U0001d7cf\U0001d7d0\U0001d7d1\U0001d7d2\U0001d7d3\U0001d7d4",
    "kanji": "\u4e00\u4e8c\u4e09\u56db\u4e94\u516d",
    "sign": "+12345",
    "underscore": "1_2345",
    "point": "123.456",
    "NUL": "12345\0",
    "lone surrogate": "12345\ud800",
    "letters": "abcdef",
    "empty": "",
    "blanks": "      ",
    "10 MB": "1" * 10_000_000,
    "10 MB of blanks": " " * 10_000_000 + "123456",
}


@pytest.mark.parametrize("what", NO_CODES)
def test_to6_anything_else_is_refused_without_an_hmac(what, hmacs):
    started = time.thread_time()
    assert step_of(NO_CODES[what]) is None
    assert time.thread_time() - started < 0.05
    assert hmacs == []


def test_every_code_costs_the_same_hmacs(hmacs):
    """A right code, a wrong one and one that was used: the time tells nothing of the digits."""
    for text, after in [(totp.code_at(SECRET, STEP - 1), 0), ("000000", 0), ("999999", STEP + 1)]:
        hmacs.clear()
        step_of(text, after=after)
        assert len(hmacs) == 3


def test_to4_a_secret_has_160_random_bits_and_is_new_each_time():
    secrets = {totp.new_secret() for _ in range(1000)}
    assert len(secrets) == 1000
    assert {len(secret) for secret in secrets} == {20}
    assert {len(totp.key_text(secret).replace(" ", "")) for secret in secrets} == {32}


def test_the_key_is_base32_in_groups_of_four():
    assert totp.key_text(SECRET) == "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"
    assert base64.b32decode(totp.key_text(SECRET).replace(" ", "")) == SECRET


@pytest.mark.parametrize(
    ("issuer", "label"),
    [
        ("\u65e5\u5831", "\u65e5\u5831:tanaka+1@example.com"),
        ("", "tanaka+1@example.com"),
        ("A: B & C?", "A  B & C?:tanaka+1@example.com"),
    ],
)
def test_the_address_that_an_app_reads(issuer, label):
    address = totp.uri(SECRET, account="tanaka+1@example.com", issuer=issuer)
    assert address.isascii()
    parts = urlsplit(address)
    assert (parts.scheme, parts.netloc, unquote(parts.path)) == ("otpauth", "totp", f"/{label}")
    facts = parse_qs(parts.query)
    assert facts.pop("secret") == ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"]
    assert facts == ({"issuer": [issuer.replace(":", " ")]} if issuer else {})
