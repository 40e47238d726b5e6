"""How the client waits: for a server that is down, for the end of a sync, and for the next lines of a log.

The clock and the pause are passed in.
"""

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from estimatesync_contract.backoff import compute_backoff

from estimatesync_client.core.api import Server, Sync
from estimatesync_client.core.errors import StillRunningError, UnavailableError

REQUEST_PATIENCE: Final = 30.0
"""Seconds of retries for a server that is busy when a command begins; one that is not there ends it at once."""
WAIT_PATIENCE: Final = 300.0
"""The same, also for one that is not there, while a sync is waited for: the sync keeps running meanwhile."""
POLL_SECONDS: Final = 1.0
"""A page takes about as long, and a poll costs the server a millisecond."""

_FIRST_RETRY_SECONDS: Final = 0.5
_MAX_RETRY_SECONDS: Final = 10.0


def next_delay(failures: int, *, retry_after: float | None, remaining: float) -> float | None:
    """Decide how many seconds to wait before the next retry; None when there is no time left for it.

    Args:
        failures: in a row, 1 or more.
        retry_after: seconds that the server asks for; it is never retried sooner.
        remaining: seconds of patience that are left.
    """
    own = compute_backoff(failures, first=_FIRST_RETRY_SECONDS, longest=_MAX_RETRY_SECONDS)
    delay = own if retry_after is None else max(retry_after, _FIRST_RETRY_SECONDS)
    return delay if delay <= remaining else None


class WaitView(Protocol):
    """Shows the progress of a sync that is waited for."""

    def show(self, sync: Sync) -> None:
        """Show its latest state."""
        ...


class SyncWaiter:
    """Waits for the end of a sync, or follows its log, across restarts of the server."""

    def __init__(
        self,
        server: Server,
        *,
        clock: Callable[[], float],
        pause: Callable[[float], None],
        patience: float,
        timeout: float | None = None,
    ) -> None:
        """Start the timeout.

        Args:
            server: where the sync is.
            clock: monotonic seconds.
            pause: sleeps for so many seconds.
            patience: seconds of retries for a server that has gone down.
            timeout: seconds to wait in all; None for however long it takes.
        """
        self._server = server
        self._clock = clock
        self._pause = pause
        self._patience = patience
        self._end = None if timeout is None else clock() + timeout

    def wait_for_end(self, sync_id: str, view: WaitView) -> Sync:
        """Poll until the sync has ended, and return it.

        Raises:
            StillRunningError: the timeout is over.
            ClientError: the server stays down, or the sync is gone.
        """
        while True:
            sync = self._server.fetch_sync(sync_id, patience=min(self._patience, self._compute_remaining()))
            view.show(sync)
            if sync.is_finished:
                return sync
            remaining = self._compute_remaining()
            if not remaining:
                raise StillRunningError(
                    f"Stopped waiting. The sync {sync_id} is {sync.status}, and continues.",
                    cure=f"Come back with: estimatesync status {sync_id} --wait",
                    sync_id=sync_id,
                )
            self._pause(min(POLL_SECONDS, remaining))

    def follow_log(self, sync_id: str) -> Iterator[str]:
        """Read the log line by line until the sync has ended, reconnecting when the connection breaks.

        Raises:
            ClientError: the server stays down, or the sync is gone.
        """
        lines = LogLines()
        deadline: float | None = None
        while True:
            fault: UnavailableError | None = None
            try:
                for piece in self._server.follow_log(sync_id):
                    yield from lines.feed(piece)
            except UnavailableError as error:
                fault = error
                if error.is_lasting:
                    raise
            # This also waits for a server that is down. A stream that ends without an error proves nothing: the server
            # may be stopping, and the log of a running sync may be silent for any time.
            is_finished = self._server.fetch_sync(sync_id, patience=self._patience).is_finished
            if is_finished and fault is None:
                yield from lines.end()
                return
            if is_finished and fault is not None:
                deadline = deadline or self._clock() + self._patience
                if self._clock() >= deadline:
                    raise fault
            lines.restart()
            self._pause(POLL_SECONDS)

    def _compute_remaining(self) -> float:
        return float("inf") if self._end is None else max(0.0, self._end - self._clock())


class LogLines:
    """Splits a stream into lines, without those that an earlier stream of the same log has already given."""

    def __init__(self) -> None:
        self._given: list[str] = []
        self._position = 0
        self._rest = ""

    def feed(self, piece: str) -> Iterator[str]:
        """Add a piece, and give the lines that are new and complete."""
        *lines, self._rest = (self._rest + piece).split("\n")
        for line in lines:
            if not self._is_known(line):
                del self._given[self._position :]
                self._given.append(line)
                yield line
            self._position += 1

    def end(self) -> Iterator[str]:
        """Give what is left of a last line."""
        if self._rest:
            yield from self.feed("\n")

    def restart(self) -> None:
        """Expect the log from its beginning: the same one, or that of another run."""
        self._position = 0
        self._rest = ""

    def _is_known(self, line: str) -> bool:
        return self._position < len(self._given) and self._given[self._position] == line
