"""Rules for the whole suite: in CI nothing skips, and a run tells which rows of security it showed."""

from __future__ import annotations

import os

import pytest
import redis

from tests._services import address_of
from tests.attack import rows

pytest.register_assert_rewrite("nipo_auth_mw.testing.contracts", "tests.contract.sql_suites", "tests.contract.races")


@pytest.fixture
def redis_uri():
    """A database of Redis for this test alone, emptied before and after."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    uri = f"{address_of('redis')}/{int(worker) % 8 + 8}"
    client = redis.Redis.from_url(uri)
    client.flushdb()
    yield uri
    client.flushdb()
    client.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI a missing server or browser is a failure, not a reason to pass."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter):
    """After a run of whole folders: how many rows it showed, and the others by name."""
    reports = terminalreporter.getreports
    passed, failed = (
        {report.nodeid.rpartition("::")[2].partition("[")[0] for kind in kinds for report in reports(kind)}
        for kinds in (["passed"], ["failed", "error"])
    )
    if sum(bool(rows.ids(name)) for name in passed) > len(rows.ROWS) / 2:
        terminalreporter.section("rows")
        for line in rows.summary(passed, failed):
            terminalreporter.write_line(line)
