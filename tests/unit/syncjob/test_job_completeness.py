"""Whatever happens to the source while it is read, nothing that was in the range is missing in the end.

The real client and the real sync read the sample source in memory. The source changes between any two requests by a
script that hypothesis draws, and answers requests that are in flight together in any order. Its clock is made up.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec
import pytest
from estimatesync_contract.refused_login import Credentials, RefusedLogin
from estimatesync_contract.status import Results
from estimatesync_job.adapters.attic_tech import AtticTech
from estimatesync_job.core.coverage import OVERLAP
from estimatesync_job.core.errors import SourceChangingError
from estimatesync_job.core.page_plan import PagePlan, build_plan
from estimatesync_job.core.pages import CLOSING_PAGE, FetchedPage, SourceTime
from estimatesync_job.core.ports import Level, Source, Staged, StoredRun, Transferred, Unshown
from estimatesync_job.core.queries import ChangesQuery, PageQuery
from estimatesync_job.core.retry_delay import RetryPolicy
from estimatesync_job.core.rows import Row
from estimatesync_job.settings import parse_settings
from estimatesync_job.sync import Sync
from hypothesis import HealthCheck, Phase, example, find, given, settings
from hypothesis import strategies as st
from sample_attic_tech import Request, RunningSample, SampleConfig

START: Final = datetime(2025, 9, 1, tzinfo=UTC)
END: Final = datetime(2025, 10, 16, 23, 59, 59, 999_000, tzinfo=UTC)
CLOCKS: Final = (
    datetime(2025, 10, 16, 12, tzinfo=UTC),  # the range goes on
    datetime(2025, 10, 16, 23, 59, 50, tzinfo=UTC),  # it ends while it is read
    datetime(2025, 10, 20, 12, tzinfo=UTC),  # it has ended: an edit takes a record out of it
)
MANY: Final = settings(
    max_examples=1000,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """What happens before an answer: `target` picks a record, `late` is how far its stamp is behind the clock."""

    kind: str
    target: int
    late: timedelta


@dataclass(frozen=True, kw_only=True)
class Story:
    """A source and what happens to it: `ages` of the records at the start, `script` of events for each request."""

    clock: datetime
    ages: Sequence[timedelta]
    script: Sequence[tuple[timedelta, Sequence[Event]]]
    page_size: int | None
    concurrency: int
    max_records: int
    seed: int
    has_date: bool = True


EVENTS = st.builds(
    Event,
    kind=st.sampled_from(("edit", "edit", "insert", "delete", "enter", "backdate")),
    target=st.integers(0, 60),
    late=st.sampled_from((timedelta(0), timedelta(0), timedelta(milliseconds=1), timedelta(seconds=40), OVERLAP)),
)
STEPS = st.sampled_from([timedelta(milliseconds=number) for number in (0, 0, 1, 900, 5_000, 61_000, 400_000)])
STORIES = st.builds(
    Story,
    clock=st.sampled_from(CLOCKS),
    ages=st.lists(st.sampled_from([timedelta(days=days) for days in (5, 5, 6, 30, 44, 60, 90)]), max_size=45),
    script=st.lists(st.tuples(STEPS, st.lists(EVENTS, max_size=4)), max_size=40),
    page_size=st.sampled_from((None, None, 1, 2, 3, 5, 10, 100, 1000)),
    concurrency=st.sampled_from((1, 2, 4, 8, 32)),
    max_records=st.sampled_from((1000, 1000, 2, 7)),
    seed=st.integers(0, 2**32),
)


def format_time(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_in_range(record: Mapping[str, Any]) -> bool:
    return START <= datetime.fromisoformat(record["updatedAt"]) <= END


@dataclass
class World:
    """The source with its own clock, and a record of every state that a request could see.

    Attributes:
        seen_states: for each request its clock, and the version of each record that was in the range then.
    """

    story: Story
    rng: Random = field(init=False)
    sample: RunningSample = field(init=False)
    clock: datetime = field(init=False)
    versions: int = 0
    seen_states: list[tuple[datetime, dict[int, int]]] = field(default_factory=list)
    edited: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rng = Random(self.story.seed)  # noqa: S311 - an order, not a secret
        self.clock = self.story.clock
        self.sample = RunningSample(SampleConfig(on_request=self._let_things_happen, shuffle_ties=True))
        for age in self.story.ages:
            self._insert(self._pick_free_id(), created_at=self.clock - timedelta(days=100), updated_at=self.clock - age)
        self._record_state()

    def _pick_free_id(self) -> int:
        taken = {record["id"] for record in self.sample.store.read_all()} | self.deleted
        return self.rng.choice([number for number in range(1, 400) if number not in taken])

    def _insert(self, record_id: int, *, created_at: datetime, updated_at: datetime) -> None:
        record = {"id": record_id, "createdAt": format_time(created_at), "updatedAt": format_time(updated_at)}
        self.sample.store.insert(record | self._build_version())

    def _build_version(self) -> dict[str, str]:
        self.versions += 1
        return {"crew_notes": str(self.versions)}

    def _record_state(self) -> None:
        records = self.sample.store.read_all()
        self.seen_states.append(
            (self.clock, {record["id"]: int(record["crew_notes"]) for record in records if is_in_range(record)})
        )

    def _let_things_happen(self, _: Request) -> None:
        number = len(self.sample.requests) - 1
        step, events = self.story.script[number] if number < len(self.story.script) else (timedelta(seconds=1), ())
        self.clock += step
        for event in events:
            self._happen(event)
        self._record_state()

    def _happen(self, event: Event) -> None:
        stamp = self.clock - event.late
        if event.kind == "insert":
            self._insert(self._pick_free_id(), created_at=stamp, updated_at=stamp)
            return
        wanted = [record for record in self.sample.store.read_all() if is_in_range(record) != (event.kind == "enter")]
        if not wanted:
            return
        record_id = sorted(record["id"] for record in wanted)[event.target % len(wanted)]
        if event.kind == "delete":
            self.sample.store.delete(record_id)
            self.deleted.add(record_id)
        elif event.kind == "backdate":
            self.sample.store.update(record_id, {"updatedAt": format_time(START - timedelta(days=9))})
            self.deleted.add(record_id)
        else:
            # However far clocks are apart, the versions of one record are stamped in their order.
            stamp = max(stamp, datetime.fromisoformat(self.sample.store.read(record_id)["updatedAt"]))
            self.sample.store.update(record_id, {"updatedAt": format_time(stamp)} | self._build_version())
            self.edited.add(record_id)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """Reply after a while of any length, so that requests overtake each other."""
        for _ in range(self.rng.randrange(2 * self.story.concurrency)):
            await asyncio.sleep(0)
        answered = self.sample.respond(self._translate(request))
        headers = {"Date": format_datetime(self.clock, usegmt=True)} if self.story.has_date else {}
        return httpx.Response(answered.status, headers={**answered.headers, **headers}, content=answered.body)

    def _translate(self, request: httpx.Request) -> Request:
        """Cut the limit to what this source gives at most, as a server may."""
        parameters = dict(request.url.params)
        if "limit" in parameters:
            parameters["limit"] = str(min(int(parameters["limit"]), self.story.max_records))
        return Request(
            method=request.method,
            path=urlsplit(str(request.url)).path,
            query_string=urlencode(parameters),
            headers=dict(request.headers),
            body=request.content,
            received_at=self.clock,
        )


@dataclass
class Table:
    """Staging and merge as PostgreSQL does them: the newest version counts, of equal ones the last to arrive."""

    staged: list[Row] = field(default_factory=list)

    @property
    def encoding(self) -> str:
        return "UTF8"

    async def fetch_committed_run(self) -> StoredRun | None:
        return None

    async def write_rows(self, rows: Sequence[Row], unshown: Unshown) -> None:
        assert not unshown
        self.staged += rows

    async def write_changes(self, rows: Sequence[Row], unshown: Unshown) -> int:
        assert not unshown
        known = set(self.staged)
        self.staged += rows
        return len({row.attic_tech_estimate_id for row in rows if row not in known})

    async def fetch_refused_login(self) -> RefusedLogin | None:
        return None

    async def write_refused_login(self, refusal: RefusedLogin) -> None:
        raise AssertionError(refusal)

    async def finish_staging(self, *, hidden: Sequence[str], broken: Sequence[int]) -> Staged:
        assert hidden is not None
        assert not broken
        return Staged(estimates=len(self.versions))

    async def merge(self, transferred: Transferred) -> StoredRun:
        return StoredRun(results=Results(total_fetched=transferred.records), complete_as_of=transferred.complete_as_of)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Table"]:
        yield self

    @property
    def versions(self) -> dict[int, int]:
        merged: dict[int, Row] = {}
        for row in self.staged:
            before = merged.get(row.attic_tech_estimate_id)
            assert row.at_updated_date
            if before is None or before.at_updated_date is None or before.at_updated_date <= row.at_updated_date:
                merged[row.attic_tech_estimate_id] = row
        return {number: int(row.crew_notes or 0) for number, row in merged.items()}


class SilentLog:
    def write(self, action: str, message: str, *, level: Level = "info", **fields: str | float) -> None:
        assert action and message and level and fields is not None  # noqa: PT018 - nothing to distinguish


@dataclass
class WithoutClosingPass:
    """The same source, as a sync sees it that believes its pages."""

    source: Source

    async def login(self) -> None:
        await self.source.login()

    async def fetch_page(self, query: PageQuery) -> FetchedPage:
        return await self.source.fetch_page(query)

    async def fetch_changes(self, query: ChangesQuery) -> FetchedPage:
        assert query
        return FetchedPage(
            page=CLOSING_PAGE, limit=1, total_pages=1, has_more=False, size_bytes=0, seconds=0.0, rows=(), problems=(),
            first=None, last=None, asked_at=SourceTime(),
        )  # fmt: skip


def open_source(world: World) -> AbstractAsyncContextManager[AtticTech]:
    chosen = parse_settings({
        "SYNC_ID": "s", "SYNC_UID": "u", "SYNC_START_DATE": "2025-09-01", "SYNC_END_DATE": "2025-10-16",
        "SYNC_CONCURRENCY": str(world.story.concurrency),
        "ATTIC_TECH_URL": "http://sample.example", "ATTIC_TECH_EMAIL": "sync@attic-tech.example",
        "ATTIC_TECH_PASSWORD": "made-up-password", "DATABASE_URL": "postgresql://nowhere",
    })  # fmt: skip

    @asynccontextmanager
    async def opened() -> AsyncIterator[AtticTech]:
        transport = httpx.MockTransport(world.answer)
        async with httpx.AsyncClient(transport=transport, base_url=chosen.attic_tech_url) as client:
            yield AtticTech(client, chosen, policy=RetryPolicy(), log=SilentLog())

    return opened()


@asynccontextmanager
async def without_closing_pass(opening: AbstractAsyncContextManager[Source]) -> AsyncIterator[Source]:
    async with opening as source:
        yield WithoutClosingPass(source)


def plan_story(story: Story) -> PagePlan:
    """Ask for the first pages together; without a page size they begin with one record, and grow."""
    plan = msgspec.structs.replace(
        build_plan(page_size=story.page_size or 1, ahead=story.concurrency), first_page_wait_seconds=0.0
    )
    return plan if story.page_size else msgspec.structs.replace(plan, is_adaptive=True, sizes=(8, 4, 2, 1), few_pages=0)


def run_story(
    story: Story, change: Callable[[Any], AbstractAsyncContextManager[Source]] = lambda opening: opening
) -> tuple[World, Table, StoredRun]:
    world, table = World(story), Table()
    sync = Sync(
        open_source=change(open_source(world)),
        open_store=table.open(),
        log=SilentLog(),
        start=START,
        plan=plan_story(story),
        max_skipped_percent=0,
        max_unshown_percent=0,
        credentials=Credentials(url="http://sample.example", email="", password="", retry=""),
    )
    asyncio.run(sync.run())
    assert sync.stored
    return world, table, sync.stored


def list_missing(world: World, table: Table, as_of: datetime) -> Iterator[tuple[int, str]]:
    """List what was in the range at an instant and is not stored in its version of then or a newer one."""
    expected = next(versions for clock, versions in reversed(world.seen_states) if clock <= as_of)
    stored = table.versions
    for number, version in expected.items():
        if number not in world.deleted and stored.get(number, 0) < version:
            yield number, f"version {version} expected, {stored.get(number)} stored"


@MANY
@given(story=STORIES)
@example(story=Story(clock=CLOCKS[0], ages=(), script=(), page_size=1, concurrency=1, max_records=1000, seed=0))
def test_nothing_is_missing_whatever_changes_while_it_is_read(story: Story) -> None:
    world, table, stored = run_story(story)

    assert stored.complete_as_of
    assert list(list_missing(world, table, story.clock)) == []
    assert list(list_missing(world, table, stored.complete_as_of)) == []
    seen = set().union(*(versions for _, versions in world.seen_states))
    assert table.versions.keys() <= seen | world.edited


@settings(MANY, max_examples=100)
@given(story=STORIES)
def test_a_source_that_rests_is_stored_as_it_is_and_fetched_once(story: Story) -> None:
    at_rest = Story(**(vars(story) | {"script": (), "max_records": 1000}))

    world, table, stored = run_story(at_rest)

    (_, versions), *_ = world.seen_states
    pages = max(1, story.concurrency, -(-len(versions) // (story.page_size or 1)))
    assert table.versions == versions
    assert stored.results.total_fetched == len(versions)
    assert len(world.sample.requests) <= 1 + pages + 1 + (pages > 18) * (1 + pages // 18)


def test_without_its_closing_pass_a_sync_loses_estimates() -> None:
    def loses(story: Story) -> bool:
        world, table, _ = run_story(story, without_closing_pass)
        return any(list_missing(world, table, story.clock))

    story = find(STORIES, loses, settings=settings(MANY, phases=[Phase.generate]))

    world, table, _ = run_story(story)
    assert list(list_missing(world, table, story.clock)) == []


@pytest.mark.parametrize("has_date", [True, False])
def test_a_source_that_never_rests_ends_the_sync_after_a_bounded_number_of_requests(
    has_date: bool,  # noqa: FBT001 - a table's column
) -> None:
    restless = [
        (timedelta(seconds=61), [Event(kind="edit", target=target, late=timedelta(0)) for target in (n, n + 3, n + 6)])
        for n in range(90)
    ]
    story = Story(
        clock=CLOCKS[0], ages=[timedelta(days=5)] * 9, script=restless, page_size=2, concurrency=2, max_records=2,
        seed=1, has_date=has_date,
    )  # fmt: skip

    with pytest.raises(SourceChangingError):
        run_story(story)
