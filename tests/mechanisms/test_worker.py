"""The background thread: no job ends it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from nipo_auth_mw._runtime.worker import Worker


class Struck(BaseException):
    """As gevent.Timeout and GreenletExit: no Exception."""


@pytest.mark.parametrize("problem", [Struck, asyncio.CancelledError, SystemExit, KeyboardInterrupt, ValueError])
def test_ru11_nothing_that_a_job_raises_ends_the_thread(problem, caplog):
    worker, done = Worker(), []

    def raising():
        raise problem

    worker.submit(raising, after=60)
    worker.submit(lambda: done.append(1), after=60)
    assert worker.flush(10)
    assert done == [1]
    assert "a background job failed" in caplog.text


def test_ru11_what_strikes_between_two_jobs_does_not_end_the_work(monkeypatch, caplog):
    worker, done = Worker(), threading.Event()
    jobs = worker._jobs.get()
    wait, struck = jobs._change.wait, []

    def strike_once(timeout=None):
        if not struck and threading.current_thread().name == "nipo_auth_mw":
            struck.append(1)
            raise Struck
        return wait(timeout)

    monkeypatch.setattr(jobs._change, "wait", strike_once)
    worker.submit(done.set, after=0.05)
    assert done.wait(10)
    assert struck == [1]
    assert "another takes its place" in caplog.text
    assert worker.flush(10)


def test_where_no_thread_starts_any_more_a_flush_does_the_work(monkeypatch):
    """From Python 3.12 on, the interpreter starts no thread while it ends. What waits is mails, which must leave."""
    worker, done = Worker(), []

    def refused(thread):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refused)
    worker.submit(lambda: done.append("first"))
    worker.submit(lambda: (done.append("second"), worker.submit(lambda: done.append("later"))), after=60)
    assert done == []
    assert not worker.flush(10), "a job that the flush caused is left"
    assert done == ["first", "second"]
    assert worker.flush(10)
    assert done == ["first", "second", "later"]
    worker._stop()


def test_a_process_that_had_no_thread_to_start_has_one_again(monkeypatch):
    worker, done = Worker(), threading.Event()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", lambda thread: (_ for _ in ()).throw(RuntimeError("no more")))
        worker.submit(lambda: None)
    worker.submit(done.set)
    assert done.wait(10)
