"""One cluster for several processes, such as the workers of a test run: the first starts it, and stays to the end."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, Final

from estimatesync_cluster.cluster import Cluster, describe_own_cluster, running_cluster
from estimatesync_cluster.layout import StateLayout

POLL_SECONDS: Final = 0.2


@contextmanager
def shared_cluster(directory: Path) -> Iterator[Cluster]:
    """Run a cluster, or join the one that another process runs with the same directory.

    Its locks are those of the operating system, so a process that is killed holds up no other. If it was the one that
    ran the cluster, the cluster ends with it.

    Raises:
        ClusterError: it could not be started; the message says why.
    """
    directory.mkdir(parents=True, exist_ok=True)
    is_up = directory / "is-up"
    layout = StateLayout(root=directory / "run")
    with ExitStack() as stack:
        turn, users = (stack.enter_context((directory / name).open("a")) for name in ("turn", "users"))
        fcntl.flock(turn, fcntl.LOCK_EX)
        runs_it = not is_up.exists()
        if runs_it:
            cluster = stack.enter_context(running_cluster(layout.root))
            is_up.touch()
        else:
            cluster = stack.enter_context(closing(describe_own_cluster(layout)))
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(turn, fcntl.LOCK_UN)
        try:
            yield cluster
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            if runs_it:
                _wait_for_others(turn, users)
                is_up.unlink()


def _wait_for_others(turn: IO[str], users: IO[str]) -> None:
    """Return with both locks held: nobody uses the cluster, and nobody joins it any more."""
    while True:
        fcntl.flock(turn, fcntl.LOCK_EX)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(turn, fcntl.LOCK_UN)
            time.sleep(POLL_SECONDS)
        else:
            return
