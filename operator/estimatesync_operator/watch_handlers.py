"""Handles what the watch shows: updates what is known, and enqueues the sync if something has changed.

The kopf shell calls it with raw objects. An echo of the operator's own write changes nothing.
"""

from datetime import timedelta
from typing import Any, Final, Protocol

from estimatesync_contract.estimate_sync import MalformedSyncError, parse_estimate_sync
from estimatesync_contract.names import LABEL_SYNC, PLURAL

from estimatesync_operator.adapters.jobs import JobSnapshots
from estimatesync_operator.core.job_observation import is_ending
from estimatesync_operator.core.ports import Clock
from estimatesync_operator.core.sync_cache import SyncCache, parse_version
from estimatesync_operator.core.watch_health import WatchHealth

Raw = dict[str, Any]

_SETTLE_TIME: Final = timedelta(milliseconds=50)
"""Events come in bursts (job, pod counts, conditions): one pass a moment later serves them all."""

_DELETED: Final = "DELETED"


class Queue(Protocol):
    """Takes the names of the syncs to reconcile."""

    def add_after(self, name: str, delay: timedelta) -> None:
        """Reconcile this sync after a while, unless a pass comes sooner anyway."""


class WatchHandlers:
    """One for each process."""

    def __init__(
        self, cache: SyncCache, snapshots: JobSnapshots, health: WatchHealth, queue: Queue, clock: Clock
    ) -> None:
        self._cache = cache
        self._snapshots = snapshots
        self._health = health
        self._queue = queue
        self._clock = clock

    def enqueue_all(self) -> None:
        """Enqueue every known sync, once the whole list is known."""
        for name in self._cache.list_names():
            self._enqueue(name)

    def compute_blindness(self) -> timedelta:
        """How long the watch has not shown a write of our own."""
        return self._health.compute_blindness(now=self._clock.now())

    def _enqueue(self, name: str) -> None:
        """Enqueue a sync for when there is something to do about it."""
        idle_time = self._cache.compute_idle_time(name, now=self._clock.now())
        if idle_time is not None:
            self._queue.add_after(name, max(idle_time, _SETTLE_TIME))

    def handle_sync(self, kind: str | None, raw: Raw) -> None:
        """Handle a sync as the watch shows it; `kind` is the watch's type, None for an object that was listed."""
        name = raw["metadata"]["name"]
        self._health.note_event(PLURAL, now=self._clock.now())
        self._health.note_version(parse_version(raw["metadata"].get("resourceVersion", "")))
        if kind == _DELETED:
            self._cache.remove(name, raw["metadata"].get("resourceVersion"))
            self._queue.add_after(name, _SETTLE_TIME)
            return
        try:
            sync = parse_estimate_sync(raw)
        except MalformedSyncError:
            self._queue.add_after(name, _SETTLE_TIME)
            return
        if self._cache.upsert(sync):
            self._enqueue(sync.name)

    def handle_job(self, kind: str | None, raw: Raw) -> None:
        """Handle a job. The label names the sync; the reconciler checks by uid whose job it really is.

        To a sync with nothing left to do, only a job that is still at work is news.
        """
        self._health.note_event("jobs", now=self._clock.now())
        name = raw["metadata"].get("labels", {}).get(LABEL_SYNC)
        if not name or (self._cache.is_settled(name) and (kind == _DELETED or is_ending(raw))):
            return
        if kind == _DELETED:
            self._snapshots.drop(raw["metadata"]["name"])
        else:
            self._snapshots.put(raw)
        self._queue.add_after(name, _SETTLE_TIME)
