"""Many values in one test."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any


def each(names: str, values: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run the test for each value, as `parametrize` does, in one item of pytest.

    An item costs several milliseconds in each process that collects it. Only for values that leave no trace: they share
    the fixtures. The failures say which values they are of.
    """
    given = [name.strip() for name in names.split(",")]
    listed = list(values)

    def decorated(test: Callable[..., None]) -> Callable[..., None]:
        def runs(**fixtures: Any) -> None:
            problems = []
            for value in listed:
                try:
                    test(**fixtures, **dict(zip(given, value if len(given) > 1 else [value], strict=True)))
                except Exception as problem:
                    problem.add_note(f"with {names} = {value!r:.200}")
                    problems.append(problem)
            assert listed
            if problems:
                raise problems[0] if len(problems) == 1 else ExceptionGroup(f"{len(problems)} values", problems)

        kept = inspect.signature(test)
        runs.__signature__ = kept.replace(  # type: ignore[attr-defined]
            parameters=[one for one in kept.parameters.values() if one.name not in given]
        )
        runs.__name__, runs.__doc__, runs.__module__ = test.__name__, test.__doc__, test.__module__
        runs.__qualname__ = test.__qualname__
        runs.pytestmark = list(getattr(test, "pytestmark", []))  # type: ignore[attr-defined]
        return runs

    return decorated
