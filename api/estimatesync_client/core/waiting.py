"""How the client waits: for a server that is down, for the end of a sync, and for the next lines of a log.

The clock and the pause are passed in.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

from estimatesync_client.core.api import Server, Sync
from estimatesync_client.core.errors import StillRunningError, UnavailableError

ASK_SECONDS: Final = 30.0
"""For a server that is away or busy when a command begins."""
WAIT_SECONDS: Final = 300.0
"""The same for one that goes away while a sync is waited for: the sync goes on meanwhile."""

_FIRST_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 10.0


def next_delay(failures: int, *, retry_after: float | None, remaining: float) -> float | None:
    """Decide how long to wait after so many failures in a row; None when the patience is over.

    Args:
        failures: 1 or more.
        retry_after: Seconds that the server asks for; it is never asked sooner.
        remaining: Seconds of patience that are left.
    """
    own = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(failures - 1, 10))
    delay = own if retry_after is None else max(retry_after, _FIRST_SECONDS)
    return delay if delay <= remaining else None


def parse_retry_after(header: str | None, *, now: datetime) -> float | None:
    """Read Retry-After, seconds or a date (RFC 9110, section 10.2.3); None when absent or unreadable."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError):
        return None


POLL_SECONDS: Final = 1.0
"""Between two looks: a page takes about as long, and one look costs the server a millisecond."""


class WaitView(Protocol):
    """Shows how a sync goes on while somebody waits."""

    def show(self, sync: Sync) -> None:
        """Show its newest state."""
        ...


class SyncWaiter:
    """How somebody waits: for how long, and how long for a server that is away meanwhile."""

    def __init__(
        self,
        server: Server,
        *,
        clock: Callable[[], float],
        pause: Callable[[float], None],
        patience: float,
        timeout: float | None = None,
    ) -> None:
        """Begin to wait.

        Args:
            server: Where the sync is.
            clock: Seconds that only ever grow.
            pause: Sleeps.
            patience: Seconds for which a server that has gone away is asked again.
            timeout: Seconds to wait in all; None for however long it takes.
        """
        self._server = server
        self._clock = clock
        self._pause = pause
        self._patience = patience
        self._end = None if timeout is None else clock() + timeout

    def wait_for_end(self, sync_id: str, view: WaitView) -> Sync:
        """Return the sync once it has ended.

        Raises:
            StillRunningError: The time is over.
            ClientError: The server stays away, or the sync is gone.
        """
        while True:
            sync = self._server.fetch_sync(sync_id, patience=min(self._patience, self._compute_remaining()))
            view.show(sync)
            if sync.is_finished:
                return sync
            remaining = self._compute_remaining()
            if not remaining:
                raise StillRunningError(
                    f"{sync_id} is {sync.status} still and goes on.",
                    cure=f"Come back with: estimatesync status {sync_id} --wait",
                    sync_id=sync_id,
                )
            self._pause(min(POLL_SECONDS, remaining))

    def follow_log(self, sync_id: str) -> Iterator[str]:
        """Read the log line by line until the sync has ended, across breaks of the connection.

        Raises:
            ClientError: The server stays away, or the sync is gone.
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
            # Also where a server that is away is waited for. A stream that ends well may have been ended by a server
            # that stops, and the log of a sync at work may be silent for as long as it likes.
            is_finished = self._server.fetch_sync(sync_id, patience=self._patience).is_finished
            if is_finished and fault is None:
                yield from lines.end()
                return
            if is_finished and fault is not None:
                deadline = deadline or self._clock() + self._patience
                if self._clock() >= deadline:
                    raise fault
            lines.begin_again()
            self._pause(POLL_SECONDS)

    def _compute_remaining(self) -> float:
        return float("inf") if self._end is None else max(0.0, self._end - self._clock())


class LogLines:
    """Cuts a stream into lines, and leaves out those that an earlier stream of the same log has given already."""

    def __init__(self) -> None:
        """Nothing has been read."""
        self._given: list[str] = []
        self._position = 0
        self._rest = ""

    def feed(self, piece: str) -> Iterator[str]:
        """Take in a piece, and give the lines that are new and whole."""
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

    def begin_again(self) -> None:
        """The next piece is the beginning of the log, as it was or, after another run, as it never was."""
        self._position = 0
        self._rest = ""

    def _is_known(self, line: str) -> bool:
        return self._position < len(self._given) and self._given[self._position] == line
