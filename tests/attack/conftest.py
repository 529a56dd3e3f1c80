"""The stores that attacks are tried on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nipo_auth_mw.stores import SQLStore
from nipo_auth_mw.testing import MemoryStore


@pytest.fixture
def store(tmp_path) -> Iterator[SQLStore]:
    """SQLite on a file of this test's own."""
    made = SQLStore(f"sqlite:///{tmp_path / 'auth.db'}")
    made.create_schema()
    yield made
    made.close()


@pytest.fixture(params=["memory", "sqlite"])
def each_store(request):
    """The test runs on a `MemoryStore` and on SQLite."""
    return MemoryStore() if request.param == "memory" else request.getfixturevalue("store")
