"""What is made of shipped files is kept for the next process, and never outlives what it was made from."""

from __future__ import annotations

import os
import sys
import tomllib
from importlib.util import cache_from_source
from pathlib import Path
from unittest import mock

import pytest
from jinja2 import Environment

from nipo_auth_mw._pages import disk_cache, renderer
from nipo_auth_mw._pages.catalogues import shipped


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The directory in which this test's process keeps what it makes; another process may have kept nothing there."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    return Path(cache_from_source(disk_cache.__file__)).parent


def texts(*made_from, made=None):
    """What the cache gives for these bytes, and whether it was made anew."""
    make = mock.Mock(return_value={"made": "anew"} if made is None else made)
    return disk_cache.cached("en.toml", made_from, make), make.called


def test_a_second_process_compiles_no_template_and_parses_no_catalogue():
    def fresh() -> tuple[object, object]:
        shipped.cache_clear()
        renderer._code.cache_clear()
        return dict(shipped("ja")), renderer._code("login.html")

    first = fresh()
    with (
        mock.patch.object(Environment, "compile", side_effect=AssertionError("compiled")),
        mock.patch.object(tomllib, "loads", side_effect=AssertionError("parsed")),
    ):
        assert fresh() == first


def test_another_byte_of_what_it_was_made_from_makes_it_anew():
    assert texts(b"ab", b"c") == ({"made": "anew"}, True)
    assert texts(b"ab", b"c", made={}) == ({"made": "anew"}, False)
    assert texts(b"a", b"bc", made={"other": "division"}) == ({"other": "division"}, True)
    assert texts(b"ab", b"d", made={"other": "byte"}) == ({"other": "byte"}, True)


@pytest.mark.parametrize("broken", [b"", b"\0" * 31, "cut", "no digest", "another byte"])
def test_a_broken_file_is_made_anew(cache, broken):
    texts(b"source")
    (file,) = cache.iterdir()
    content = file.read_bytes()
    damaged = {"cut": content[:-9], "no digest": content[32:], "another byte": content.replace(b"anew", b"amew")}
    file.write_bytes(damaged.get(broken, broken))
    assert texts(b"source") == ({"made": "anew"}, True)
    assert not texts(b"source")[1]


def test_where_a_process_may_not_write_nothing_fails(cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file stands where the directory would be")
    assert texts(b"source") == ({"made": "anew"}, True)
    assert list(cache.parent.iterdir()) == [cache]


def test_a_disk_that_is_full_leaves_no_half_a_file(cache):
    with mock.patch("pathlib.Path.replace", side_effect=OSError("no space left")):
        assert texts(b"source")[1]
    assert list(cache.iterdir()) == []


def test_a_process_without_bytecode_writes_nothing(cache, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert texts(b"source")[1]
    assert not cache.exists()


def test_no_other_user_may_write_into_what_is_kept(cache):
    before = os.umask(0)
    try:
        texts(b"source")
    finally:
        os.umask(before)
    (file,) = cache.iterdir()
    assert file.stat().st_mode & 0o022 == 0


def test_a_process_whose_modules_are_no_files_makes_it_each_time(cache, tmp_path, monkeypatch):
    assert texts(tmp_path / "in-an-archive.py") == ({"made": "anew"}, True)
    monkeypatch.setattr(sys.implementation, "cache_tag", None)
    assert texts(b"source") == ({"made": "anew"}, True)
    assert not cache.exists()
