"""One judgement of a password is worked out once a process: otherwise they take much of the suite's time."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any

import zxcvbn

from nipo_auth_mw._credentials import japanese


def install() -> None:
    """Let both judges remember their answers.

    An answer depends on the arguments alone, so no test can tell the difference.
    """
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

    guess = japanese.guesses

    @functools.lru_cache(10_000)
    def guessed_once(password: str, about: tuple[str, ...]) -> int:
        return guess(password, about)

    @functools.wraps(guess)
    def guessed(password: str, about: Collection[str] = ()) -> int:
        return guessed_once(password, tuple(about))

    japanese.guesses = guessed
