"""A cache for the next process of what is made of shipped files: it lies where Python keeps the bytecode of modules."""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from types import CodeType
from typing import TypeVar

T = TypeVar("T", CodeType, dict[str, str])


def cached(name: str, made_from: Iterable[bytes | Path], make: Callable[[], T]) -> T:
    """What `make` gives, from the `__pycache__` beside this module if an earlier process kept it there under this name.

    `made_from` is everything that the result depends on, as bytes or as files, the code of the maker and its libraries
    included: another byte, and it is made anew. A process that may not write there, that runs with
    PYTHONDONTWRITEBYTECODE, or whose modules are no files makes it each time.

    An attacker who could write there could replace the package's own modules. A shared temporary directory is open to
    every user of the machine, so this never uses one, except where PYTHONPYCACHEPREFIX names it.
    """
    digest = hashlib.sha256(MAGIC_NUMBER)
    try:
        file = Path(cache_from_source(str(Path(__file__).with_name(f"{name}.py"))))
        for part in made_from:
            content = part.read_bytes() if isinstance(part, Path) else part
            digest.update(len(content).to_bytes(8, "big") + content)
    except (OSError, NotImplementedError):
        return make()
    with suppress(OSError):
        content = file.read_bytes()
        seal, kept = content[: digest.digest_size], content[digest.digest_size :]
        # A damaged disk: `marshal` gives another text then, or takes all memory for a wrong length.
        if seal == _seal(digest.digest(), kept):
            found: T = marshal.loads(kept)  # noqa: S302  # nosec B302
            return found
    made = make()
    if not sys.dont_write_bytecode:
        kept = marshal.dumps(made)
        _write(file, _seal(digest.digest(), kept) + kept)
    return made


def _seal(made_from: bytes, kept: bytes) -> bytes:
    return hashlib.sha256(made_from + kept).digest()


def _write(file: Path, content: bytes) -> None:
    """Write the file so that no other process ever reads half of it. Does nothing where this process may not write."""
    begun = file.with_name(f"{file.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Whatever the process's umask, no other user of the machine may write code into it.
        with open(begun, "xb", opener=lambda path, flags: os.open(path, flags, 0o644)) as writing:
            writing.write(content)
        begun.replace(file)
    except OSError:
        with suppress(OSError):
            begun.unlink()
