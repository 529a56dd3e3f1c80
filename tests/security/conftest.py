"""The stores that attacks are tried on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryStore


@pytest.fixture
def store(tmp_path, empty_database) -> Iterator[SQLStore]:
    """SQLite on a file of this test's own."""
    made = SQLStore(f"sqlite:///{shutil.copy(empty_database, tmp_path / 'auth.db')}")
    yield made
    made.close()


@pytest.fixture(params=["memory", "sqlite"])
def each_store(request):
    """The test runs on a `MemoryStore` and on SQLite."""
    return MemoryStore() if request.param == "memory" else request.getfixturevalue("store")
