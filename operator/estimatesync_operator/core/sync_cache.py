"""What the operator knows of every sync without asking: fed by the watch and by its own writes.

Correctness does not rest on it. Every write names the version that it starts from, so what is decided on old knowledge
is refused by the API server, and the sync is read again. Two things make up for what a version cannot: the cache never
goes back to an older one, and a write whose outcome is unknown makes a sync stale until it has been read.

Finished syncs with nothing left to do shrink to a line, so that thousands of them can stay.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync

from estimatesync_operator.core.retention import (
    Success,
    compute_expiry,
    find_newest,
    find_told_time,
    get_success,
    is_settled,
)
from estimatesync_operator.core.silence import Silence

_GONE_REMEMBERED: Final = 1000
"""More than go during the minutes that a watch may be late."""

State = tuple[str, str]
"""Phase and reason; empty before the first pass."""


class _Settled(msgspec.Struct, frozen=True):
    uid: str
    version: int
    state: State
    expiry: datetime | None
    success: Success | None
    created: datetime | None
    given_up: int
    """Callbacks that were given up, and an alert."""
    told_at: datetime | None


class SyncCache:
    """Use it from one event loop only."""

    def __init__(self, *, default_ttl: timedelta) -> None:
        """`default_ttl` is how long a finished sync stays that does not set it itself."""
        self._default_ttl = default_ttl
        self._live: dict[str, EstimateSync] = {}
        self._unfinished: dict[str, EstimateSync] = {}
        self._settled: dict[str, _Settled] = {}
        self._stale: set[str] = set()
        self._gone: dict[str, None] = {}
        self._newest_success: Success | None = None
        """By what is on record: an end in the future comes first here."""

    def __len__(self) -> int:
        return len(self._live) + len(self._settled)

    def upsert(self, sync: EstimateSync) -> bool:
        """Store a version; False when it, or a newer one, is known already, or the sync is known to be gone."""
        if sync.uid in self._gone:
            return False
        version = parse_version(sync.metadata.resource_version)
        known = self._get_version(sync.name)
        if known is not None and version < known:
            return False
        is_stale = sync.name in self._stale
        self._stale.discard(sync.name)
        if version == known and not is_stale:
            return False
        self._store(sync, version)
        return True

    def upsert_written(self, sync: EstimateSync) -> None:
        """Store what came of a write, unless the sync has been removed meanwhile: it would stay forever."""
        if self._get_version(sync.name) is not None:
            self.upsert(sync)

    def remove(self, name: str, resource_version: str | None = None) -> None:
        """Forget a sync, unless it is a newer one of the same name."""
        version = self._get_version(name)
        if version is None or (resource_version and version > parse_version(resource_version)):
            return
        self._bury(self._pop(name))
        self._stale.discard(name)
        if self._newest_success is not None and self._newest_success.name == name:
            self._newest_success = self._find_newest_success()

    def _bury(self, known: EstimateSync | _Settled | None) -> None:
        """A watch that is late still shows a sync that is known to be gone, and its callback would be sent again."""
        if known is not None:
            self._gone[known.uid] = None
        if len(self._gone) > _GONE_REMEMBERED:
            del self._gone[next(iter(self._gone))]

    def remove_others(self, name: str, uid: str) -> None:
        """Forget what is known under this name, unless it is the sync of this uid."""
        live = self._live.get(name)
        if live is None or live.uid != uid:
            self.remove(name)

    def mark_stale(self, name: str) -> None:
        """Have a sync read again before anything is decided about it."""
        if name in self._live:
            self._stale.add(name)

    def get(self, name: str) -> EstimateSync | None:
        """The sync, if it is known for sure and something is left to do about it."""
        return None if name in self._stale else self._live.get(name)

    def is_settled(self, name: str) -> bool:
        """Return whether nothing is left to do about this sync."""
        return name in self._settled

    def list_stale(self) -> tuple[str, ...]:
        """Name the syncs to read again, always in the same order."""
        return tuple(sorted(self._stale))

    def list_unfinished(self) -> tuple[EstimateSync, ...]:
        """Every sync that waits or runs."""
        return tuple(self._unfinished.values())

    def list_names(self) -> tuple[str, ...]:
        return (*self._live, *self._settled)

    def compute_idle_time(self, name: str, *, now: datetime) -> timedelta | None:
        """How long a sync needs no pass; zero while something is left to do about it, None for always."""
        settled = self._settled.get(name)
        if settled is None:
            return timedelta()
        return None if settled.expiry is None else max(settled.expiry - now, timedelta())

    def iterate_live(self) -> Iterator[EstimateSync]:
        """Every sync about which something is left to do."""
        return iter(self._live.values())

    def count_states(self) -> Counter[State]:
        """How many syncs are in each state."""
        states = Counter(settled.state for settled in self._settled.values())
        states.update(_get_state(sync) for sync in self._live.values())
        return states

    def find_newest_success(self, *, now: datetime) -> Success | None:
        """The sync that has succeeded last."""
        newest = self._newest_success
        return newest if newest is None or newest.is_over(now) else find_newest(self._iterate_successes(), now=now)

    def find_newest_whole_success(self, *, now: datetime) -> Success | None:
        """The sync that has succeeded last of those that have read all estimates of their days."""
        whole = (each for each in self._iterate_successes() if each.total_fetched is not None)
        return find_newest(whole, now=now)

    def find_silence(self, *, now: datetime) -> Silence | None:
        """Since when no sync has succeeded; where none has, the oldest that has ended is where that is on record.

        One that has the alert already remains it, even if an older one ends later.
        """
        if newest := self.find_newest_success(now=now):
            return Silence(name=newest.name, uid=newest.uid, since=newest.completion_time, told_at=newest.told_at)
        since = self.find_first_creation()
        first = min(self._iterate_failures(), key=lambda each: (each[0] is None, *each[1:]), default=None)
        if since is None or first is None:
            return None
        told_at, _, name, uid = first
        return Silence(name=name, uid=uid, since=since, told_at=told_at)

    def find_first_creation(self) -> datetime | None:
        """When the oldest sync on record was created."""
        live = (sync.metadata.creation_timestamp for sync in self._live.values())
        every = (*(each.created for each in self._settled.values()), *live)
        return min((each for each in every if each is not None), default=None)

    def count_given_up_callbacks(self) -> int:
        """How many callbacks and alerts were given up, and have not been requested again."""
        return sum(settled.given_up for settled in self._settled.values())

    def _store(self, sync: EstimateSync, version: int) -> None:
        self._pop(sync.name)
        success, newest = get_success(sync), self._newest_success
        if is_settled(sync):
            expiry = compute_expiry(sync, default_ttl=self._default_ttl)
            self._settled[sync.name] = _Settled(
                sync.uid,
                version,
                _get_state(sync),
                expiry,
                success,
                sync.metadata.creation_timestamp,
                len(sync.status.given_up),
                find_told_time(sync.status),
            )
        else:
            self._live[sync.name] = sync
            if not sync.is_finished and not sync.metadata.deletion_timestamp:
                self._unfinished[sync.name] = sync
        if success is not None and (newest is None or success.rank >= newest.rank):
            self._newest_success = success
        elif newest is not None and newest.name == sync.name:
            # Another sync has taken the name.
            self._newest_success = self._find_newest_success()

    def _find_newest_success(self) -> Success | None:
        return max(self._iterate_successes(), key=lambda each: each.rank, default=None)

    def _iterate_successes(self) -> Iterator[Success]:
        every = (*(each.success for each in self._settled.values()), *map(get_success, self._live.values()))
        return (each for each in every if each is not None)

    def _iterate_failures(self) -> Iterator[tuple[datetime | None, datetime, str, str]]:
        """Syncs that have ended without success: when their alert began, their creation, name and uid."""
        for name, each in self._settled.items():
            if each.success is None and each.created is not None:
                yield each.told_at, each.created, name, each.uid
        for sync in self._live.values():
            created = sync.metadata.creation_timestamp
            if sync.is_finished and get_success(sync) is None and created is not None:
                yield find_told_time(sync.status), created, sync.name, sync.uid

    def _pop(self, name: str) -> EstimateSync | _Settled | None:
        self._unfinished.pop(name, None)
        return self._live.pop(name, None) or self._settled.pop(name, None)

    def _get_version(self, name: str) -> int | None:
        if live := self._live.get(name):
            return parse_version(live.metadata.resource_version)
        settled = self._settled.get(name)
        return settled.version if settled else None


def parse_version(resource_version: str) -> int:
    """Read a version, which grows with each write.

    https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions: decimal numbers, comparable.
    """
    return int(resource_version) if resource_version.isascii() and resource_version.isdecimal() else 0


def _get_state(sync: EstimateSync) -> State:
    return sync.status.phase or "", sync.status.reason or ""
