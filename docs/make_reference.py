"""Fills the generated tables of README.md and docs/: `python -m docs.make_reference`.

A table stands between `<!-- generated: NAME -->` and `<!-- /generated -->`. `<!-- generated: NAME of FEATURE -->` asks
for the rows of one feature. `TABLES` has one function for each name. `--check` writes nothing and exits with 1 if a
page is out of date.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

import nipo_auth_mw
from docs import operator_texts
from nipo_auth_mw import AuthConfig, LockoutPolicy, PasswordPolicy, SessionPolicy, TwoStepPolicy, protocols
from nipo_auth_mw._audit.events import EventType
from nipo_auth_mw._pages.catalogues import shipped
from nipo_auth_mw._web.interface import FIELDS, interface_of
from nipo_auth_mw._web.problems import PROBLEMS
from nipo_auth_mw._web.route import Route
from nipo_auth_mw._web.routes import ROUTES
from nipo_auth_mw.cli import cli
from nipo_auth_mw.stores._outages import _HINTS as HINTS
from nipo_auth_mw.testing import contracts

ROOT = Path(__file__).parents[1]
# A code or an event without a sentence of its own in texts.toml is told by its English text.
ENGLISH = shipped("en")
TEXTS = tomllib.loads((ROOT / "docs" / "texts.toml").read_text("utf-8"))
POLICIES = {
    "session": SessionPolicy(),
    "lockout": LockoutPolicy(),
    "passwords": PasswordPolicy(),
    "two_step": TwoStepPolicy(),
}
REQUIRED = ("secret_key", "base_url")
# Settings whose default is the value of another setting.
FOLLOWS = {"lockout.max_duration": "duration"}
# What has texts is a feature. A view of several, such as `staff_bulk`, begins with its name.
FEATURES = {path.stem for path in (Path(nipo_auth_mw.__file__).parent / "locale" / "en").glob("*.toml")} - {"common"}
_BLOCK = re.compile(r"(<!-- generated: ([a-z_]+)(?: of ([a-z_]+))? -->\n).*?(<!-- /generated -->)", re.DOTALL)


def settings(_: str = "") -> str:
    """Every setting with its default, in the order of `AuthConfig`."""
    meaning = dict(TEXTS["settings"])
    rows = []
    for name, default in _settings():
        shown = "required" if name in REQUIRED else f"`{FOLLOWS.get(name) or _written(default)}`"
        rows.append((f"`{name}`", shown, _taken(meaning, name)))
    _refuse_rest(meaning, "settings")
    return _table(("setting", "default", "meaning"), rows)


def routes(feature: str = "") -> str:
    """Every route of the middleware's own pages, or those of one feature."""
    rows = []
    for route in ROUTES:
        for method in route.views:
            name = f"{method} {route.path}"
            owner = _feature(route)
            given = ", ".join(f"`{field}`" for field in interface_of(route.views[method]).fields)
            row = (f"`{name}`", given, _who(route), f"[{owner}](../features/{owner}.md)" if owner else "")
            if feature in ("", owner):
                rows.append(row[:3] if feature else row)
    return _table(("route", "fields", "who", *([] if feature else ["feature"])), rows)


def fields_table(_: str = "") -> str:
    """Every field of a query or a body, and its meaning."""
    return _table(("field", "meaning"), [(f"`{name}`", meaning) for name, meaning in FIELDS.items()])


def problems(_: str = "") -> str:
    """Every code of a refusal, by status."""
    when = dict(TEXTS["problems"])
    rows = []
    for code, kind in sorted(PROBLEMS.items(), key=lambda item: item[1].status):
        statuses = dict.fromkeys([kind.status, *kind.details.values()])
        sentence = when.pop(code, "") or ENGLISH[f"problem.{code}.title"]
        rows.append((f"`{code}`", ", ".join(str(status) for status in statuses), sentence))
    _refuse_rest(when, "problems")
    return _table(("code", "status", "when"), rows)


