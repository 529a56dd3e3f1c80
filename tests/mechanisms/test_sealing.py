"""Sealed secrets: what opens one, and what does not."""

from __future__ import annotations

import pytest

from nipo_auth_mw._credentials.sealing import Sealing

OLD = "the old secret of this set-up, 0123456789"
NEW = "the new secret of this set-up, 9876543210"
PLAIN = b"12345678901234567890"


def test_what_was_sealed_is_opened_for_the_same_texts_alone():
    sealing = Sealing([OLD], "factor")
    sealed = sealing.seal(PLAIN, "app:1", "1")
    assert sealing.open(sealed, "app:1", "1") == PLAIN
    for about in [("app:2", "1"), ("app:1", "2"), ("app:1",), (), ("app:1", "1", ""), ("app:11", ""), ("1", "app:1")]:
        assert sealing.open(sealed, *about) is None
    assert Sealing([OLD], "app setup").open(sealed, "app:1", "1") is None
    assert Sealing([NEW], "factor").open(sealed, "app:1", "1") is None


def test_texts_cannot_be_moved_from_one_to_the_next():
    sealing = Sealing([OLD], "factor")
    assert sealing.open(sealing.seal(PLAIN, "a", "b, c"), "a", "b", "c") is None
    assert sealing.open(sealing.seal(PLAIN, 'a", "b'), "a", "b") is None


def test_to5_each_changed_character_is_noticed():
    sealing = Sealing([OLD], "factor")
    for plain in (PLAIN, PLAIN + b"12345678", b""):
        sealed = sealing.seal(plain, "1")
        changed = [sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :] for at in range(len(sealed))]
        cut = [sealed[:length] for length in range(len(sealed))]
        longer = [sealed + "=", sealed + "A", sealed + "\n", " " + sealed]
        assert [text for text in changed + cut + longer if sealing.open(text, "1") is not None] == []


@pytest.mark.parametrize("text", ["", ".", "x.y", "\ud800.\ud800", "é.é", "0" * 10_000_000])
def test_a_text_that_nobody_sealed_opens_nothing(text):
    sealing = Sealing([OLD], "factor")
    name = sealing.seal(PLAIN).partition(".")[0]
    assert sealing.open(text) is None
    assert sealing.open(f"{name}.{text}") is None


def test_two_seals_of_one_secret_differ_and_show_nothing_of_it():
    sealing = Sealing([OLD], "factor")
    sealed = [sealing.seal(PLAIN) for _ in range(100)]
    assert len(set(sealed)) == 100
    assert not any("12345678" in text or "MTIzNDU2" in text for text in sealed)


def test_to5_the_newest_key_seals_and_all_of_them_open():
    sealed = Sealing([OLD], "factor").seal(PLAIN, "1")
    both = Sealing([NEW, OLD], "factor")
    assert (both.open(sealed, "1"), both.outdated(sealed)) == (PLAIN, True)
    again = both.seal(PLAIN, "1")
    assert (Sealing([NEW], "factor").open(again, "1"), both.outdated(again)) == (PLAIN, False)
