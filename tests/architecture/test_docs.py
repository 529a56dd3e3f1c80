"""The docs: generated tables are up to date, links lead somewhere, each feature has its page."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from docs import make_changelog, make_reference, operator_texts
from nipo_auth_mw._audit.events import EventType
from nipo_auth_mw._web.problems import PROBLEMS
from nipo_auth_mw.accounts import Accounts
from nipo_auth_mw.mailers import SMTPMailer
from nipo_auth_mw.middleware import AuthMiddleware
from tests.each import each

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "changelog.d").glob("*.md")]
_LINK = re.compile(r"\]\((?!https?:)([^)\s]*)\)")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", make_reference.pages(), ids=name)
def test_generated_tables_are_up_to_date(page):
    assert page.read_text("utf-8") == make_reference.page(page), "run python -m docs.make_reference"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@each("page", PAGES)
def test_every_link_leads_somewhere(page):
    for link in _LINK.findall(page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_method_of_accounts_is_listed_with_its_arguments():
    page = (ROOT / "docs" / "reference" / "python.md").read_text("utf-8")
    methods = {name: method for name, method in vars(Accounts).items() if not name.startswith("_")}
    listed = dict(re.findall(r"`(\w+)\(([^)`]*)\)`", page.partition("## `auth.accounts`")[2].partition("\n## ")[0]))
    assert listed.keys() - {"find", "get"} == methods.keys() - {"find", "get"}
    for name, method in methods.items():
        arguments = [each for each in inspect.signature(method).parameters.values() if each.name != "self"]
        assert re.findall(r"(\w+)(?:=|,|$)", listed[name])[0] == arguments[0].name, name
        assert all(re.search(rf"\b{each.name}\b", listed[name]) for each in arguments), name


def test_every_argument_of_the_mailer_is_told():
    page = (ROOT / "docs" / "guides" / "mail.md").read_text("utf-8")
    named = inspect.signature(SMTPMailer).parameters.keys() - {"url"}
    assert named == {name for name in named if f"{name}=" in page}


def test_every_argument_of_the_middleware_is_in_the_table_of_collaborators():
    text = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    told = re.findall(r"^\| `(\w+)` \|", text.partition("## Collaborators")[2].partition("## Cookies")[0], re.MULTILINE)
    assert set(told) == inspect.signature(AuthMiddleware).parameters.keys() - {"app", "config"}


def test_every_feature_has_a_page_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = {path.stem for path in (ROOT / "docs" / "features").glob("*.md")}
    assert pages == set(make_reference.features())
    assert pages == set(re.findall(r"\(features/([a-z_]+)\.md\)", index))


@each("feature", make_reference.features())
def test_the_page_of_a_feature_names_its_events_and_no_refusal_event_or_setting_that_does_not_exist(feature):
    page = (ROOT / "docs" / "features" / f"{feature}.md").read_text("utf-8")
    told = {
        what: set(re.findall(r"`([a-z_.*]+)`", re.search(rf"\*\*{what}:\*\*(.*?)\.(?:<br>)?\n", page, re.DOTALL)[1]))
        for what in ("Refusals", "Events", "Settings")
    }
    flows = "".join(path.read_text("utf-8") for path in (ROOT / "nipo_auth_mw" / "_flows").glob(f"{feature}*.py"))
    assert told["Refusals"] <= set(PROBLEMS)
    assert set(re.findall(r'EventType\("(\w+)"', flows)) <= told["Events"] <= {*EventType.declared, "means"}
    settings = {name for name, _ in make_reference._settings()}
    assert told["Settings"] <= settings | {f"{name.partition('.')[0]}.*" for name in settings if "." in name}


def test_changelog_fragments_have_names_and_texts():
    make_changelog.fragments(ROOT / "changelog.d")


def test_fragments_go_below_their_kind(tmp_path):
    for kind in ("changed", "fixed"):
        (tmp_path / f"one.{kind}.md").write_text("new\nline\n", "utf-8")
    log = "## [Unreleased]\n\n### Added\n\n- old\n\n### Fixed\n\n- bug\n\n## [0.1.0]\n"
    merged = make_changelog.merged(log, make_changelog.fragments(tmp_path))
    new = "- new\n  line\n"
    begin = "## [Unreleased]\n\n### Added\n\n- old\n\n"
    assert merged == f"{begin}### Changed\n\n{new}\n### Fixed\n\n- bug\n{new}\n## [0.1.0]\n"


def test_a_file_that_is_no_fragment_is_refused(tmp_path):
    (tmp_path / "one.new.md").write_text("text", "utf-8")
    with pytest.raises(ValueError, match="one"):
        make_changelog.fragments(tmp_path)


def test_every_logger_is_named_so_that_the_table_of_log_lines_finds_it():
    sources = [path.read_text("utf-8") for path in operator_texts.PACKAGE.rglob("*.py")]
    loggers = [line for source in sources for line in source.splitlines() if "getLogger" in line]
    assert loggers
    assert set(loggers) == {'_log = logging.getLogger("nipo_auth_mw")'}
    call = re.compile(rf"\b_log\.(?:{'|'.join(operator_texts.LEVELS)})\(")
    logged = sum(len(call.findall(source)) for source in sources)
    wrapped = sum(source.count("_log.warning(text, *values)") for source in sources)
    assert len(operator_texts.log_lines()) >= logged - wrapped


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ('def f():\n _log.error("gave up on %s after %d", a, b)', ("error", "", "gave up on … after …")),
        ('def f():\n t = "one"\n self._warn("key", t + " two")', ("warning", "", "one two")),
        ('def f():\n def g():\n  _log.exception(f"no {a}")', ("error", "", "no …")),
    ],
)
def test_a_line_of_the_log_is_read_from_the_source(source, line, tmp_path, monkeypatch):
    monkeypatch.setattr(operator_texts, "PACKAGE", tmp_path)
    (tmp_path / "one.py").write_text(source)
    assert operator_texts.log_lines() == [line]


def test_a_message_that_is_no_text_in_the_source_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(operator_texts, "PACKAGE", tmp_path)
    (tmp_path / "one.py").write_text("def f(text):\n _log.error(text)")
    with pytest.raises(ValueError, match="line 2"):
        operator_texts.log_lines()
