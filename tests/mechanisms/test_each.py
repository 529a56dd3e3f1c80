"""Many values in one test: each is tried, and each failure is told."""

from __future__ import annotations

import pytest

from tests.each import each


def test_every_value_is_tried_and_every_failure_named():
    tried = []

    @each("one, two", [(1, 1), (1, 2), (3, 4)])
    def compares(fixture, one, two):
        tried.append((fixture, one, two))
        assert one == two

    with pytest.raises(ExceptionGroup) as group:
        compares(fixture="f")
    assert tried == [("f", 1, 1), ("f", 1, 2), ("f", 3, 4)]
    assert [problem.__notes__ for problem in group.value.exceptions] == [
        ["with one, two = (1, 2)"],
        ["with one, two = (3, 4)"],
    ]


def test_no_value_is_no_test():
    with pytest.raises(AssertionError):
        each("one", [])(lambda one: None)()
