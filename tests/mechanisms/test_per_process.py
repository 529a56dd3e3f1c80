"""What belongs to one process, and what happens to it at a fork."""

from __future__ import annotations

import gc
import os
import threading

import pytest

from nipo_auth_mw._runtime import per_process
from nipo_auth_mw._runtime.per_process import PerProcess, at_fork
from tests.kit import middleware

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


class Told:
    """Notes what it is told."""

    def __init__(self, name, told, problem=None):
        self.name, self.told, self.problem = name, told, problem
        at_fork(self)

    def note(self, what):
        self.told.append((what, self.name))
        if self.problem:
            raise self.problem

    def before_fork(self):
        self.note("before")

    def after_fork(self):
        self.note("after")

    def in_child(self):
        self.note("child")


def forked(in_child):
    """Fork; the child's exit code is 0 if the function returns true there."""
    child = os.fork()
    if not child:
        os._exit(0 if in_child() else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_each_object_is_told_once_and_the_last_one_first():
    told = []
    first, last = Told("first", told), Told("last", told)
    before = [("before", "last"), ("before", "first")]
    forked(lambda: told == [*before, ("child", "first"), ("child", "last")])
    assert told == [*before, ("after", "first"), ("after", "last")]
    assert first.told is last.told


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_raises_keeps_no_other_from_being_told():
    told = []
    kept = [Told("one", told), Told("two", told, RuntimeError("no")), Told("three", told)]
    forked(lambda: len(told) == 6)
    assert len(told) == 2 * len(kept)


def test_what_is_gone_is_told_nothing_and_leaves_nothing():
    gc.collect()
    told, known = [], len(per_process._owners)
    Told("gone", told)
    gc.collect()
    forked(lambda: True)
    assert told == []
    assert len(per_process._owners) <= known
    assert per_process._forking == {}


def test_what_is_made_during_a_fork_is_not_told_of_its_end():
    told = []

    class Maker(Told):
        def before_fork(self):
            self.made = PerProcess(list)

    maker = Maker("maker", told)
    forked(lambda: maker.made.get() == [])
    assert maker.made.get() == []


def test_many_middlewares_leave_nothing_behind():
    middleware()
    gc.collect()
    known = len(per_process._owners)
    for _ in range(5):
        middleware()
    gc.collect()
    assert len(per_process._owners) <= known


def test_a_child_makes_a_value_of_its_own_while_a_thread_of_the_parent_holds_the_lock():
    value = PerProcess(object)
    parents = value.get()
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with value._lock:
            entered.set()
            leave.wait(0.05)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(10)
    forked(lambda: value.get() is not parents)
    holder.join()
    assert value.get() is parents
