"""Locks that show whether a process, or anything it started, is still alive: they vanish with their last holder.

A child inherits the descriptor and with it the lock; the system releases it however the processes end. Unlike a process
id, a lock can never come to mean another program. Runs, PostgreSQL, the API and the supervisor itself each hold one.
Only the account that holds it may open its file: any other could hold it, too, and keep the next start out.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from estimatesync_local.adapters.own_files import open_any_file, open_own_file


@contextmanager
def locked(path: Path, *, on_wait: Callable[[], None] | None = None) -> Iterator[int]:
    """Hold the lock for the time of the context, and yield its descriptor for children to inherit.

    Args:
        path: the lock file; created with its directory if it is missing.
        on_wait: called once if the lock is held, and then waits for it; without it, a lock that is held is an error.

    Raises:
        BlockingIOError: Another process holds it.
        OSError: The file cannot be used, or another account made it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = open_own_file(path, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is None:
                raise
            on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def is_held(path: Path) -> bool:
    """Check whether any process holds the lock.

    Raises:
        OSError: The file cannot be used.
    """
    try:
        lock = open_any_file(path)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two checks at once do not take each other for the holder.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
