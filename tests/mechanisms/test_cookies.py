"""Reading one cookie out of a header, and writing one: what browsers send and what others may."""

from __future__ import annotations

import pytest

from nipo_auth_mw._web.cookies import LONGEST_HEADER, Cookie, take
from tests.each import each


def read(header, name):
    return take(header, name)[0]


@each(
    "header, value",
    [
        ("ours=v", "v"),
        ("a=1; ours=v", "v"),
        ("ours=v; a=1", "v"),
        ("a=1; ours=v; b=2", "v"),
        ("a=1;ours=v;b=2", "v"),
        ("a=1;  ours=v", "v"),
        ("a=1;\tours=v", "v"),
        ("\tours =\tv\t", "v"),
        ("ours= v ; a=1", "v"),
        ("ours=", ""),
        ("ours=; a=1", ""),
        ("ours=a=b", "a=b"),
        ("a=1; ours =a=b", "a=b"),
        ('ours="v"', "v"),
        ('a=1; ours = "v"', "v"),
        ('ours=""', ""),
        ('ours="', '"'),
        ('ours="v', '"v'),
        ('ours=v"', 'v"'),
        ("ours='v'", "'v'"),
        ("ours=vv", "vv"),
        ("ours=vwv", "vwv"),
        ("ours=ours", "ours"),
        ("ours=yours; a=ours", "yours"),
        ("theirs=ours; ours=v", "v"),
        ("ours2=x; ours=v", "v"),
        ("ours-x; ours=v", "v"),
        ("broken; ours=v; =", "v"),
        ("x\xa0=1; ours=v", "v"),
        ("ours=v; x=abc", "v"),
    ],
)
def test_the_one_cookie_of_a_name_is_read_whatever_stands_beside_it(header, value):
    assert read(header, "ours") == value


@each(
    "header",
    [
        "",
        "a=1",
        "ours",
        "ours; a=1",
        "a=1; ours",
        "ours-v",
        "ours v",
        "oursv",
        "ours2=v",
        "yours=v",
        "Xours=v",
        "a=1; yours=v",
        "a; yours=v",
        "a=ours=v",
        "=ours=v",
        "a=1, ours=v",
        "a=1 ours=v",
        "\xa0ours=v",
        "a=1; \x0bours=v",
        "Ours=v",
        "ours=v; ours=v",
        "ours=v;ours=w",
        "ours=; ours=v",
        "ours=v; ours=",
        "ours =v; ours=v",
        "a=1; ours=v; b=2; ours=v",
        "ours=1; ours=2; ours=3",
    ],
)
def test_another_name_or_the_name_twice_is_no_cookie_of_ours(header):
    assert read(header, "ours") is None


@pytest.mark.parametrize("header", ["ours={}", "a=1; ours={}", "a=1;ours={}"])
@pytest.mark.parametrize("odd", ["\xa0", "\x0b", "\x0c", "\x85", "X"])
def test_only_blanks_and_tabs_around_a_value_are_not_part_of_it(header, odd):
    assert read(header.format(f" \t{odd}v{odd}\t "), "ours") == f"{odd}v{odd}"


def test_a_header_longer_than_browsers_send_is_not_read():
    header = "ours=v; a="
    assert read(header.ljust(LONGEST_HEADER, "1"), "ours") == "v"
    assert read(header.ljust(LONGEST_HEADER + 1, "1"), "ours") is None
    assert LONGEST_HEADER == 32 * 1024


@pytest.mark.parametrize(
    ("secure", "http_only", "line"),
    [
        (True, True, "__Host-ours=v; Secure; HttpOnly; Max-Age=60; Path=/; SameSite=Lax"),
        (False, True, "ours=v; HttpOnly; Max-Age=60; Path=/; SameSite=Lax"),
        (True, False, "ours=v; Secure; Max-Age=60; Path=/; SameSite=Lax"),
    ],
)
def test_flags_follow_what_the_cookie_is(secure, http_only, line):
    cookie = Cookie("ours", secure=secure, lasts=60, http_only=http_only)
    assert attributes(cookie.set("v")) == attributes(line)
    assert attributes(cookie.set("v", persistent=False)) == attributes(line) - {"Max-Age=60"}
    gone = cookie.delete()
    assert attributes(gone) == attributes(line.replace("=v", "=").replace("=60", "=0"))
    assert "Expires=Thu, 01 Jan 1970 00:00:00 GMT" in gone
    assert cookie.read(f"{cookie.name}=v") == "v"


def attributes(line: str) -> set[str]:
    """The pair and its attributes, without the second spelling of Max-Age."""
    return {part for part in line.split("; ") if not part.startswith("Expires=")}
