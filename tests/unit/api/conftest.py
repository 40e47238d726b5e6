"""A store in memory and an API around it, asked without a network."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import pytest
from estimatesync_api.app import Asgi, create_app
from estimatesync_api.core.listing import SyncPage, SyncQuery, Work, build_page, find_phase, find_work
from estimatesync_api.core.ports import LogCursor, LogPart
from estimatesync_api.core.problems import StoreUnavailableError, SyncExistsError
from estimatesync_api.settings import parse_settings
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.names import ANNOTATION_CANCELLED_BY, ANNOTATION_REDELIVER
from estimatesync_contract.spec import EstimateSyncSpec
from estimatesync_contract.status import EstimateSyncStatus, Phase
from falcon.testing import TestClient


@dataclass
class MemoryStore:
    """Keeps syncs in a dictionary; what goes wrong, and what happens while a caller waits, is set beforehand."""

    syncs: dict[str, EstimateSync] = field(default_factory=dict)
    log: tuple[str, ...] = ()
    create_fault: Exception | None = None
    find_fault: Exception | None = None
    log_fault: Exception | None = None
    check_fault: Exception | None = None
    while_checking: Callable[[], Awaitable[object]] | None = None
    after_listing: Callable[[], object] | None = None
    checks: int = 0
    fetches: list[EstimateSyncStatus | Exception | None] = field(default_factory=list)
    """What each coming fetch finds: a new status, an error, or None for a sync that has been deleted."""
    is_sure: bool = False
    """Hints name what has ended; otherwise everything, as a careless store might."""
    is_blind: bool = False
    """Hints name nothing, ever."""
    polls: int = 0
    readings: int = 0
    queries: list[SyncQuery] = field(default_factory=list)
    redeliveries: list[tuple[str, str]] = field(default_factory=list)
    lifespan: list[str] = field(default_factory=list)

    async def open(self) -> None:
        self.lifespan.append("opened")

    async def close(self) -> None:
        self.lifespan.append("closed")

    async def check(self) -> None:
        self.checks += 1
        if self.while_checking:
            await self.while_checking()
        if self.check_fault:
            raise self.check_fault

    async def create(self, sync: EstimateSync) -> EstimateSync:
        if self.create_fault:
            raise self.create_fault
        if sync.name in self.syncs:
            raise SyncExistsError
        self.syncs[sync.name] = sync
        return sync

    async def fetch(self, name: str) -> EstimateSync | None:
        self.readings += 1
        if self.fetches:
            found = self.fetches.pop(0)
            if isinstance(found, Exception):
                raise found
            if found is None:
                self.syncs.pop(name, None)
            else:
                self.syncs[name] = msgspec.structs.replace(self.syncs[name], status=found)
        return self.syncs.get(name)

    async def find_active(self, work: Work) -> str | None:
        if self.find_fault:
            raise self.find_fault
        found = [sync.name for sync in self.syncs.values() if find_work(sync) == work]
        return found[-1] if found else None

    async def find_ended(self, names: Collection[str]) -> frozenset[str]:
        self.polls += 1
        if self.find_fault:
            raise self.find_fault
        if self.is_sure:
            return frozenset(name for name in names if self.syncs[name].is_finished)
        return frozenset() if self.is_blind else frozenset(names)

    async def list_page(self, query: SyncQuery) -> SyncPage:
        self.queries.append(query)
        if self.create_fault:
            raise self.create_fault
        page = build_page([sync for sync in self.syncs.values() if find_phase(sync) in query.phases], query.limit)
        if self.after_listing:
            self.after_listing()
        return page

    async def count_phases(self) -> Mapping[Phase, int]:
        return Counter(map(find_phase, self.syncs.values()))

    async def request_cancel(self, name: str, *, by: str) -> EstimateSync | None:
        sync = self.syncs[name]
        spec = msgspec.structs.replace(sync.spec, cancel=True)
        annotations = {**sync.metadata.annotations, ANNOTATION_CANCELLED_BY: by}
        metadata = msgspec.structs.replace(sync.metadata, annotations=annotations)
        self.syncs[name] = msgspec.structs.replace(sync, spec=spec, metadata=metadata)
        return self.syncs[name]

    async def annotate(self, sync: EstimateSync, annotations: Mapping[str, str]) -> EstimateSync | None:
        if sync != self.syncs.get(sync.name):
            return None
        if request := annotations.get(ANNOTATION_REDELIVER):
            self.redeliveries.append((sync.name, request))
        metadata = msgspec.structs.replace(sync.metadata, annotations={**sync.metadata.annotations, **annotations})
        self.syncs[sync.name] = msgspec.structs.replace(sync, metadata=metadata)
        return self.syncs[sync.name]

    async def read_log_part(self, _sync: EstimateSync, cursor: LogCursor | None) -> LogPart:
        if self.log_fault:
            raise self.log_fault
        begin = cursor.count if cursor else 0
        return LogPart(lines=self.log[begin:], cursor=LogCursor(source="run", count=len(self.log)))

    async def read_log(self, _sync: EstimateSync) -> tuple[str, ...]:
        if self.log_fault:
            raise self.log_fault
        return self.log


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def pauses() -> list[float]:
    """The seconds that callers waited."""
    return []


@pytest.fixture
def app(store: MemoryStore, pauses: list[float]) -> Asgi:
    settings = parse_settings(
        {"API_KEYS": "make:made-up-key-of-make, old:made-up-key-before", "TIME_ZONE": "America/New_York"}
    )

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    return create_app(
        settings,
        store,
        clock=lambda: datetime(2025, 10, 17, 2, 30, 15, 7000, tzinfo=UTC),
        token=lambda: "k3x9q",
        pause=pause,
    )


@pytest.fixture
def client(app: Asgi) -> TestClient:
    """Asks with a key."""
    return TestClient(app, headers={"x-api-key": "made-up-key-of-make"})


@pytest.fixture
def unauthenticated(app: Asgi) -> TestClient:
    """Asks without a key."""
    return TestClient(app)


@pytest.fixture
def make_sync() -> Callable[..., EstimateSync]:
    def make(name: str = "est-1", status: EstimateSyncStatus | None = None) -> EstimateSync:
        return EstimateSync(
            metadata=Metadata(name=name, uid="00000000-0000-4000-8000-000000000001", namespace="secret-place"),
            spec=EstimateSyncSpec(),
            status=status or EstimateSyncStatus(),
        )

    return make


@pytest.fixture
def unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("10.0.0.1 is away")
