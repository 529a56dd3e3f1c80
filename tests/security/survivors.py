"""Mutation testing: `python -m tests.security.survivors [MODULE ...]`. It needs the groups dev and mutation.

Each mutant is a module with one small change, made by mutmut's operators and a few of our own. It is imported in place
of the original by a process forked for it, which runs the module's tests there; no file is written. Printed are the
changes that no test noticed. Those listed in survivors.toml have a reason to survive; the exit code is 1 for any other.
"""

from __future__ import annotations

import difflib
import importlib
import os
import signal
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any, NamedTuple

import libcst as cst
import pytest
from mutmut.mutation.mutators import mutation_operators

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
JOBS = 2
# Imported once, before the forks: everything heavy, and nothing of the package itself.
HEAVY = ("argon2", "django.http", "flask", "jinja2", "limits", "sqlalchemy", "webtest", "zxcvbn")

# Without what only makes a failure readable, and without one test that takes longer than all the others.
OPTIONS = ["-x", "-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
OPTIONS += ["-p", "no:unraisableexception", "-k", "not test_lk15_a_flood_of_addresses_leaves_bounded_rows"]

# Module -> the tests that know it, the quickest first.
MODULES = {
    "_web/guard": ["mechanisms/test_challenges.py", "mechanisms/test_passive_paths.py", "security/test_paths.py"],
    "_web/request": [
        "mechanisms/test_requests.py",
        "features/test_login.py",
        "mechanisms/test_challenges.py",
        "security/test_hosts.py",
        "security/test_bodies.py",
        "security/test_cross_site.py",
        "security/test_paths.py",
        "security/test_client_addresses.py",
        "security/test_redirects.py",
        "features/test_password_change.py",
        "mechanisms/test_accounts.py",
    ],
    "_sessions/sessions": [
        "mechanisms/test_sessions.py",
        "mechanisms/test_email_links.py",
        "security/test_sessions.py",
        "features/test_password_change.py",
    ],
    "_throttle/lockout": [
        "mechanisms/test_throttle.py",
        "security/test_lockout.py",
        "security/test_client_addresses.py",
        "security/test_outages.py",
        "features/test_password_reset.py",
        "mechanisms/test_challenges.py",
    ],
    "_throttle/client_limit": [
        "mechanisms/test_throttle.py",
        "security/test_lockout.py",
        "security/test_client_addresses.py",
        "security/test_outages.py",
    ],
    "_throttle/quotas": [
        "mechanisms/test_throttle.py",
        "security/test_rations.py",
        "security/test_passkeys.py",
        "features/test_password_reset.py",
        "mechanisms/test_challenges.py",
    ],
    "_throttle/counters": [
        "mechanisms/test_throttle.py",
        "security/test_client_addresses.py",
        "security/test_outages.py",
        "mechanisms/test_config.py",
    ],
    "_credentials/email_links": [
        "mechanisms/test_email_links.py",
        "features/test_password_reset.py",
        "security/test_reset.py",
        "security/test_email_change.py",
    ],
    "_web/redirects": ["mechanisms/test_redirect_targets.py", "security/test_redirects.py"],
    "_web/cookies": ["mechanisms/test_cookies.py", "features/test_login.py", "security/test_cookies.py"],
}


class Mutant(NamedTuple):
    """`change` as survivors.toml lists it: the function, the lines before and the lines after."""

    change: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    tree = cst.parse_module(source)
    for where, node in _walk(tree, ""):
        for kind, operator in [*mutation_operators, *OPERATORS]:
            if isinstance(node, kind):
                for changed in operator(node):
                    if _superfluous(node, changed):
                        continue
                    mutated = tree.deep_replace(node, changed).code
                    yield Mutant(f"{where or 'module'}\n{_difference(source, mutated)}", mutated)


def _walk(node: cst.CSTNode, where: str) -> Iterator[tuple[str, cst.CSTNode]]:
    """Every node that does something, with the function it stands in."""
    if isinstance(node, (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom)):
        return
    yield where, node
    if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
        where = f"{where}.{node.name.value}".strip(".")
    for child in node.children:
        yield from _walk(child, where)


def _superfluous(node: cst.CSTNode, changed: cst.CSTNode) -> bool:
    """Whether another mutant asks the same: one a string will do, and an argument is made None before it is left out,
    which without a keyword is nearly always a TypeError."""
    if isinstance(node, cst.SimpleString):
        return not changed.value.strip("rbu\"'").startswith("XX")
    if isinstance(node, cst.Call) and isinstance(changed, cst.Call) and len(changed.args) < len(node.args):
        return node.args[-1].keyword is None
    return False


def _difference(before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return "\n".join(f"{line[0]} {line[1:].strip()}" for line in list(lines)[2:] if not line.startswith("@@"))


def _negated(node: cst.If | cst.While) -> Iterator[cst.CSTNode]:
    test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield node.with_changes(test=cst.UnaryOperation(cst.Not(), test))


def _left_out(node: cst.Expr | cst.Raise) -> Iterator[cst.CSTNode]:
    if not (isinstance(node, cst.Expr) and isinstance(node.value, (cst.SimpleString, cst.Yield))):
        yield cst.Pass()


def _returning_none(node: cst.Return) -> Iterator[cst.CSTNode]:
    """Where that is not the same to every caller that asks yes or no."""
    if node.value is not None and not (isinstance(node.value, cst.Name) and node.value.value in {"None", "False"}):
        yield node.with_changes(value=None)


OPERATORS: list[tuple[Any, Any]] = [
    ((cst.If, cst.While), _negated),
    ((cst.Expr, cst.Raise), _left_out),
    (cst.Return, _returning_none),
]


class Loader(SourceFileLoader):
    """Gives one module another source."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        super().__init__(name, str(path))
        self.source = source

    def get_code(self, fullname: str) -> Any:
        return compile(self.source, self.path, "exec", dont_inherit=True)


class Finder(MetaPathFinder):
    def __init__(self, module: str, source: str) -> None:
        self.name = "nipo_auth_mw." + module.replace("/", ".")
        self.loader = Loader(self.name, ROOT / "nipo_auth_mw" / f"{module}.py", source)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname != self.name:
            return None
        return spec_from_file_location(fullname, self.loader.path, loader=self.loader)


def start(module: str, source: str) -> int:
    """A process that runs the module's tests on this source; its id. It exits with pytest's code."""
    sys.stdout.flush()
    if process := os.fork():
        return process
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    sys.meta_path.insert(0, Finder(module, source))
    code = 1
    try:
        # One by one, so that most mutants are found out before the second file is even imported.
        for file in MODULES[module]:
            code = pytest.main([*OPTIONS, f"tests/{file}"])
            if code:
                break
    finally:
        os._exit(code)


def outcomes(module: str, found: list[Mutant], patience: float) -> Iterator[tuple[Mutant, str]]:
    """Each mutant with "killed", "survived" or "timed out"."""
    left, running = list(reversed(found)), dict[int, tuple[Mutant, float]]()
    while left or running:
        while left and len(running) < JOBS:
            mutant = left.pop()
            running[start(module, mutant.source)] = mutant, time.monotonic() + patience
        time.sleep(0.01)
        for process, (mutant, deadline) in list(running.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                outcome = "survived" if status == 0 else "killed"
            elif time.monotonic() > deadline:
                os.killpg(process, signal.SIGKILL)
                os.waitpid(process, 0)
                outcome = "timed out"
            else:
                continue
            del running[process]
            yield mutant, outcome


def explained(module: str) -> set[str]:
    groups = tomllib.loads((HERE / "survivors.toml").read_text("utf-8")).get(module, [])
    return {change.strip() for group in groups for change in group["changes"]}


def examine(module: str) -> bool:
    """Prints one module's figures and survivors; whether any lacks a reason."""
    source = (ROOT / "nipo_auth_mw" / f"{module}.py").read_text("utf-8")
    began = time.monotonic()
    if os.waitpid(start(module, source), 0)[1]:
        print(f"{module}: its tests fail without any change")
        return True
    patience = 5 * (time.monotonic() - began) + 10
    known, count, bare = explained(module), Counter[str](), []
    seen = set()
    for mutant, outcome in outcomes(module, list(mutants(source)), patience):
        count[outcome] += 1
        if outcome == "survived":
            seen.add(mutant.change)
            if mutant.change not in known:
                bare.append(mutant.change)
                print(mutant.change, end="\n\n", flush=True)
    figures = ", ".join(f"{count[outcome]} {outcome}" for outcome in ("killed", "timed out", "survived"))
    print(f"{module}: {count.total()} mutants: {figures}, {len(bare)} of them without a reason", flush=True)
    for change in sorted(known - seen):
        print(f"{module}: survivors.toml explains what did not survive:\n{change}\n")
    return bool(bare)


def main(wanted: list[str]) -> int:
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    for name in HEAVY:
        importlib.import_module(name)
    unexplained = [module for module in wanted or MODULES if examine(module)]
    return int(bool(unexplained))


if __name__ == "__main__":
    sys.exit(main([name.removesuffix(".py") for name in sys.argv[1:]]))
