"""The architecture: imports go downwards or to a neighbour without a circle; each library has one door."""

from __future__ import annotations

import ast
import functools
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "nipo_auth_mw"
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(file.relative_to(PACKAGE)) for file in FILES]

# From the top. A module imports from its own floor or from one below.
FLOORS = [
    {"testing", "flask", "django", "__init__"},
    {"cli", "middleware", "environment"},
    {"accounts", "_web"},
    {"_flows"},
    {"_wiring", "_services"},
    {"_sessions"},
    {"_audit", "_mail", "_throttle"},
    {"_credentials", "_pages", "legacy"},
    {"stores", "config"},
    {"protocols", "listeners", "mailers"},
    {"_runtime", "_validation", "_capabilities", "_lines"},
    {"models", "errors"},
]
LEVELS = {room: level for level, rooms in enumerate(reversed(FLOORS)) for room in rooms}

DOORS = {
    "argon2": {"_credentials/hashing.py"},
    "zxcvbn": {"_credentials/policy.py"},
    "itsdangerous": {"_credentials/tokens.py"},
    "jinja2": {"_pages/renderer.py"},
    "markupsafe": {"_pages/", "_web/host_api.py", "flask.py", "django.py"},
    "idna": {"_mail/addresses.py"},
    "click": {"cli/"},
    "trustme": {"cli/_dev_cert.py"},
    "limits": {"_throttle/counters.py"},
    "sqlalchemy": {"stores/"},
    "werkzeug": {"_web/", "middleware.py", "flask.py", "django.py"},
    "flask": {"flask.py"},
    "bcrypt": {"legacy.py"},
    "django": {"django.py", "testing/django.py", "stores/_django_users.py"},
    "asgiref": {"django.py", "testing/django.py"},
    "webtest": {"testing/pytest_plugin.py"},
    "pytest": {"testing/contracts", "testing/pytest_plugin.py"},
    "segno": {"_pages/qr_code.py"},
    "cryptography": {"_credentials/sealing.py", "_credentials/passkeys.py", "legacy.py", "testing/_soft_passkey.py"},
    "fido2": {"_credentials/passkeys.py"},
    "webauthn": set(),
    "openpyxl": {"_flows/staff_xlsx.py"},
    "defusedxml": {"_flows/staff_xlsx.py"},
}
LATE = {
    ("_pages/catalogues.py", "tomllib"),
    ("testing/_browsers.py", "email.message"),
    ("testing/_browsers.py", "urllib.request"),
    ("mailers/__init__.py", "nipo_auth_mw.mailers._smtp"),
    ("testing/__init__.py", "nipo_auth_mw.testing._soft_passkey"),
    ("cli/_dev_cert.py", "trustme"),
    ("_throttle/counters.py", "limits.errors"),
    ("_throttle/counters.py", "limits.storage"),
    ("_credentials/policy.py", "zxcvbn"),
    ("_credentials/sealing.py", "cryptography.exceptions"),
    ("_credentials/sealing.py", "cryptography.hazmat.primitives.ciphers.aead"),
    ("_pages/qr_code.py", "segno"),
    ("_credentials/passkeys.py", "cryptography.exceptions"),
    ("_credentials/passkeys.py", "fido2"),
    ("_credentials/passkeys.py", "fido2.cose"),
    ("_credentials/passkeys.py", "fido2.server"),
    ("_credentials/passkeys.py", "fido2.webauthn"),
    ("_flows/staff_xlsx.py", "openpyxl"),
    ("_flows/staff_xlsx.py", "defusedxml.ElementTree"),
    ("stores/__init__.py", "nipo_auth_mw.stores._django_users"),
    ("stores/__init__.py", "nipo_auth_mw.stores._sql"),
    ("stores/__init__.py", "nipo_auth_mw.stores._table_users"),
    ("stores/_statements.py", "sqlalchemy.dialects.mysql"),
    ("stores/_statements.py", "sqlalchemy.dialects.postgresql"),
    ("stores/_statements.py", "sqlalchemy.dialects.sqlite"),
}


