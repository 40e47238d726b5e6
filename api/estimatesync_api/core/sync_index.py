"""Every sync of the namespace, small enough to keep, in the order that callers list them.

The API server lists by name and cannot sort or filter by creation time or phase, so an answer would mean reading all
syncs each time. One watch keeps this index instead; `adapters/kubernetes_watch.py` feeds it. A sync is kept as some
hundred bytes of MessagePack: 10,000 syncs are about 10 MB.
"""

import bisect
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.names import ACTOR_ANNOTATIONS
from estimatesync_contract.status import Phase

from estimatesync_api.core.listing import SyncPage, SyncQuery, Work, build_page, find_phase, find_work

_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
_REMEMBERED_REMOVALS: Final = 256

_Place = tuple[datetime, str]


class _Entry(NamedTuple):
    place: _Place
    version: int
    phase: Phase
    work: Work | None
    """What a sync does that a request for the same may join; None for any other."""
    packed: bytes


class SyncIndex:
    """Not thread-safe: for one event loop."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._places: list[_Place] = []
        self._active: dict[Work, set[_Place]] = {}
        # The answer to a write of our own may arrive after the event that the sync has been deleted.
        self._removed: dict[str, int] = {}
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(EstimateSync).decode

    def put(self, sync: EstimateSync) -> None:
        """Insert or update a sync, unless a newer version of it is known."""
        known = self._entries.get(sync.name)
        entry = self._build_entry(sync)
        newest = known.version if known else self._removed.get(sync.name, 0)
        if newest > entry.version:
            return
        if known is not None:
            self._remove_place(known)
        self._entries[sync.name] = entry
        bisect.insort(self._places, entry.place)
        if entry.work is not None:
            self._active.setdefault(entry.work, set()).add(entry.place)

    def remove(self, name: str, *, version: int) -> None:
        """Forget a sync that was deleted at this version."""
        entry = self._entries.pop(name, None)
        if entry is not None:
            self._remove_place(entry)
        self._removed[name] = version
        if len(self._removed) > _REMEMBERED_REMOVALS:
            del self._removed[next(iter(self._removed))]

    def keep_only(self, names: Collection[str], *, version: int) -> None:
        """Forget what a whole listing of this version did not hold; what was put after it stays."""
        for name, entry in list(self._entries.items()):
            if name not in names and entry.version <= version:
                self.remove(name, version=version)

    def select(self, query: SyncQuery) -> SyncPage:
        found: list[EstimateSync] = []
        for entry in self._iterate(query):
            if entry.phase in query.phases:
                found.append(self._decode(entry.packed))
            if len(found) > query.limit:
                break
        return build_page(found, query.limit)

    def count_phases(self) -> Mapping[Phase, int]:
        return Counter(entry.phase for entry in self._entries.values())

    def get(self, name: str) -> EstimateSync | None:
        """Read the sync as it was last seen; None when it is not known."""
        entry = self._entries.get(name)
        return self._decode(entry.packed) if entry else None

    def find_active(self, work: Work) -> str | None:
        """Name the newest sync of this work that may be joined."""
        places = self._active.get(work)
        return max(places)[1] if places else None

    def has_ended(self, name: str) -> bool:
        """True when a sync has ended or does not exist."""
        entry = self._entries.get(name)
        return entry is None or entry.phase.is_final

    def _iterate(self, query: SyncQuery) -> Iterator[_Entry]:
        places = self._places
        high = bisect.bisect_left(places, (query.until, "")) if query.until else len(places)
        if query.after:
            high = min(high, bisect.bisect_left(places, (query.after.created_at, query.after.name)))
        low = bisect.bisect_left(places, (query.since, "")) if query.since else 0
        for position in range(high - 1, low - 1, -1):
            yield self._entries[places[position][1]]

    def _build_entry(self, sync: EstimateSync) -> _Entry:
        metadata = sync.metadata
        created_at = (metadata.creation_timestamp or _BEGINNING).astimezone(UTC)
        actors = {name: who for name in ACTOR_ANNOTATIONS if (who := metadata.annotations.get(name))}
        kept = Metadata(name=sync.name, uid=sync.uid, creation_timestamp=created_at, annotations=actors)
        status = msgspec.structs.replace(sync.status, conditions=(), log=())
        packed = self._encode(EstimateSync(metadata=kept, spec=sync.spec, status=status))
        version = int(metadata.resource_version) if metadata.resource_version.isdigit() else 0
        return _Entry((created_at, sync.name), version, find_phase(sync), find_work(sync), packed)

    def _remove_place(self, entry: _Entry) -> None:
        del self._places[bisect.bisect_left(self._places, entry.place)]
        if entry.work is not None:
            self._active[entry.work].discard(entry.place)
            if not self._active[entry.work]:
                del self._active[entry.work]
