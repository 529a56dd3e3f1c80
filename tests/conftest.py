"""Rules for the whole suite: in CI nothing skips, and a run tells which rows of security it showed."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from nipo_auth_mw import _wiring
from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryMailer, fast_hasher
from tests import _forms, _no_disk, _once
from tests._services import address_of, needed
from tests.security import requirements

_forms.install()
_once.install()
_no_disk.install()
HERE = Path(__file__).parent
# What a folder's tests need beyond Python; a marker of the same name selects them.
SKIPPED = "nipo_auth_mw/skipped"
FOLDERS = {"browser": "browser", "servers": "services"}

pytest.register_assert_rewrite("nipo_auth_mw.testing.contracts", "tests.contract.sql_suites", "tests.contract.races")


@pytest.fixture
def mailer() -> MemoryMailer:
    return MemoryMailer()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """An SQLite file that has the tables and nothing in them."""
    path = tmp_path_factory.mktemp("schema") / "auth.db"
    made = SQLStore(f"sqlite:///{path}")
    made.create_schema()
    made.close()
    return path


@pytest.fixture(scope="module")
def make_once(tmp_path_factory):
    """`make_once(path, make)` has `make` write the SQLite file `path` for the first test of a module, and copies the
    file for the others."""
    kept = tmp_path_factory.mktemp("made") / "auth.db"

    def copied(path, make):
        if kept.exists():
            shutil.copy(kept, path)
        else:
            make()
            shutil.copy(path, kept)

    return copied


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The built package, as the backend that `pyproject.toml` names makes it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=HERE.parent, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture
def quick_hashes(monkeypatch):
    """Where no hasher is chosen it is the fast one: for tests that start an app or a command as people do."""
    made = _wiring.PasswordHashing
    monkeypatch.setattr(_wiring, "PasswordHashing", lambda hasher, *more: made(hasher or fast_hasher(), *more))


@pytest.fixture
def redis_uri():
    """A database of Redis for this test alone, emptied before and after."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    redis = needed("redis")
    uri = f"{address_of('redis')}/{int(worker) % 8 + 8}"
    client = redis.Redis.from_url(uri)
    client.flushdb()
    yield uri
    client.flushdb()
    client.close()


def pytest_addoption(parser):
    parser.addoption("--skipped-before", action="store_true", help="run only what the run before skipped")


def pytest_configure(config):
    # Thousands of tests and what they import stay until the end: looking through them again and again takes seconds.
    gc.set_threshold(50_000, 20, 20)
    """A run without the long tests does the same twice: only the long ones try what no run tried before."""
    settings.register_profile("the same twice", derandomize=True, database=None, deadline=None)
    if config.option.markexpr == "not long":
        settings.load_profile("the same twice")
        _read_no_sources()


def pytest_collection_finish():
    gc.collect()
    gc.freeze()


def _read_no_sources():
    """Hypothesis reads the source of every imported module, which takes seconds, and draws what it finds there."""
    with suppress(ImportError, AttributeError):
        from hypothesis.internal.conjecture import providers

        none = providers._local_constants
        providers._get_local_constants = lambda: none


def pytest_collection_modifyitems(config, items):
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        if folder in FOLDERS:
            item.add_marker(FOLDERS[folder])
    if config.getoption("skipped_before"):
        skipped = set(config.cache.get(SKIPPED, []))
        chosen = [item for item in items if not skipped.isdisjoint({item.nodeid, item.nodeid.partition("::")[0]})]
        kept = {item.nodeid for item in chosen}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in kept])
        items[:] = chosen


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI a missing server or browser is a failure, not a reason to pass."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Likewise of a whole file that needs a library."""
    report = yield
    if os.environ.get("CI") and report.skipped:
        report.outcome = "failed"
    return report


def pytest_terminal_summary(terminalreporter):
    """After a run of whole folders: how many rows it showed, and the others by name."""
    reports, config = terminalreporter.getreports, terminalreporter.config
    # A run with `-p no:cacheprovider` has no cache.
    if hasattr(config, "cache") and not config.getoption("skipped_before"):
        config.cache.set(SKIPPED, sorted({report.nodeid for report in reports("skipped")}))
    passed, failed = (
        {report.nodeid.rpartition("::")[2].partition("[")[0] for kind in kinds for report in reports(kind)}
        for kinds in (["passed"], ["failed", "error"])
    )
    if sum(bool(requirements.ids(name)) for name in passed) > len(requirements.ROWS) / 2:
        terminalreporter.section("rows")
        for line in requirements.summary(passed, failed):
            terminalreporter.write_line(line)
