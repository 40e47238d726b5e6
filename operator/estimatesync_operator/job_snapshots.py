"""Jobs as the watch has just shown them, each good for one look: what came a moment ago need not be asked for again."""

from collections.abc import Callable
from typing import Any, Final

Raw = dict[str, Any]

_FRESH_SECONDS: Final = 1.0
_PURGE_ABOVE: Final = 100


class JobSnapshots:
    """A snapshot is never used twice, nor when it is older than a second: then the job is read."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """`monotonic` answers seconds that never go back."""
        self._monotonic = monotonic
        self._snapshots: dict[str, tuple[float, Raw]] = {}

    def put(self, job: Raw) -> None:
        """Keep a job for the visit that follows."""
        now = self._monotonic()
        if len(self._snapshots) > _PURGE_ABOVE:
            self._snapshots = {name: each for name, each in self._snapshots.items() if _is_fresh(each[0], now)}
        self._snapshots[job["metadata"]["name"]] = now, job

    def drop(self, name: str) -> None:
        """Forget a job that has changed or vanished since."""
        self._snapshots.pop(name, None)

    def pop(self, name: str) -> Raw | None:
        """Take a job out, if it is fresh."""
        seen_at, job = self._snapshots.pop(name, (0.0, None))
        return job if job is not None and _is_fresh(seen_at, self._monotonic()) else None


def _is_fresh(seen_at: float, now: float) -> bool:
    return now - seen_at <= _FRESH_SECONDS
