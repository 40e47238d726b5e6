"""Locks that tell whether a process, or anything it started, still lives: they vanish with their last holder.

A child inherits the descriptor and with it the lock; the system releases it however the processes end. Unlike a process
id, a lock never comes to mean a stranger. Runs, PostgreSQL, the API and the supervisor itself each hold one.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def holding(path: Path) -> Iterator[int]:
    """Hold the lock for the time of the context, and answer its descriptor for children to inherit.

    Raises:
        BlockingIOError: Somebody else holds it.
        OSError: The file cannot be used.
    """
    with path.open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock.fileno()


def is_held(path: Path) -> bool:
    """Tell whether somebody holds the lock.

    Raises:
        OSError: The file cannot be used.
    """
    try:
        with path.open("rb") as lock:
            # Shared, so that two who ask at once do not take each other for the holder.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
