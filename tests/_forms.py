"""WebTest parses a form when a test asks for it: most pages have several, and a test fills in one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from webtest.forms import Form
from webtest.response import TestResponse


class Forms(Mapping[int | str, Form]):
    """The forms of a page by number and by id, as `TestResponse.forms` has them."""

    def __init__(self, page: TestResponse) -> None:
        self._page, self._parsed = page, dict[int, Form]()
        self._found = page.html("form")
        self._numbers: dict[int | str, int] = {number: number for number in range(len(self._found))}
        self._numbers |= {form["id"]: number for number, form in enumerate(self._found) if form.get("id")}

    def __getitem__(self, key: int | str) -> Form:
        number = self._numbers[key]
        if number not in self._parsed:
            self._parsed[number] = Form(self._page, str(self._found[number]), self._page.parser_features)
        return self._parsed[number]

    def __iter__(self) -> Iterator[int | str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


def _parse_forms(self: TestResponse) -> None:
    self._forms_indexed = Forms(self)


def install() -> None:
    TestResponse._parse_forms = _parse_forms
