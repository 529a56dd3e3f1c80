"""Files that only their owner may read: SQLite files hold password hashes, and lists of accounts names."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from nipo_auth_mw.errors import DatabaseUnavailable

_OWNER_ONLY = 0o600
_BESIDE = ("", "-wal", "-shm", "-journal")


def create_new(path: str | os.PathLike[str], mode: int = _OWNER_ONLY) -> int:
    """Create a file that did not exist, for its owner's eyes only unless `mode` says more, and return its descriptor.

    Raises `FileExistsError` for a file that is there and for a symbolic link, wherever it leads: in a folder that
    others may write to, an attacker may have put either there, to read what is written or to have it overwrite another
    file. Raises other `OSError`s too.
    """
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)


def write_new(path: Path, data: bytes, mode: int = _OWNER_ONLY) -> None:
    """Create a file as `create_new` does, and write it wholly or not at all: half a list looks like a whole one."""
    made = create_new(path, mode)
    try:
        with os.fdopen(made, "wb") as opened:
            opened.write(data)
    except BaseException:
        path.unlink()
        raise


def give_name(made: Path, name: Path) -> None:
    """Give a finished file its name beside it, or raise `FileExistsError` if there is one. Raises other `OSError`s too.

    A link replaces no file, and the file is whole when it appears. CIFS, FAT and the shared folders of virtual machines
    have no links: there an empty file takes the name first.
    """
    try:
        os.link(made, name)
    except FileExistsError:
        raise
    except OSError:
        os.close(create_new(name))
        made.replace(name)


def create_private(path: str) -> None:
    """Create the file if it is missing, for its owner's eyes only. Raises `StoreUnavailable`.

    SQLite would create it with the mode that the umask leaves, and gives the files beside it the same mode.
    """
    # O_EXCL refuses a symbolic link, also one that leads to no file yet. SQLite follows it.
    real = os.path.realpath(path)
    try:
        os.close(create_new(real))
    except FileExistsError:
        return
    except OSError as problem:
        raise DatabaseUnavailable(f"the database file {path} cannot be created ({problem.strerror})") from None


def is_missing(path: str) -> bool:
    """Whether the folder is there and the file is not. False if this process may not look, which SQLite then tells."""
    real = Path(os.path.realpath(path))
    try:
        return real.parent.is_dir() and not real.exists()
    except PermissionError:
        return False


def keep_private(path: str) -> None:
    """Before SQLite opens the file: take the rights of all others from it.

    The rights of the group stay, since a server and an administrator may share the file by it. `nipo-auth check`
    reports the mode of a file that is another user's. Raises `StoreUnavailable` if the file is missing: SQLite would
    create an empty one, and a backup that is put back meanwhile would find it in its place.
    """
    real = os.path.realpath(path)
    if is_missing(real):
        raise DatabaseUnavailable(f"the database file {path} is missing: put it back, or run nipo-auth init")
    for beside in _BESIDE:
        with suppress(OSError):
            mode = stat.S_IMODE(Path(real + beside).stat().st_mode)
            if mode & stat.S_IRWXO:
                Path(real + beside).chmod(mode & ~stat.S_IRWXO)
