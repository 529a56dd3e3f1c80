"""One judgement of a password is worked out once a process: zxcvbn takes a seventh of the suite's time otherwise."""

from __future__ import annotations

import functools
from typing import Any

import zxcvbn


def install() -> None:
    """Let zxcvbn remember its answers. An answer depends on its arguments alone, so no test can tell the difference."""
    judge = zxcvbn.zxcvbn

    @functools.lru_cache(10_000)
    def judged_once(password: str, inputs: tuple[str, ...]) -> dict[str, Any]:
        return dict(judge(password, user_inputs=list(inputs)))

    @functools.wraps(judge)
    def judged(password: str, user_inputs: Any = None, **named: Any) -> dict[str, Any]:
        if named:
            return dict(judge(password, user_inputs=user_inputs, **named))
        return judged_once(password, tuple(user_inputs or ()))

    zxcvbn.zxcvbn = judged