INSIDE = {"nipo_auth_mw", *sys.stdlib_module_names}


def level(module: str) -> int:
    """The floor of a module's room, counted from the ground; KeyError for a room that is on no floor."""
    return LEVELS[[*module.split("."), "__init__"][1]]


def dotted(name: str) -> str:
    """The dotted name of a file of the package: `cli/__init__.py` is `nipo_auth_mw.cli`."""
    return f"nipo_auth_mw.{name.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__")


def imports(file: Path, *, inside_functions: bool = False) -> list[str]:
    """Modules a file imports; with `inside_functions` those alone that it imports late."""
    return [module for module, is_late in _imports(file) if is_late or not inside_functions]


@functools.cache
def _imports(file: Path) -> list[tuple[str, bool]]:
    """Each module that a file imports, and whether it does so inside a function."""
    found: list[tuple[str, bool]] = []

    def walk(node: ast.AST, is_late: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend((alias.name, is_late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute"
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            found.extend((m if _is_module(m) else node.module, is_late) for m in submodules)
        elif isinstance(node, ast.stmt | ast.excepthandler | ast.match_case | ast.Module):
            inside = is_late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for child in ast.iter_child_nodes(node):
                walk(child, inside)

    walk(ast.parse(file.read_text("utf-8")), False)
    return found


@functools.cache
def _is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def test_imports_go_downwards_or_to_a_neighbour():
    above = []
    for name in NAMES:
        own = level(dotted(name))
        inner = [m for m in imports(PACKAGE / name) if m.partition(".")[0] == "nipo_auth_mw"]
        above += [(name, module) for module in inner if level(module) > own]
    assert above == []


def test_every_room_has_one_floor():
    rooms = {dotted(name).partition(".")[2].partition(".")[0] or "__init__" for name in NAMES}
    assert sorted(room for floor in FLOORS for room in floor) == sorted(rooms)


def test_the_floors_are_those_that_contributing_shows():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    figure = text.partition("## Rooms and floors")[2].split("```\n")[1]
    assert [set(re.split("  +", line)[0].split()) for line in figure.splitlines()] == FLOORS


def test_each_library_has_one_door():
    elsewhere = []
    for name in NAMES:
        for module in imports(PACKAGE / name):
            library = module.partition(".")[0]
            doors = {""} if library in INSIDE else DOORS.get(library, set())
            if not any(name.startswith(door) for door in doors):
                elsewhere.append((name, module))
    assert elsewhere == []


def test_nothing_is_imported_late_but_what_few_need():
    late = {(name, module) for name in NAMES for module in imports(PACKAGE / name, inside_functions=True)}
    assert late == LATE


def test_no_room_holds_two_things():
    assert [name for name in NAMES if len((PACKAGE / name).read_text("utf-8").splitlines()) > 350] == []
    assert [name for name in NAMES if Path(name).stem in {"utils", "helpers", "common", "misc"}] == []


def test_stores_and_mailers_need_only_the_lowest_floors():
    for folder in ("stores", "mailers"):
        allowed = {folder, "_runtime", "errors", "models", "protocols"}
        for file in (PACKAGE / folder).glob("*.py"):
            rooms = {module.split(".")[1] for module in imports(file) if module.startswith("nipo_auth_mw.")}
            assert rooms <= allowed, file.name


def test_there_is_no_circle():
    graph = {}
    for file, name in zip(FILES, NAMES, strict=True):
        late = set(imports(file, inside_functions=True))
        graph[dotted(name)] = [m for m in imports(file) if m.startswith("nipo_auth_mw.") and m not in late]
    seen, path = set(), []

    def walk(module):
        assert module not in path, f"a circle: {' -> '.join([*path, module])}"
        if module in seen:
            return
        path.append(module)
        for other in graph.get(module, []):
            walk(other)
        seen.add(path.pop())

    for module in graph:
        walk(module)
