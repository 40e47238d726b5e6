"""Whether the watch still shows what happens: judged by the operator's own writes, which must come back through it.

A quiet cluster shows nothing for hours, so the age of the last event alone proves nothing. A write that the API server
has accepted and the watch does not show proves that the watch is blind, and that a restart would help. While the API
server does not answer, nothing is accepted, and nothing is proved.
"""

from collections import deque
from datetime import datetime, timedelta
from typing import Final

BLIND_LIMIT: Final = timedelta(minutes=3)
"""More than twice the time (70 s) that it takes to detect a watch that was cut silently, and to open it again."""


class WatchHealth:
    """Use it from one event loop only. Versions grow with each write, and the watch shows them in that order."""

    def __init__(self) -> None:
        self._expected: deque[tuple[int, datetime]] = deque()
        self._newest_seen = 0
        self._last_events: dict[str, datetime] = {}

    @property
    def last_events(self) -> dict[str, datetime]:
        """When each kind of object was last shown."""
        return dict(self._last_events)

    def note_event(self, kind: str, *, now: datetime) -> None:
        """The watch has shown something."""
        self._last_events[kind] = now

    def expect(self, version: int, *, now: datetime) -> None:
        """A version of a sync was written, and is to be shown, unless the watch was faster than the answer."""
        if version > self._newest_seen:
            self._expected.append((version, now))

    def note_version(self, version: int) -> None:
        """The watch has shown this version of some sync, and so it shows what came before."""
        self._newest_seen = max(self._newest_seen, version)
        while self._expected and self._expected[0][0] <= self._newest_seen:
            self._expected.popleft()

    def compute_blindness(self, *, now: datetime) -> timedelta:
        """How long the oldest write has not been shown; zero when all have been."""
        return now - self._expected[0][1] if self._expected else timedelta()