def events(_: str = "") -> str:
    """Every kind of event, in the order of docs/texts.toml, since the order of declaration is that of imports."""
    _refuse_rest({name: text for name, text in TEXTS["events"].items() if name not in EventType.declared}, "events")
    told_in_english = {name: ENGLISH[f"event.{name}"] for name in sorted(EventType.declared)}
    rows = [(f"`{name}`", text) for name, text in (TEXTS["events"] | told_in_english | TEXTS["events"]).items()]
    return _table(("event", "recorded when; details"), rows)


def commands(_: str = "") -> str:
    """Every command of `nipo-auth`, with its arguments and options."""
    return _table(("command", "what it does", "options"), list(_commands(cli, "nipo-auth")))


def store_protocols(_: str = "") -> str:
    """Every protocol, its methods and the contract suite that proves an implementation."""
    rows = []
    for name, protocol in vars(protocols).items():
        if (
            getattr(protocol, "_is_protocol", False)
            and protocol.__module__.startswith(protocols.__name__)
            and protocol.__doc__
        ):
            methods = ", ".join(f"`{one}`" for one in vars(protocol) if not one.startswith("_"))
            suite = next((f"`{one}`" for one in (f"{name}Contract", f"{name[:-1]}Contract") if one in _SUITES), "")
            rows.append((f"`{name}`", _first_sentence(protocol.__doc__), methods, suite))
    return _table(("protocol", "what it is", "methods", "contract suite"), rows)


def names(_: str = "") -> str:
    """Every public name of the package itself."""
    found = ((name, getattr(nipo_auth_mw, name)) for name in nipo_auth_mw.__all__)
    return _table(("name", "what it is"), [(f"`{name}`", _first_sentence(one.__doc__)) for name, one in found])


def features_index(_: str = "") -> str:
    """Every feature with the title of its page, in the order of the routes."""
    titles = {
        name: (ROOT / "docs" / "features" / f"{name}.md").read_text("utf-8").partition("\n")[0] for name in features()
    }
    return _table(
        ("feature", "page"), [(f"`{name}`", f"[{title[2:]}](features/{name}.md)") for name, title in titles.items()]
    )


def log_lines(_: str = "") -> str:
    """Every line that the package logs, with what it means and what to do."""
    meaning = dict(TEXTS["log"])
    rows = [(line.level, _cell(line.text), _taken(meaning, line.text)) for line in operator_texts.log_lines()]
    _refuse_rest(meaning, "log")
    return _table(("level", "line", "what it means, and what to do"), rows)


def findings(_: str = "") -> str:
    """Every finding of `nipo-auth check` that is not `ok`, with what to do."""
    actions = dict(TEXTS["findings"])
    rows = [
        (line.level, f"`{line.about}`", _cell(line.text), _taken(actions, f"{line.about}: {line.text}"))
        for line in operator_texts.findings()
    ]
    _refuse_rest(actions, "findings")
    return _table(("level", "about", "finding", "what to do"), rows)


def outages(_: str = "") -> str:
    """The codes of databases that the package knows, by what it says about them."""
    codes: dict[str, list[str]] = {}
    for code, hint in HINTS.items():
        codes.setdefault(hint, []).append(f"`{code}`")
    return _table(("code", "hint"), [(", ".join(of), _cell(hint)) for hint, of in codes.items()])


TABLES: dict[str, Callable[[str], str]] = {
    "log_lines": log_lines,
    "findings": findings,
    "outages": outages,
    "settings": settings,
    "features": features_index,
    "routes": routes,
    "fields": fields_table,
    "problems": problems,
    "events": events,
    "commands": commands,
    "protocols": store_protocols,
    "names": names,
}


def page(path: Path) -> str:
    """The text of this page with its tables filled anew. KeyError for a table that does not exist or has no rows."""

    def filled(block: re.Match[str]) -> str:
        begin, name, feature, end = block.groups()
        return f"{begin}{TABLES[name](feature or '')}{end}"

    return _BLOCK.sub(filled, path.read_text("utf-8"))


