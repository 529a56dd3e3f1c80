"""Greenlets in the place of threads."""

from __future__ import annotations

import sys
from typing import Any


def gevent_replaces(module: str) -> bool:
    """Whether gevent has replaced what this module of the standard library offers, such as "threading"."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched(module))
