"""What the papers say is what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import MISSING, fields
from datetime import timedelta
from pathlib import Path

import pytest

import nipo_auth_mw
from docs import make_rows
from nipo_auth_mw import AuthConfig, LockoutPolicy, PasswordPolicy, SessionPolicy, TwoStepPolicy
from tests.security import mutate, requirements

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def settings():
    """Every setting by its name in the table, with its default."""
    policies = {"session": SessionPolicy(), "lockout": LockoutPolicy(), "passwords": PasswordPolicy()}
    policies["two_step"] = TwoStepPolicy()
    for field in fields(AuthConfig):
        if field.name in policies:
            policy = policies[field.name]
            yield from ((f"{field.name}.{part.name}", getattr(policy, part.name)) for part in fields(policy))
        else:
            yield field.name, field.default if field.default_factory is MISSING else field.default_factory()


def written(default) -> str:
    if isinstance(default, timedelta):
        days, minutes = default.days, default.seconds // 60
        return f"{days} days" if days else f"{minutes // 60} hours" if minutes >= 60 else f"{minutes} minutes"
    return repr(default).replace("'", '"')


def test_the_readme_lists_every_setting_with_its_default():
    table = dict(re.findall(r"^\| `([a-z_.]+)` \| (`[^|]+`|required) \|", README, re.MULTILINE))
    wanted = {name: f"`{written(default)}`" for name, default in settings()}
    wanted |= {"secret_key": "required", "base_url": "required", "lockout.max_duration": "`duration`"}
    assert table == wanted


def test_the_readmes_two_commands_start_the_demo_and_the_tests():
    commands = dict(re.findall(r"<!-- (\w+) command -->\n```sh\n(.*?)\n```", README))
    assert commands.keys() == {"demo", "test"}
    assert (ROOT / commands["demo"].split()[-1]).is_file()
    assert "'.[demo]'" in commands["demo"]
    assert ".venv/bin/pytest" in commands["test"]
    assert "'.[test]'" in commands["test"]


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == nipo_auth_mw.__version__
    assert f"[{nipo_auth_mw.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_installed_plainly_it_needs_ten_libraries():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {re.match(r"[\w-]+", line)[0].lower() for line in project["dependencies"] if ";" not in line}
    ten = "werkzeug itsdangerous argon2-cffi limits jinja2 sqlalchemy zxcvbn idna click segno"
    assert names == set(ten.split())


def test_what_tests_need_is_the_same_as_an_extra_and_as_a_group():
    """An old pip knows extras alone."""
    file = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert file["dependency-groups"]["test"] == file["project"]["optional-dependencies"]["test"]


def test_every_tool_of_a_group_is_pinned_for_ci():
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    wanted = {re.split(r"[\[>]", one)[0] for group in groups.values() for one in group if isinstance(one, str)}
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / ".ci/constraints.txt").read_text("utf-8"), re.M)
    assert {name.lower().replace("_", "-") for name in wanted} <= {name.lower().replace("_", "-") for name in pinned}


def test_the_policy_lists_every_public_module():
    text = (ROOT / "docs" / "policies.md").read_text("utf-8")
    listed = text.partition("A name without an underscore is public:")[2].partition(". So are")[0]
    package = Path(nipo_auth_mw.__file__).parent
    modules = {path.stem for path in package.glob("*.py")} | {
        path.parent.name for path in package.glob("*/__init__.py")
    }
    public = {name for name in modules if not name.startswith("_")}
    assert set(re.findall(r"\.(\w+)`", listed)) == public


def test_every_public_name_is_there_and_has_a_docstring():
    for name in nipo_auth_mw.__all__:
        assert getattr(nipo_auth_mw, name).__doc__


# `import werkzeug` loads its server and its test client whatever is asked of it, so they are not in this list.
UNNEEDED = ("asyncio", "click", "gevent", "limits", "segno", "limits.aio", "smtplib", "sqlalchemy", "zxcvbn")
UNNEEDED += ("cryptography", "fido2", "importlib.resources", "urllib.request")
STEPS = """
import sys
import nipo_auth_mw.stores
from nipo_auth_mw import AuthMiddleware
from nipo_auth_mw.testing import in_memory
print(*sys.modules)
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/-/auth/login", "SERVER_NAME": "localhost", "SERVER_PORT": "80"}
environ |= {"HTTP_HOST": "localhost", "wsgi.url_scheme": "http"}
seen = []
auth = AuthMiddleware(print, **in_memory())
page = b"".join(auth(environ, lambda status, headers: seen.append(status)))
assert seen == ["200 OK"] and b'id="login"' in page
print(*sys.modules)
nipo_auth_mw.stores.SQLStore("sqlite:////x")
print(*sys.modules)
from webtest import TestApp
auth.accounts.create(email="tanaka@example.com", password="aoi-umi-to-shiroi-kumo")
sent = {"email": "tanaka@example.com", "password": "aoi-umi-to-shiroi-kumo"}
TestApp(auth).post("/-/auth/login", sent, status=303)
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def loaded() -> list[set[str]]:
    """The modules that a fresh process has loaded after each of the steps."""
    command = [sys.executable, "-W", "ignore", "-c", STEPS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_a_store_of_the_hosts_own_imports_no_sqlalchemy(loaded):
    assert loaded[0].isdisjoint({"sqlalchemy", "zxcvbn"})


def test_a_login_page_loads_nothing_that_few_need(loaded):
    assert loaded[1].isdisjoint(UNNEEDED)


def test_sqlite_loads_no_dialect_of_another_database(loaded):
    assert "sqlalchemy.dialects.sqlite" in loaded[2]
    assert loaded[2].isdisjoint({"limits", "sqlalchemy.dialects.mysql", "sqlalchemy.dialects.postgresql"})


def test_a_sign_in_without_two_steps_imports_neither_of_their_libraries(loaded):
    """They take 40 ms of a start, and hosts without the extra do not have them."""
    assert loaded[3].isdisjoint({"cryptography", "fido2"})


def test_the_wheel_holds_pages_texts_and_types(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for wanted in (
        "templates/login.html",
        "locale/ja/login.toml",
        "locale/en/login.toml",
        "static/auth.css",
        "py.typed",
    ):
        assert f"nipo_auth_mw/{wanted}" in names
    assert not [name for name in names if name.startswith("tests") or "__pycache__" in name]


def test_no_paper_names_a_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    words = re.compile(r"/(?:root|home/\w+|work)/|pypi\.org|registry\.npmjs|deb\.debian\.org")
    for name in filter(None, listed):
        file = ROOT / name
        if file.suffix in {".py", ".md", ".toml", ".html", ".css", ".js", ".yaml"} and file != Path(__file__):
            assert not words.search(file.read_text("utf-8")), name


def test_the_table_of_rows_is_the_one_that_the_tests_make():
    assert (ROOT / "docs" / "security-rows.md").read_text("utf-8") == make_rows.page(), "run python -m docs.make_rows"


def test_every_row_has_a_test_or_a_reason_and_every_test_a_row_that_exists():
    places = requirements.shown()
    assert set(places) == set(requirements.ROWS)
    assert {row for row, tests in places.items() if not tests} == set(requirements.UNTESTED)


def test_every_mutation_still_finds_its_place():
    for row, mutation in mutate.mutations().items():
        text = (ROOT / "nipo_auth_mw" / mutation["file"]).read_text("utf-8")
        assert row in requirements.ROWS
        assert text.count(mutation["old"]) == 1, row
        assert mutation["new"] != mutation["old"], row
        if mutation["file"].endswith(".py"):
            compile(text.replace(mutation["old"], mutation["new"]), row, "exec")
