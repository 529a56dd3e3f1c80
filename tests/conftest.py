"""Rules for the whole suite: in CI nothing skips."""

from __future__ import annotations

import os

import pytest

pytest.register_assert_rewrite("nipo_auth_mw.testing.contracts", "tests.contract.sql_suites", "tests.contract.races")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI a missing server or browser is a failure, not a reason to pass."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
