"""Handles what the watch shows: updates what is known, and enqueues the sync if something has changed.

The kopf shell calls it with raw objects. An echo of the operator's own write changes nothing, and nothing does while
another operator leads.
"""

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Any, Final, Protocol

import msgspec
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


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What the handlers feed while this process leads."""

    cache: SyncCache
    snapshots: JobSnapshots
    health: WatchHealth
    queue: Queue


class WatchHandlers:
    """One for each process, for as long as it lives.

    While it stands by, only jobs at work are kept in mind: whether one of them is at work for nothing is asked as soon
    as it leads, and nothing need change in it before. All else is listed then.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._served: Served | None = None
        self._late: list[partial[None]] | None = None
        self._at_work: dict[str, str] = {}

    def expect(self) -> None:
        """Keep what comes from now on: what is being listed may be older."""
        self._late = []

    def serve(self, served: Served, unreadable: Iterable[str] = ()) -> None:
        """Everything has been listed: enqueue it, also what cannot be read, and handle what came meanwhile."""
        self._served, late, self._late = served, self._late or (), None
        for name in served.cache.list_names():
            self._enqueue(name)
        for name in unreadable:
            served.queue.add_after(name, _SETTLE_TIME)
        for job, name in self._at_work.items():
            served.snapshots.suspect(job)
            served.queue.add_after(name, _SETTLE_TIME)
        for handle in late:
            handle()

    def stand_by(self) -> None:
        """Feed nothing any more."""
        self._served = self._late = None

    def compute_blindness(self) -> timedelta:
        """How long the watch has not shown a write of our own."""
        return self._served.health.compute_blindness(now=self._clock.now()) if self._served else timedelta()

    def handle_sync(self, kind: str | None, raw: Raw) -> None:
        """Handle a sync as the watch shows it; `kind` is the watch's type, None for an object that was listed."""
        if self._late is not None:
            self._late.append(partial(self.handle_sync, kind, raw))
        elif self._served is not None:
            self._show_sync(self._served, kind, raw)

    def _show_sync(self, served: Served, kind: str | None, raw: Raw) -> None:
        name = raw["metadata"]["name"]
        served.health.note_event(PLURAL, now=self._clock.now())
        served.health.note_version(parse_version(raw["metadata"].get("resourceVersion", "")))
        if kind == _DELETED:
            served.cache.remove(name, raw["metadata"].get("resourceVersion"))
            served.queue.add_after(name, _SETTLE_TIME)
            return
        try:
            sync = parse_estimate_sync(raw)
        except MalformedSyncError:
            served.queue.add_after(name, _SETTLE_TIME)
            return
        if served.cache.upsert(sync):
            self._enqueue(sync.name)

    def _enqueue(self, name: str) -> None:
        """Enqueue a sync for when there is something to do about it."""
        if self._served is None:
            return
        idle_time = self._served.cache.compute_idle_time(name, now=self._clock.now())
        if idle_time is not None:
            self._served.queue.add_after(name, max(idle_time, _SETTLE_TIME))

    def handle_job(self, kind: str | None, raw: Raw) -> None:
        """Handle a job. The label names the sync; the reconciler checks by uid whose job it really is."""
        name, job = raw["metadata"].get("labels", {}).get(LABEL_SYNC), raw["metadata"]["name"]
        if not name:
            return
        if kind == _DELETED or is_ending(raw):
            self._at_work.pop(job, None)
        else:
            self._at_work[job] = name
        if self._late is not None:
            self._late.append(partial(self.handle_job, kind, raw))
        elif self._served is not None:
            self._show_job(self._served, kind, raw)

    def _show_job(self, served: Served, kind: str | None, raw: Raw) -> None:
        """To a sync with nothing left to do, only a job that is still at work is news."""
        name, job = raw["metadata"]["labels"][LABEL_SYNC], raw["metadata"]["name"]
        served.health.note_event("jobs", now=self._clock.now())
        if served.cache.is_settled(name) and job not in self._at_work:
            return
        if kind == _DELETED:
            served.snapshots.drop(job)
        else:
            served.snapshots.put(raw)
        served.queue.add_after(name, _SETTLE_TIME)