def pages() -> list[Path]:
    """The pages that hold a generated table."""
    candidates = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path for path in candidates if _BLOCK.search(path.read_text("utf-8"))]


def features() -> list[str]:
    """The features that have routes, in their order."""
    return list(dict.fromkeys(_feature(route) for route in ROUTES if _feature(route)))


_SUITES = {*contracts.__all__, "CounterContract"}


def _settings() -> Iterator[tuple[str, Any]]:
    """Every setting with its default; the settings of a policy are prefixed with its name."""
    for field in fields(AuthConfig):
        policy = POLICIES.get(field.name)
        if policy is not None and is_dataclass(policy):
            yield from ((f"{field.name}.{part.name}", getattr(policy, part.name)) for part in fields(policy))
        else:
            yield field.name, field.default if field.default_factory is MISSING else field.default_factory()


def _written(default: object) -> str:
    """A default as the table shows it."""
    if isinstance(default, timedelta):
        days, minutes = default.days, default.seconds // 60
        return f"{days} days" if days else f"{minutes // 60} hours" if minutes >= 60 else f"{minutes} minutes"
    return repr(default).replace("'", '"')


def _who(route: Route) -> str:
    """Who may use a route."""
    if not route.needs_user:
        return "anyone"
    who = route.role or "signed in"
    if route.fresh_if_two:
        return f"{who}; with two steps, recently authenticated"
    return f"{who}, recently authenticated" if route.fresh else who


def _feature(route: Route) -> str:
    """The feature that a route belongs to; "" for a route for programs alone."""
    return next((one for one in FEATURES if f"{route.feature}_".startswith(f"{one}_")), "")


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, str, str]]:
    """Command, description and options of each command below this one."""
    if isinstance(command, click.Group):
        for word in sorted(command.commands):
            yield from _commands(command.commands[word], f"{name} {word}")
        return
    shown = [
        one.human_readable_name if one.required else f"[{one.human_readable_name}]"
        for one in command.params
        if isinstance(one, click.Argument)
    ]
    options = [f"`{one.opts[0]}`" for one in command.params if isinstance(one, click.Option)]
    yield f"`{' '.join([name, *shown])}`", _first_sentence(command.help), " ".join(options)


def _first_sentence(text: str | None) -> str:
    """The first sentence of a docstring, on one line of a table."""
    paragraph = " ".join((text or "").strip().split("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z`])", paragraph)[0].replace("|", "\\|")


def _cell(text: str) -> str:
    """A text on one line of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _taken(texts: dict[str, str], name: str) -> str:
    """The text of this name, removed from the texts that are left."""
    if name not in texts:
        raise SystemExit(f"docs/texts.toml has no entry for {name}")
    return texts.pop(name)


def _refuse_rest(texts: dict[str, str], section: str) -> None:
    """Exit if a section of docs/texts.toml has entries that no table uses."""
    if texts:
        raise SystemExit(f"docs/texts.toml: [{section}] has entries without a use: {', '.join(texts)}")


def _table(heads: Iterable[str], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table. KeyError if it has no rows."""
    heads = tuple(heads)
    if not rows:
        raise KeyError("no rows")
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join("|" + "".join(f" {cell} |" if cell != "---" else "---|" for cell in line) + "\n" for line in lines)


def main(arguments: list[str]) -> int:
    """Fill the tables, or report stale pages with `--check`. Returns the exit code."""
    late = [path for path in pages() if page(path) != path.read_text("utf-8")]
    for path in late:
        name = path.relative_to(ROOT)
        if "--check" in arguments:
            click.echo(f"{name} is out of date: python -m docs.make_reference")
        else:
            path.write_text(page(path), "utf-8")
            click.echo(f"wrote {name}")
    return 1 if late and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
