"""`DjangoUsers`, in a process of its own for each database."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests._services import database

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("service", ["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def test_djangos_user_table_keeps_the_contract(service: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/site.db"
    with nullcontext(url) if service == "sqlite" else database(service, "django_users") as url:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract/django_users.py"],
            cwd=ROOT,
            env={**os.environ, "NIPO_TEST_DJANGO": url},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 0, done.stdout[-3000:]
