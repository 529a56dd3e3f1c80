"""Events are declared beside their flow: once, with a text in every language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nipo_auth_mw
from nipo_auth_mw._audit.events import EventGroup, EventType
from nipo_auth_mw._pages.catalogues import shipped

PACKAGE = Path(nipo_auth_mw.__file__).parent


@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_event_has_a_text_and_no_text_is_of_no_event(language: str) -> None:
    told = {key.partition(".")[2] for key in shipped(language) if key.startswith("event.")}
    assert told == set(EventType.declared)


def test_an_event_is_declared_once() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        EventType("signed_in", EventGroup.LOGIN)


def test_the_package_declares_every_event_by_a_constant_of_its_name() -> None:
    declared = re.compile(r'^([A-Z_]+) = EventType\("(\w+)", EventGroup\.[A-Z]+\)$', re.MULTILINE)
    found = {}
    for path in PACKAGE.rglob("*.py"):
        found |= {name: constant for constant, name in declared.findall(path.read_text("utf-8"))}
    assert found == {name: name.upper() for name in EventType.declared}
