"""Files and directories that this account made itself, opened by descriptor and never through a link.

Root may have to work where another account was allowed to write, by an earlier version or by a person. What is found
there may be a link to a file of root's, a second name of one, or a pipe that never opens; nothing of that is used.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Final

_SAFE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A pipe must not block, and what is opened must not leak into children that are not given it."""

_PASSED_THROUGH: Final = 0o711
"""Of a directory that root makes: the account of PostgreSQL has to reach what it is given in there."""


def open_own_file(path: Path, flags: int) -> int:
    """Open a file that only this account may read; create it if the flags say so.

    A file of ours that others could read, as earlier versions made them, is closed to them.

    Raises:
        PermissionError: Another account made it, or it is no plain file, or it has a second name.
        OSError: It cannot be opened; a link says ELOOP.
    """
    descriptor = os.open(path, flags | _SAFE, 0o600)
    try:
        status = os.fstat(descriptor)
        if not _is_own_file(status):
            raise PermissionError(errno.EPERM, f"not a file that {_name_self()} made", str(path))
        if stat.S_IMODE(status.st_mode) & 0o077:
            os.fchmod(descriptor, 0o600)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def open_any_file(path: Path) -> int:
    """Open a plain file of any account for reading.

    Raises:
        OSError: It cannot be opened, or is something else.
    """
    descriptor = os.open(path, os.O_RDONLY | _SAFE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "not a plain file", str(path))
    return descriptor


def remove_foreign_file(path: Path) -> None:
    """Remove what is not a file of ours from a directory that only we may write, so that ours can take its place.

    Raises:
        OSError: It cannot be removed.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not _is_own_file(status):
        path.unlink()


def write_own_file(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file of ours, whole or not at all, into a directory that only we may write."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, 0o600)
    with open(descriptor, "w") as file:  # noqa: PTH123 - a descriptor
        os.fchmod(descriptor, mode)
        file.write(text)
    draft.replace(path)


def make_directory(path: Path) -> None:
    """Create a directory that its owner alone can enter; one that root makes, others may pass through, not list.

    One that exists stays as it is; missing parents are created.

    Raises:
        OSError: It cannot be created.
    """
    if path.is_dir():
        return
    if os.geteuid() != 0:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    make_directory(path.parent)
    # Exclusive: only what is made here is opened to others.
    path.mkdir(mode=0o700)
    give_directory(path, user=0, group=os.getegid(), mode=_PASSED_THROUGH)


def give_directory(path: Path, *, user: int, group: int, mode: int) -> None:
    """Change the owner and the mode of a directory, itself and never what a link in its place names.

    Raises:
        OSError: It is no directory, or it cannot be changed.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _SAFE)
    try:
        os.fchown(descriptor, user, group)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _is_own_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1


def _name_self() -> str:
    return "root" if os.geteuid() == 0 else f"account {os.geteuid()}"
