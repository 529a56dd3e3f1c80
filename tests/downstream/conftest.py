"""What several files need. The suites are a host's: they run on their own, from an empty folder."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

collect_ignore = ["suite", "django_site", "migrations"]


@pytest.fixture(scope="session")
def started(tmp_path_factory):
    """What `django-admin startproject mysite .` makes."""
    folder = tmp_path_factory.mktemp("django")
    command = [sys.executable, "-m", "django", "startproject", "mysite", "."]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def django_project(started, tmp_path):
    """A new Django project in a folder of its own."""
    shutil.copytree(started, tmp_path, dirs_exist_ok=True)
    return tmp_path
