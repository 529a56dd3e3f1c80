"""Redis counts as the lock needs it."""

from __future__ import annotations

import os
from typing import Any

import pytest
from limits.storage import storage_from_string

from nipo_auth_mw.testing import contracts
from tests._services import address_of


class TestCounters(contracts.CounterContract):
    @pytest.fixture
    def counters(self) -> Any:
        prefix = f"nipo_test_{os.getpid()}"
        storage = storage_from_string(address_of("redis"), key_prefix=prefix)
        storage.reset()
        yield storage
        storage.reset()
        storage.storage.close()
