"""The recipes of docs/guides/testing.md, as they stand."""

from __future__ import annotations

import re
from pathlib import Path

from tests.downstream.test_first_day import mysite, run

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "testing.md").read_text("utf-8")
FILES = dict(re.findall(r"```python\n# ([\w/]+\.py)\n(.*?)```", GUIDE, re.DOTALL))
DJANGO = "mysite/tests.py"
__all__ = ["mysite"]


def test_there_are_twelve():
    assert re.findall(r"^### (\d+)\.", GUIDE, re.MULTILINE) == [str(number) for number in range(1, 13)]


def test_the_recipes_for_pytest_pass(tmp_path):
    for name in FILES.keys() - {DJANGO}:
        (tmp_path / name).write_text(FILES[name], "utf-8")
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=tmp_path)
    tests = sum(text.count("\ndef test_") for name, text in FILES.items() if name != DJANGO)
    assert f"{tests} passed" in done.stdout, done.stdout


def test_the_recipe_for_django_passes(mysite):
    (mysite / DJANGO).write_text(FILES[DJANGO], "utf-8")
    done = run("manage.py", "test", folder=mysite)
    assert "Ran 1 test" in done.stderr
    assert done.returncode == 0, done.stderr
