"""What the package says to an operator, read from its source: lines of the log, and findings of `nipo-auth check`.

`docs.make_reference` puts them into tables, so the docs lack none. A message has to stand as a text where it is logged,
or where it is handed to a function `_warn`. A finding is a `yield` of a level, a name and a text.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import nipo_auth_mw

PACKAGE = Path(nipo_auth_mw.__file__).parent
LEVELS = ("debug", "info", "warning", "error", "exception", "critical")
WRAPPER = "_warn"
_VALUE = re.compile(r"%[-+0-9.]*[a-z]")


class Line(NamedTuple):
    """A message, with "…" for each value."""

    level: str
    about: str
    """What a finding is about; "" for a line of the log."""
    text: str


def log_lines() -> list[Line]:
    """Every line that the package can log, in the order of files and lines. ValueError for one that cannot be read."""
    return _each(PACKAGE.rglob("*.py"), ("_log.", WRAPPER), _logged)


def findings() -> list[Line]:
    """Every finding of `nipo-auth check` that is not `ok`. ValueError for one that cannot be read."""
    return _each((PACKAGE / "cli").glob("*.py"), ("yield",), _found)


def _each(
    files: Iterable[Path], words: Sequence[str], of: Callable[[ast.AST, dict[str, ast.expr]], Line | None]
) -> list[Line]:
    """What `of` makes of the nodes of every function, each once. It gets the texts that have got a name above.

    Files without one of the words are not parsed, which takes most of the time.
    """
    lines: dict[Line, None] = {}
    for file in sorted(files):
        source = file.read_text("utf-8")
        if not any(word in source for word in words):
            continue
        for function in ast.walk(ast.parse(source, str(file))):
            if isinstance(function, ast.FunctionDef) and function.name != WRAPPER:
                named: dict[str, ast.expr] = {}
                for node in sorted(ast.walk(function), key=lambda one: getattr(one, "lineno", 0)):
                    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                        named[node.targets[0].id] = node.value
                    if (line := of(node, named)) is not None:
                        lines[line] = None
    return list(lines)


def _logged(node: ast.AST, named: dict[str, ast.expr]) -> Line | None:
    """The line that a call logs."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name), args=[_, text, *_]) if name == WRAPPER:
            return Line("warning", "", _VALUE.sub("…", _text(text, named)))
        case ast.Call(func=ast.Attribute(value=ast.Name(id="_log"), attr=name), args=[text, *_]) if name in LEVELS:
            return Line("error" if name == "exception" else name, "", _VALUE.sub("…", _text(text, named)))
    return None


def _found(node: ast.AST, named: dict[str, ast.expr]) -> Line | None:
    """The finding that a `yield` reports."""
    match node:
        case ast.Yield(value=ast.Tuple(elts=[ast.Constant(value=("warning" | "error") as level), about, text])):
            return Line(level, _text(about, named), _text(text, named))
    return None


def _text(node: ast.expr, named: dict[str, ast.expr]) -> str:
    """The text of an expression, with "…" for each value. ValueError if no part of it is a text."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, named) if isinstance(part, ast.Constant) else "…" for part in parts)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _text(left, named) + _text(right, named)
        case ast.Name(id=name) if name in named:
            return _text(named[name], {other: value for other, value in named.items() if other != name})
    raise ValueError(f"line {node.lineno} of the source: this message has to stand there as a text")
