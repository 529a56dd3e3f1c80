"""Which protocols an object of the host app implements."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeGuard, TypeVar

T = TypeVar("T")


@lru_cache(maxsize=64)
def members_of(protocol: type) -> list[str]:
    """The names of a protocol's methods, also of those that it inherits."""
    named = {name for base in protocol.__mro__ if getattr(base, "_is_protocol", False) for name in vars(base)}
    return sorted(name for name in named if not name.startswith("_"))


def offers(given: object, protocol: type[T]) -> TypeGuard[T]:
    """Whether the object has the methods of a protocol.

    `isinstance` asks otherwise from Python 3.12 on: it does not see the methods of an object that delegates to another
    by `__getattr__`.
    """
    asked: Any = protocol
    return all(getattr(given, name, None) is not None for name in members_of(asked))
