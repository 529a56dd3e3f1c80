"""The house: five floors, imports downwards only, one door a library."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUSE = ROOT / "nipo_auth_mw"
FILES = sorted(HOUSE.rglob("*.py"))
NAMES = [str(file.relative_to(HOUSE)) for file in FILES]

FLOORS = {
    "__init__.py": 5,
    "middleware.py": 4,
    "accounts.py": 4,
    "cli": 4,
    "testing": 4,
    "web": 3,
    "flows": 2,
    "parts": 1,
    "stores": 1,
    "mailers": 1,
}  # everything else is a value, on the ground

DOORS = {
    "argon2": {"parts/passwords.py"},
    "zxcvbn": {"parts/passwords.py"},
    "itsdangerous": {"parts/signing.py"},
    "jinja2": {"parts/pages.py"},
    "idna": {"parts/emails.py"},
    "click": {"cli/"},
    "limits": {
        "parts/lockout.py",
        "parts/services.py",
        "stores/memory_counters.py",
        "stores/sql_counters.py",
        "testing/contracts/",
    },
    "sqlalchemy": {"stores/"},
    "werkzeug": {"web/", "middleware.py", "parts/cookies.py"},
    "pytest": {"testing/contracts"},
}
LATE = {("parts/passwords.py", "zxcvbn"), ("stores/__init__.py", "nipo_auth_mw.stores.sql")}


def floor(module: str) -> int:
    first, _, _ = module.removeprefix("nipo_auth_mw").lstrip(".").partition(".")
    if not first:
        return FLOORS["__init__.py"]
    return FLOORS.get(first, FLOORS.get(f"{first}.py", 0)) if first else 0


def imports(file: Path, *, inside_functions: bool = False):
    """Modules a file imports; with `inside_functions` those alone that it imports late."""
    tree = ast.parse(file.read_text("utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    nodes = [n for f in functions for n in ast.walk(f)] if inside_functions else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute"
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (m if _is_module(m) else node.module for m in submodules)


def _is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@pytest.mark.parametrize("name", NAMES)
def test_imports_go_downwards_or_to_a_neighbour(name):
    own = floor("nipo_auth_mw." + name.removesuffix(".py").removesuffix("__init__").replace("/", ".").rstrip("."))
    for module in imports(HOUSE / name):
        if module.startswith("nipo_auth_mw"):
            assert floor(module) <= own, f"{name} imports {module}, a floor above"


@pytest.mark.parametrize("name", NAMES)
def test_each_library_has_one_door(name):
    for module in imports(HOUSE / name):
        doors = DOORS.get(module.partition(".")[0])
        assert doors is None or any(name.startswith(door) for door in doors), f"{name} imports {module}"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_imported_late_but_what_few_need(name):
    late = set(imports(HOUSE / name, inside_functions=True))
    assert {(name, module) for module in late} <= LATE


@pytest.mark.parametrize("name", NAMES)
def test_no_room_holds_two_things(name):
    assert len((HOUSE / name).read_text("utf-8").splitlines()) <= 350
    assert Path(name).stem not in {"utils", "helpers", "common", "misc"}


def test_stores_and_mailers_know_only_the_values():
    for folder in ("stores", "mailers"):
        for file in (HOUSE / folder).glob("*.py"):
            for module in imports(file):
                if module.startswith("nipo_auth_mw") and not module.startswith(f"nipo_auth_mw.{folder}"):
                    assert floor(module) == 0, f"{file.name} imports {module}"


def test_there_is_no_circle():
    graph = {}
    for file, name in zip(FILES, NAMES, strict=True):
        module = "nipo_auth_mw." + name.removesuffix(".py").replace("/", ".")
        late = set(imports(file, inside_functions=True))
        graph[module.removesuffix(".__init__")] = [
            m for m in imports(file) if m.startswith("nipo_auth_mw.") and m not in late
        ]
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
