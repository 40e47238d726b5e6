"""Whatever happens to the source while it is read, nothing that was in the range is missing in the end.

The real client and the real sync read the sample source in memory. The source changes between any two requests by a
script that hypothesis draws, and answers requests that are in flight together in any order. Its clock is made up, and
those of the servers that stamp changes differ from it as far as they may. What makes the proof necessary stands below
as single stories, each of which lost an estimate when its part of the proof was left out.
"""

import asyncio
import math
import os
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from itertools import product
from random import Random
from typing import Any, Final

import httpx
import msgspec
import pytest
from estimatesync_contract.refused_login import Credentials, RefusedLogin
from estimatesync_contract.result import ResultError
from estimatesync_contract.spec import Mode
from estimatesync_contract.status import Results
from estimatesync_job.adapters.attic_tech import AtticTech
from estimatesync_job.core.base import EarlierSync
from estimatesync_job.core.closing_pass import GAPS_PER_QUERY, PassPolicy
from estimatesync_job.core.deletions import Absent, Deletions, FoundIds
from estimatesync_job.core.page_plan import PagePlan, build_plan
from estimatesync_job.core.pages import CLOSING_PAGE, FetchedPage
from estimatesync_job.core.ports import Level, Source, Staged, StoredRun, Transferred
from estimatesync_job.core.queries import OVERLAP, ChangesQuery, IdsQuery, PageQuery
from estimatesync_job.core.retry_delay import RetryPolicy
from estimatesync_job.core.rows import Row, Rows
from estimatesync_job.settings import parse_settings
from estimatesync_job.sync import Sync
from estimatesync_simulator.loop import SimulatedLoop
from hypothesis import HealthCheck, Phase, example, find, given, settings
from hypothesis import strategies as st
from sample_attic_tech import Record, Request, RunningSample, SampleConfig
from sample_attic_tech.listing import parse_find_query, query

START: Final = datetime(2025, 9, 1, tzinfo=UTC)
END: Final = datetime(2025, 10, 16, 23, 59, 59, 999_000, tzinfo=UTC)
CLOCKS: Final = (
    datetime(2025, 10, 16, 12, tzinfo=UTC),  # the range goes on
    datetime(2025, 10, 16, 23, 59, 50, tzinfo=UTC),  # it ends while it is read
    datetime(2025, 10, 20, 12, tzinfo=UTC),  # it has ended: an edit takes a record out of it
)
# The same stories in every run of the tests; as many random ones as are asked for by `make simulate OF=pages`.
RANDOM_STORIES: Final = int(os.environ.get("RANDOM_STORIES", "0"))
MANY: Final = settings(
    max_examples=RANDOM_STORIES or 250,
    derandomize=not RANDOM_STORIES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """What happens before an answer: `target` picks a record, `late` is how far its stamp is behind the clock."""

    kind: str
    target: int = 0
    late: timedelta = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class Story:
    """A source and what happens to it.

    Attributes:
        ages: of the records at the start.
        script: for each request, how far the clock goes on before its answer, and what happens then.
        max_records: what the source gives at most, whatever is asked for.
        has_date: whether it shows its clock.
        has_texts: whether its ids are texts.
        created: of the records at the start, after the end of the range; long before the clock where it is None.
        counts_early: whether it counts what matches before that happens, and reads it afterwards.
        hides_limit: whether it does not say how many records it gives at most.
        ahead: by the number of a request, how far the server that answers it shows its clock ahead of the others.
        refused: the requests that end after a quarter of an hour in a page that is not Attic Tech's.
    """

    clock: datetime
    ages: Sequence[timedelta]
    script: Sequence[tuple[timedelta, Sequence[Event]]]
    page_size: int | None
    concurrency: int
    max_records: int = 1000
    seed: int = 0
    has_date: bool = True
    has_texts: bool = False
    created: timedelta | None = None
    counts_early: bool = False
    hides_limit: bool = False
    ahead: Mapping[int, timedelta] = field(default_factory=dict)
    refused: Sequence[int] = ()


EVENTS = st.builds(
    Event,
    kind=st.sampled_from(("edit", "edit", "insert", "import", "delete", "enter", "backdate")),
    target=st.integers(0, 60),
    late=st.sampled_from(
        (timedelta(0), timedelta(0), timedelta(milliseconds=1), timedelta(seconds=40), OVERLAP, -OVERLAP)
    ),
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
    has_date=st.sampled_from((True, True, True, False)),
    has_texts=st.sampled_from((False, False, False, True)),
    counts_early=st.booleans(),
    hides_limit=st.booleans(),
)


COUNTS: Final = {"totalDocs": "total_docs", "totalPages": "total_pages", "hasNextPage": "has_next_page"}
LIMIT: Final = re.compile(r"(?<=limit=)\d+")
HIGHEST: Final = 400
"""The ids at the start are below this one, with others between them."""


def format_time(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def find_bounds(days_on: timedelta) -> tuple[str, str]:
    """Find the bounds of the range as stamps: all are written alike, and so are in order as texts."""
    return format_time(START + days_on), format_time(END + days_on)


@dataclass
class World:
    """The source with its own clock, and a record of every state that a request could see.

    Attributes:
        seen_states: for each request its clock, and the version of each record that was in the range then.
        passes_began: of each request of a closing pass, how many states had been seen before its answer.
        last_pass_began: how many states had been seen when a pass last began from the top.
        given: records in the answers to these.
        passing: what may have been in the range for a moment: edited, or created no later than shortly after its end.
        living: for each request what was there then, in the range or not.
        asked_for_ids: which requests were for estimates by their ids.
        lost: what was deleted, and may be restored under its id.
    """

    story: Story
    rng: Random = field(init=False)
    sample: RunningSample = field(init=False)
    clock: datetime = field(init=False)
    versions: int = 0
    seen_states: list[tuple[datetime, dict[int, int]]] = field(default_factory=list)
    passes_began: list[int] = field(default_factory=list)
    last_pass_began: int = 0
    given: int = 0
    passing: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    days_on: timedelta = timedelta(0)
    script: Sequence[tuple[timedelta, Sequence[Event]]] = ()
    earlier_requests: int = 0
    living: list[set[int]] = field(default_factory=list)
    asked_for_ids: list[int] = field(default_factory=list)
    lost: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = Random(self.story.seed)  # noqa: S311 - an order, not a secret
        self.clock = self.story.clock
        self.script = self.story.script
        self.sample = RunningSample(SampleConfig(on_request=self._let_things_happen, shuffle_ties=True))
        created = self.clock - timedelta(days=100) if self.story.created is None else END + self.story.created
        for age in self.story.ages:
            self._insert(self._pick_free_id(), created_at=created, updated_at=self.clock - age)
        self._record_state()

    def begin_another_sync(self, *, days: int, script: Sequence[tuple[timedelta, Sequence[Event]]]) -> None:
        """Let a sync of days begin that are so many later than the first one's, with a script of its own."""
        self.days_on = timedelta(days=days)
        self.script = script
        self.earlier_requests = len(self.sample.requests)
        self.seen_states, self.passes_began, self.given = [], [], 0
        self._record_state()

    @property
    def end(self) -> datetime:
        return END + self.days_on

    def _is_in_range(self, record: Mapping[str, Any]) -> bool:
        first, last = find_bounds(self.days_on)
        return first <= record["updatedAt"] <= last

    def _pick_free_id(self) -> int:
        taken = {record["id"] for record in self.sample.store.read_all()} | self.deleted
        return self.rng.choice([number for number in range(1, HIGHEST) if number not in taken])

    def _pick_new_id(self) -> int:
        return max([HIGHEST, *self.deleted, *(record["id"] for record in self.sample.store.read_all())]) + 1

    def _insert(self, record_id: int, *, created_at: datetime, updated_at: datetime) -> None:
        record = {"id": record_id, "createdAt": format_time(created_at), "updatedAt": format_time(updated_at)}
        self.sample.store.insert(record | self._build_version())

    def _build_version(self) -> dict[str, str]:
        self.versions += 1
        return {"crew_notes": str(self.versions)}

    def _record_state(self) -> None:
        records = self.sample.store.read_all()
        self.seen_states.append(
            (self.clock, {record["id"]: int(record["crew_notes"]) for record in records if self._is_in_range(record)})
        )
        self.living.append({record["id"] for record in records})

    def _let_things_happen(self, request: Request) -> None:
        number = len(self.sample.requests) - 1 - self.earlier_requests
        if "%5Bor%5D" in request.query_string:
            self.passes_began.append(len(self.seen_states))
            if "where%5Bid%5D%5Bless_than%5D" not in request.query_string:
                self.last_pass_began = len(self.seen_states)
        if "%5Bin%5D" in request.query_string:
            self.asked_for_ids.append(len(self.seen_states))
        step, events = self.script[number] if number < len(self.script) else (timedelta(seconds=1), ())
        self.clock += step
        for event in events:
            self.happen(event)
        self._record_state()

    def happen(self, event: Event) -> None:
        stamp = self.clock - event.late
        if event.kind == "insert":
            record_id = self._pick_free_id()
            self._insert(record_id, created_at=stamp, updated_at=stamp)
            if stamp <= self.end + OVERLAP:
                self.passing.add(record_id)
            return
        if event.kind == "import":
            long_ago = self.story.clock - timedelta(days=20 + event.target % 40)
            self._insert(self._pick_new_id(), created_at=long_ago, updated_at=long_ago)
            return
        if event.kind == "restore":
            if self.lost:
                self.sample.store.insert(self.lost.pop(event.target % len(self.lost)))
            return
        wanted = [
            record for record in self.sample.store.read_all() if self._is_in_range(record) != (event.kind == "enter")
        ]
        if not wanted:
            return
        record_id = sorted(record["id"] for record in wanted)[event.target % len(wanted)]
        if event.kind == "delete":
            self.lost.append(self.sample.store.read(record_id))
            self.sample.store.delete(record_id)
            self.deleted.add(record_id)
        elif event.kind == "backdate":
            self.sample.store.update(record_id, {"updatedAt": format_time(START - timedelta(days=9))})
            self.deleted.add(record_id)
        else:
            self.sample.store.update(record_id, {"updatedAt": format_time(stamp)} | self._build_version())
            self.passing.add(record_id)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """Reply after a while of any length, so that requests overtake each other."""
        await let_pass(self.rng.randrange(2 * self.story.concurrency))
        number = len(self.sample.requests)
        asked = self._translate(request)
        before = self.sample.store.read_all()
        answered = self.sample.respond(asked)
        shown = self.clock + self.story.ahead.get(number, timedelta(0))
        headers = {**answered.headers, "Date": format_datetime(shown, usegmt=True)}
        if number in self.story.refused:
            self.clock += timedelta(minutes=15)
            headers = {"Content-Type": "text/html", "Date": format_datetime(self.clock, usegmt=True)}
            return httpx.Response(200, headers=headers, content=b"<html>Down for maintenance</html>")
        if not self.story.has_date:
            del headers["Date"]
        body = self._change(asked, before, answered.body) if request.method == "GET" else answered.body
        return httpx.Response(answered.status, headers=headers, content=body)

    def _change(self, asked: Request, before: list[Record], body: bytes) -> bytes:
        """Show ids as texts, or the counts of before, as far as the story says so."""
        is_of_pass = "%5Bor%5D" in asked.query_string
        if not (is_of_pass or self.story.has_texts or self.story.counts_early or self.story.hides_limit):
            return body
        page = msgspec.json.decode(body)
        if is_of_pass:
            self.given += len(page["docs"])
        if self.story.has_texts:
            page["docs"] = [document | {"id": str(document["id"])} for document in page["docs"]]
        if self.story.counts_early:
            find = parse_find_query(asked.query_string)
            counted = query(before, where=find.where, sort=find.sort, limit=find.limit, page=find.page)
            page |= {name: getattr(counted, attribute) for name, attribute in COUNTS.items()}
        elif self.story.hides_limit:
            del page["limit"]
        return msgspec.json.encode(page)

    def _translate(self, request: httpx.Request) -> Request:
        """Cut the limit to what this source gives at most, as a server may."""
        return Request(
            method=request.method,
            path=request.url.path,
            query_string=LIMIT.sub(self._cut_limit, request.url.query.decode()),
            headers=dict(request.headers),
            body=request.content,
            received_at=self.clock,
        )

    def _cut_limit(self, asked: re.Match[str]) -> str:
        return str(min(int(asked[0]), self.story.max_records))


async def let_pass(turns: int) -> None:
    """Let the loop turn so many times: each of this coroutine's own would wake all of the client that awaits it."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()

    def turn(left: int) -> None:
        if left:
            loop.call_soon(turn, left - 1)
        elif not over.done():
            over.set_result(None)

    turn(turns)
    await over


@dataclass
class Table:
    """Staging and merge as PostgreSQL does them: the last version to arrive counts."""

    rows: list[Row] = field(default_factory=list)
    stored: int = 0
    read_from: int = 0
    earlier: EarlierSync | None = None
    transferred: Transferred | None = None
    known: frozenset[int] = frozenset()

    @property
    def staged(self) -> int:
        return len(self.rows)

    @property
    def encoding(self) -> str:
        return "UTF8"

    async def fetch_committed_run(self) -> StoredRun | None:
        return None

    async def write_rows(self, rows: Rows) -> None:
        assert not rows.unshown
        self.rows += rows

    async def count_changes(self, known: int) -> int:
        before = set(self.rows[:known])
        return len({row.attic_tech_estimate_id for row in self.rows[known:] if row not in before})

    async def fetch_earlier_sync(self) -> EarlierSync | None:
        return self.earlier

    async def fetch_refused_login(self) -> RefusedLogin | None:
        return None

    async def write_refused_login(self, refusal: RefusedLogin) -> None:
        raise AssertionError(refusal)

    async def finish_staging(self, *, hidden: Sequence[str], broken: Sequence[int]) -> Staged:
        assert hidden is not None
        assert not broken
        return Staged(estimates=len({row.attic_tech_estimate_id for row in self.rows[self.stored :]}))

    async def write_failed_run(self, error: ResultError) -> None:
        raise AssertionError(error)

    async def fetch_absent(self) -> Absent:
        read = sorted(self.versions, reverse=True)
        absent = sorted(self.known - self.versions.keys(), reverse=True)
        return Absent(estimates=len(self.known), ids=tuple(absent), witnesses=(*read[:5], *read[5:][-4:]))

    async def merge(self, transferred: Transferred) -> StoredRun:
        self.transferred = transferred
        self.read_from = self.stored
        self.stored = len(self.rows)
        return StoredRun(
            results=Results(total_fetched=transferred.records),
            complete_as_of=transferred.complete_as_of,
            mode=Mode.CHANGES if transferred.base else Mode.WHOLE,
            whole_because=transferred.whole_because,
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Table"]:
        yield self

    @property
    def versions(self) -> dict[int, int]:
        return {row.attic_tech_estimate_id: int(row.crew_notes or 0) for row in self.rows}


class SilentLog:
    def write(self, action: str, message: str, *, level: Level = "info", **fields: str | float) -> None:
        assert action and message and level and fields is not None  # noqa: PT018 - nothing to distinguish


@dataclass
class WithoutClosingPass:
    """The same source, as a sync sees it that believes its pages."""

    source: Source

    async def login(self) -> datetime | None:
        return await self.source.login()

    async def fetch_page(self, query: PageQuery) -> FetchedPage:
        return await self.source.fetch_page(query)

    async def fetch_changes(self, query: ChangesQuery) -> FetchedPage:
        assert query
        return FetchedPage(
            page=CLOSING_PAGE, limit=1, total_pages=1, has_more=False, size_bytes=0, seconds=0.0, rows=Rows(),
            problems=(), first=None, last=None,
        )  # fmt: skip

    async def fetch_ids(self, query: IdsQuery) -> FoundIds:
        return await self.source.fetch_ids(query)


def open_source(world: World) -> AbstractAsyncContextManager[AtticTech]:
    chosen = parse_settings({
        "SYNC_ID": "s", "SYNC_UID": "u", "SYNC_START_DATE": f"{START + world.days_on:%Y-%m-%d}",
        "SYNC_END_DATE": f"{world.end:%Y-%m-%d}",
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
    story: Story,
    change: Callable[[Any], AbstractAsyncContextManager[Source]] = lambda opening: opening,
    *,
    max_deleted_percent: int | None = None,
    stored_before: Callable[[World], frozenset[int]] = lambda _: frozenset(),
) -> tuple[World, Table, StoredRun]:
    world, table = World(story), Table()
    table.known = stored_before(world)
    return world, table, run_sync(world, table, change, max_deleted_percent=max_deleted_percent)


def run_simulated(program: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a program in simulated time, so that no pause lasts and each story is the same again."""
    loop = SimulatedLoop()
    try:
        task = loop.create_task(program())
        loop.run_until(task.done, deadline=math.inf)
        task.result()
    finally:
        loop.close()


def run_sync(
    world: World,
    table: Table,
    change: Callable[[Any], AbstractAsyncContextManager[Source]] = lambda opening: opening,
    mode: Mode = Mode.WHOLE,
    *,
    max_deleted_percent: int | None = None,
) -> StoredRun:
    sync = Sync(
        open_source=change(open_source(world)),
        open_store=table.open(),
        log=SilentLog(),
        plan=plan_story(world.story),
        passes=PassPolicy(first_pause=0.0, longest_pause=0.0),
        max_skipped_percent=0,
        max_unshown_percent=0,
        credentials=Credentials(url="http://sample.example", email="", password="", retry=""),
        mode=mode,
        max_deleted_percent=max_deleted_percent,
    )
    run_simulated(sync.run)
    assert sync.stored
    return sync.stored


def list_missing(world: World, table: Table, state: int) -> list[str]:
    """List what was in the range in a state and is not stored in its version of then or a newer one."""
    stored = table.versions
    return [
        f"of {number} version {version} expected, {stored.get(number)} stored"
        for number, version in world.seen_states[state][1].items()
        if number not in world.deleted and stored.get(number, 0) < version
    ]


def find_state(world: World, as_of: datetime) -> int:
    """Find the last state before an instant; at the very instant, a pass may have begun already."""
    return max((number for number, (clock, _) in enumerate(world.seen_states) if clock < as_of), default=0)


def check(story: Story) -> tuple[World, Table, StoredRun]:
    """Let a story happen, and expect what is promised of it."""
    world, table, stored = run_story(story)

    assert (stored.complete_as_of is not None) is story.has_date
    if stored.complete_as_of:
        assert list_missing(world, table, find_state(world, stored.complete_as_of)) == []
    # With numbers as ids one pass is enough, and up to its first answer every instant is as good as its beginning.
    proven = 1 if story.has_texts else world.passes_began[0]
    assert [list_missing(world, table, state) for state in range(proven)] == [[]] * proven
    seen = set().union(*(versions for _, versions in world.seen_states))
    assert table.versions.keys() <= seen | world.passing
    return world, table, stored


@MANY
@given(story=STORIES)
@example(story=Story(clock=CLOCKS[0], ages=(), script=(), page_size=1, concurrency=1))
def test_nothing_is_missing_whatever_changes_while_it_is_read(story: Story) -> None:
    check(story)


@settings(MANY, max_examples=100)
@given(story=STORIES)
def test_a_source_that_rests_is_stored_as_it_is_and_fetched_once(story: Story) -> None:
    at_rest = Story(**(vars(story) | {"script": (), "max_records": 1000, "has_texts": False, "has_date": True}))

    world, table, stored = run_story(at_rest)

    (_, versions), *_ = world.seen_states
    pages = max(1, story.concurrency, -(-len(versions) // (story.page_size or 1)))
    assert table.versions == versions
    assert stored.results.total_fetched == len(versions)
    assert len(world.sample.requests) <= 1 + pages + -(-(pages + 1) // GAPS_PER_QUERY)


def test_without_its_closing_pass_a_sync_loses_estimates() -> None:
    def loses(story: Story) -> bool:
        world, table, _ = run_story(story, without_closing_pass)
        return bool(list_missing(world, table, 0))

    story = find(STORIES, loses, settings=settings(MANY, phases=[Phase.generate]))

    check(story)


GHOSTS: Final = frozenset({1001, 1002, 1003})
"""Stored once, and gone since: above all ids that there are."""


def list_stored(world: World) -> frozenset[int]:
    """List what an earlier sync of the range has stored: all that is there, and the ghosts."""
    (_, versions), *_ = world.seen_states
    return GHOSTS | versions.keys()


def mark(story: Story, *, max_percent: int = 100) -> tuple[World, Table, Deletions]:
    world, table, _ = run_story(story, max_deleted_percent=max_percent, stored_before=list_stored)
    assert table.transferred is not None
    assert table.transferred.deletions is not None
    return world, table, table.transferred.deletions


KINDS: Final = ("delete", "delete", "restore", "restore", "edit", "insert", "import", "backdate")
LATES: Final = st.sampled_from((timedelta(0), 2 * OVERLAP, timedelta(days=2)))
CLEARANCES: Final = st.builds(
    lambda story, script: Story(**(vars(story) | {"script": script})),
    STORIES,
    st.lists(
        st.tuples(
            STEPS,
            st.lists(st.builds(Event, kind=st.sampled_from(KINDS), target=st.integers(0, 60), late=LATES), max_size=4),
        ),
        max_size=40,
    ),
)


@MANY
@given(story=CLEARANCES)
def test_what_is_there_whenever_it_is_asked_for_is_never_marked_as_deleted(story: Story) -> None:
    """Whatever is deleted, restored, edited out of the range or hidden from the listing meanwhile."""
    world, table, deletions = mark(story)

    asked = [world.living[number] for number in world.asked_for_ids]
    assert [number for number in deletions.ids if all(number in living for living in asked)] == []
    assert world.asked_for_ids == [] or min(world.asked_for_ids) > world.last_pass_began
    if not deletions.unmarked_because:
        since = world.living[world.last_pass_began - 1 :]
        gone = {number for number in list_stored(world) if not any(number in living for living in since)}
        # What was read before it was deleted is the next sync's.
        assert gone - table.versions.keys() <= {*deletions.ids}


def test_what_had_left_the_range_before_the_sync_began_is_not_taken_for_deleted() -> None:
    """No pass asks for what has left the range so long ago, so that it is absent as what is gone."""
    leave = Event(kind="edit", target=2, late=2 * OVERLAP)
    story = tell({0: leave}, clock=CLOCKS[2], page_size=100)

    world, table, deletions = mark(story)

    assert {*deletions.ids} == GHOSTS
    assert len(list_stored(world) - table.versions.keys()) == len(GHOSTS) + 1


@pytest.mark.parametrize(
    ("max_percent", "ids", "because"),
    [
        pytest.param(100, 3, None, id="all"),
        pytest.param(34, 3, None, id="just as many"),
        pytest.param(33, 0, "at least 3 of 9 stored estimates are not shown any more", id="too many"),
    ],
)
def test_no_more_is_marked_than_the_bound_allows(max_percent: int, ids: int, because: str | None) -> None:
    story = tell({0: Event(kind="insert")}, page_size=100)

    _, _, deletions = mark(story, max_percent=max_percent)

    assert len(deletions.ids) == ids
    assert (deletions.unmarked_because or "")[: len(because or "")] == (because or "")


AGES: Final = (timedelta(days=5),)
MOMENT: Final = timedelta(milliseconds=1)


def tell(events: Mapping[int, Event], **fields: Any) -> Story:
    """Tell of what happens before which answers; that to the login is number 0, that to page 1 is number 1."""
    numbers = range(max(events, default=-1) + 1)
    script = [(MOMENT, [events[number]] if number in events else []) for number in numbers]
    return Story(
        **({"clock": CLOCKS[0], "ages": AGES * 6, "page_size": 2, "concurrency": 1, "script": script} | fields)
    )


@pytest.mark.parametrize("place", range(30, 46))
def test_what_leaves_between_two_queries_of_the_pass_is_stored(place: int) -> None:
    """A deletion hides it from the pages, and it is gone from the range before its own gap is asked for."""
    delete, leave = Event(kind="delete", target=39), Event(kind="edit", target=10)

    world, _, _ = check(tell({30: delete, place + 1: leave}, clock=CLOCKS[2], ages=AGES * 40, page_size=1))

    assert len(world.passes_began) > 1


@pytest.mark.parametrize("place", range(1, 6))
def test_what_is_imported_under_a_new_id_with_an_old_stamp_is_stored(place: int) -> None:
    check(tell({place: Event(kind="import")}))


@pytest.mark.parametrize("count", [0, 6])
@pytest.mark.parametrize("place", range(1, 14))
def test_what_is_imported_between_passes_over_texts_is_stored(place: int, count: int) -> None:
    edits = {number: Event(kind="edit", target=number) for number in range(1, 10)}
    story = tell(edits | {place: Event(kind="import")}, ages=AGES * count, has_texts=True, max_records=2)

    # A second for each answer, so that the one before is surely over at the instant that the sync names.
    check(Story(**(vars(story) | {"script": [(timedelta(seconds=1), events) for _, events in story.script]})))


@pytest.mark.parametrize("has_date", [True, False])
@pytest.mark.parametrize("place", range(1, 6))
def test_what_leaves_before_its_page_is_read_is_stored(place: int, has_date: bool) -> None:  # noqa: FBT001 - a column
    check(tell({place: Event(kind="edit")}, clock=CLOCKS[2], has_date=has_date))


@pytest.mark.parametrize(
    ("created", "is_stored"),
    [
        pytest.param(OVERLAP, True, id="as-far-as-clocks-differ"),
        pytest.param(OVERLAP + MOMENT, False, id="beyond-what-is-assumed"),
    ],
)
def test_what_leaves_is_stored_if_it_was_created_before_the_end(
    created: timedelta, is_stored: bool  # noqa: FBT001 - a table's column
) -> None:  # fmt: skip
    story = tell({1: Event(kind="edit")}, clock=CLOCKS[2], created=created)

    world, table, _ = run_story(story)

    assert (list_missing(world, table, 0) == []) is is_stored


@pytest.mark.parametrize("hides_limit", [True, False])
def test_a_short_answer_that_says_there_is_more_is_continued(hides_limit: bool) -> None:  # noqa: FBT001 - a column
    edits = {number: Event(kind="edit", target=13 - number) for number in range(2, 6)}

    check(tell(edits, ages=AGES * 12, page_size=100, max_records=2, hides_limit=hides_limit))


def test_the_version_that_was_asked_for_last_counts_though_its_stamp_is_older() -> None:
    ahead, behind = Event(kind="edit", target=5, late=-OVERLAP), Event(kind="edit", target=5, late=OVERLAP)

    _, table, _ = check(tell({1: ahead, 3: behind}))

    assert max(table.versions.values()) == 8


def test_what_leaves_while_the_first_page_is_asked_for_again_is_stored() -> None:
    check(tell({1: Event(kind="edit", target=3)}, clock=CLOCKS[2], refused=(1,)))


SKEW: Final = 2 * OVERLAP + timedelta(minutes=2)


@pytest.mark.parametrize("place", range(2, 9))
def test_a_clock_that_the_last_page_contradicts_proves_nothing(place: int) -> None:
    """All but the last page come from a server that is ahead, and the pass has begun by then."""
    ahead = {number: SKEW for number in range(40) if number != 4}
    story = tell({place: Event(kind="edit", target=6)}, ages=AGES * 8, concurrency=2, ahead=ahead)

    world, table, stored = run_story(story)

    assert list_missing(world, table, world.passes_began[-1] - 1) == []
    assert stored.complete_as_of is None


@pytest.mark.parametrize("start", range(4, 8))
def test_a_clock_that_pages_contradict_is_relied_on_in_no_pass_over_texts(start: int) -> None:
    for first, one, other in product((1, 2), range(3, 9), range(3, 14)):
        ahead = {number: SKEW for number in range(60) if number == first or number >= start}
        events = {one: Event(kind="edit", target=5)} | {other: Event(kind="edit", target=6)}
        story = tell(events, ages=AGES * 7, max_records=2, has_texts=True, ahead=ahead)

        world, table, _ = run_story(story)

        assert list_missing(world, table, world.last_pass_began - 1) == [], (first, one, other)


def test_one_pass_is_enough_for_a_source_that_never_rests() -> None:
    """It reads what has changed, once, and asks for no more than that takes."""
    restless = [
        (timedelta(seconds=61), [Event(kind="edit", target=target) for target in (n, n + 3, n + 6)]) for n in range(90)
    ]
    story = Story(clock=CLOCKS[0], ages=AGES * 9, script=restless, page_size=2, concurrency=2, max_records=2)

    world, _, stored = check(story)

    assert stored.complete_as_of == world.seen_states[world.passes_began[0] - 1][0].replace(microsecond=0)
    assert len(world.passes_began) <= 1 + -(-9 // 2) + 2


EVENTS_OF_FEW: Final = [
    *(Event(kind="edit", target=target) for target in (0, 2)),
    *(Event(kind="delete", target=target) for target in (1, 3)),
    *(Event(kind=kind) for kind in ("import", "insert", "enter")),
]


@pytest.mark.parametrize("clock", [CLOCKS[0], CLOCKS[2]])
@pytest.mark.parametrize("first", range(1, 6))
def test_nothing_is_missing_in_any_order_of_any_two_events(clock: datetime, first: int) -> None:
    for second, one, other in product(range(first, 6), EVENTS_OF_FEW, EVENTS_OF_FEW):
        script: list[tuple[timedelta, list[Event]]] = [(MOMENT, []) for _ in range(6)]
        script[first][1].append(one)
        script[second][1].append(other)
        ages = (*AGES * 4, timedelta(days=90))
        check(
            Story(
                clock=clock, ages=ages, script=script, page_size=2, concurrency=1, max_records=2, counts_early=True
            )
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Night:
    """What comes between a sync and one of changes, and what happens while that is at work.

    Attributes:
        pause: until the next one begins, after its events.
        days: by how many its range begins and ends later.
        events: between the two, one after the other, `pause` apart in all.
        script: of the sync of changes, as in Story.
    """

    pause: timedelta
    days: int
    events: Sequence[Event]
    script: Sequence[tuple[timedelta, Sequence[Event]]] = ()


EVENTS_BETWEEN: Final = st.one_of(EVENTS, st.builds(Event, kind=st.just("edit"), late=st.just(-timedelta(hours=20))))
NIGHTS: Final = st.lists(
    st.builds(
        Night,
        pause=st.sampled_from([timedelta(seconds=2), timedelta(minutes=4), timedelta(hours=1), timedelta(hours=24)]),
        days=st.sampled_from((0, 0, 1)),
        events=st.lists(EVENTS_BETWEEN, max_size=5),
        script=st.lists(st.tuples(STEPS, st.lists(EVENTS, max_size=3)), max_size=12),
    ),
    min_size=1,
    max_size=3,
)


WITNESSES: Final = 2


def choose_witnesses(world: World, table: Table, transferred: Transferred) -> tuple[int, ...]:
    """Choose some of what has been read, as the merge does, and keep them in a chain."""
    if transferred.base:
        return transferred.base.witnesses
    start, end = START + world.days_on, world.end
    read = {row.attic_tech_estimate_id: row.at_updated_date for row in table.rows[table.read_from :]}
    listed = sorted(number for number, stamp in read.items() if stamp and start <= stamp <= end)
    return tuple(listed[len(listed) // 2 :][:WITNESSES])


def build_earlier(world: World, table: Table, *, ended: datetime, end: datetime) -> EarlierSync | None:
    """Find the base as `find_base.sql` does, where the last sync is the only one."""
    assert table.transferred
    transferred, complete_as_of = table.transferred, table.transferred.complete_as_of
    if complete_as_of is None or end < min(world.end, complete_as_of - OVERLAP):
        return None
    return EarlierSync(
        uid="base", sync_name="base", whole_uid="base",
        complete_as_of=complete_as_of, highest_id=transferred.highest_id, ask_again=transferred.ask_again,
        witnesses=choose_witnesses(world, table, transferred), hidden=transferred.hidden,
        age=world.clock - ended, has_same_settings=True, whole_age=world.clock - ended,
        no_base_because=transferred.no_base_because, other_sync=None, crossing_sync=None,
        stored_estimates=len(table.rows),
    )  # fmt: skip


def spend_night(
    world: World, table: Table, night: Night, change: Callable[[EarlierSync], EarlierSync] = lambda earlier: earlier
) -> StoredRun:
    """Let a sync of changes follow the last one."""
    ended, end = world.clock, world.end
    for event in night.events:
        world.clock += night.pause / (len(night.events) + 1)
        world.happen(event)
    world.clock = ended + night.pause
    world.begin_another_sync(days=night.days + world.days_on.days, script=night.script)
    earlier = build_earlier(world, table, ended=ended, end=end)
    table.earlier = earlier and change(earlier)
    return run_sync(world, table, mode=Mode.CHANGES)


def list_missing_of_night(world: World, table: Table, stored: StoredRun) -> list[str]:
    """List what is missing of all states up to the first answer of the pass, and as of the instant that is told."""
    assert stored.complete_as_of
    states = {find_state(world, stored.complete_as_of), *range(world.passes_began[0])}
    return [missing for state in sorted(states) for missing in list_missing(world, table, state)]


def build_tellable(story: Story) -> Story:
    """Take what a sync of changes must read everything for out of a story."""
    return Story(**(vars(story) | {"has_texts": False, "has_date": True}))


@settings(MANY, max_examples=RANDOM_STORIES or 125)
@given(story=STORIES, nights=NIGHTS)
def test_nothing_is_missing_after_nights_of_changes(story: Story, nights: Sequence[Night]) -> None:
    world, table, _ = run_story(build_tellable(story))

    for night in nights:
        stored = spend_night(world, table, night)

        assert list_missing_of_night(world, table, stored) == []
        assert (stored.mode is Mode.CHANGES) is (stored.whole_because is None)


@settings(MANY, max_examples=60)
@given(story=STORIES, night=NIGHTS.map(lambda nights: nights[0]))
def test_without_a_clock_or_numbers_everything_is_read(story: Story, night: Night) -> None:
    for untold in ({"has_date": False}, {"has_texts": True, "has_date": True}):
        world, table, _ = run_story(Story(**(vars(story) | untold)))

        stored = spend_night(world, table, night)

        assert stored.mode is Mode.WHOLE or not table.rows
        proven = 1 if story.has_texts or "has_texts" in untold else world.passes_began[0]
        assert [missing for state in range(proven) for missing in list_missing(world, table, state)] == []


def replaced(**fields: Any) -> Callable[[EarlierSync], EarlierSync]:
    return lambda earlier: msgspec.structs.replace(earlier, **fields)


def shifted(by: timedelta) -> Callable[[EarlierSync], EarlierSync]:
    return lambda earlier: msgspec.structs.replace(earlier, complete_as_of=earlier.complete_as_of + by)


@pytest.mark.parametrize(
    ("event", "change"),
    [
        pytest.param(Event(kind="edit", late=OVERLAP), shifted(timedelta(seconds=3)), id="a-shorter-overlap"),
        pytest.param(Event(kind="import"), replaced(highest_id=10_000), id="no-ids-above-the-highest"),
    ],
)
def test_with_less_than_is_asked_for_a_sync_of_changes_loses_estimates(
    event: Event, change: Callable[[EarlierSync], EarlierSync]
) -> None:
    night = Night(pause=timedelta(seconds=2), days=0, events=[event])
    asked, less = tell_still(), tell_still()

    stored = [spend_night(*asked, night), spend_night(*less, night, change)]

    assert [each.mode for each in stored] == [Mode.CHANGES, Mode.CHANGES]
    assert list_missing_of_night(*asked, stored[0]) == []
    assert len(list_missing_of_night(*less, stored[1])) > 0


QUIET: Final = Night(pause=timedelta(hours=24), days=1, events=())


def tell_still(**fields: Any) -> tuple[World, Table]:
    world, table, _ = run_story(tell({}, ages=AGES * 30, page_size=10, **fields))
    return world, table


def test_a_quiet_night_is_a_login_and_one_request() -> None:
    world, table = tell_still()
    before = len(world.sample.requests)

    stored = spend_night(world, table, QUIET)

    assert stored.mode is Mode.CHANGES
    assert (stored.results.total_fetched, len(world.sample.requests) - before) == (WITNESSES, 2)
    assert list_missing_of_night(world, table, stored) == []


def test_a_sync_of_changes_is_the_base_of_the_next() -> None:
    world, table = tell_still()

    for number in range(3):
        edits = [Event(kind="edit", target=number), Event(kind="import"), Event(kind="insert")]
        stored = spend_night(world, table, Night(pause=timedelta(hours=24), days=1, events=edits))

        # What an import has brought says nothing about the ids to come, so that it is asked for again.
        assert (stored.mode, stored.results.total_fetched) == (Mode.CHANGES, WITNESSES + 3 + number)
        assert list_missing_of_night(world, table, stored) == []


def test_what_comes_late_under_a_lower_id_is_asked_for_by_its_id() -> None:
    """Ids are given in order, but an import of many commits after what was created meanwhile."""
    world, table = World(tell({}, ages=AGES * 6)), Table()
    world._insert(HIGHEST + 20, created_at=world.clock - timedelta(minutes=1), updated_at=world.clock)  # noqa: SLF001
    run_sync(world, table)
    assert max(table.versions) == HIGHEST + 20
    world._insert(HIGHEST + 10, created_at=START, updated_at=START + timedelta(days=9))  # noqa: SLF001

    stored = spend_night(world, table, Night(pause=timedelta(hours=1), days=0, events=()))

    assert stored.mode is Mode.CHANGES
    assert list_missing_of_night(world, table, stored) == []


@pytest.mark.parametrize("place", range(1, 9))
def test_what_leaves_while_changes_are_read_is_stored(place: int) -> None:
    """The range has ended: what was edited into it since the base may leave it again before its segment is read."""
    edits = [Event(kind="edit", target=target, late=timedelta(days=5)) for target in range(12)]
    leave = (MOMENT, [Event(kind="edit", target=11)])
    script = [(MOMENT, []) if number != place else leave for number in range(9)]
    world, table = tell_still(clock=CLOCKS[2], max_records=2)
    assert table.transferred
    assert table.transferred.complete_as_of
    earlier = table.transferred.complete_as_of - timedelta(days=6)
    table.transferred = msgspec.structs.replace(table.transferred, complete_as_of=earlier)
    table.earlier = None

    stored = spend_night(world, table, Night(pause=timedelta(seconds=2), days=0, events=edits, script=script))

    assert stored.mode is Mode.CHANGES
    assert list_missing_of_night(world, table, stored) == []


@pytest.mark.parametrize("max_records", [2, 7, 1000])
def test_much_that_has_changed_is_read_side_by_side(max_records: int) -> None:
    world, table, _ = run_story(tell({0: Event(kind="edit")}, ages=AGES * 60, page_size=10, concurrency=8))
    world.story = Story(**(vars(world.story) | {"max_records": max_records}))
    edits = [Event(kind="edit", target=target) for target in range(60)]

    stored = spend_night(world, table, Night(pause=timedelta(hours=24), days=1, events=edits))

    assert stored.mode is Mode.CHANGES
    assert list_missing_of_night(world, table, stored) == []
    assert len(world.passes_began) <= 2 * -(-60 // min(max_records, 10))


def test_a_clock_that_is_contradicted_has_everything_read_and_is_no_base() -> None:
    world, table = tell_still()
    # Its stamp is beyond the base's range, and in the next one's, but ahead of the clock.
    ahead = Event(kind="edit", target=3, late=-timedelta(hours=16))

    for pause in (timedelta(hours=20), timedelta(seconds=2)):
        stored = spend_night(world, table, Night(pause=pause, days=1, events=[ahead]))

        assert stored.mode is Mode.WHOLE
        assert list_missing_of_night(world, table, stored) == []
        assert table.transferred
        assert table.transferred.no_base_because


@pytest.mark.parametrize("place", range(2, 7))
def test_a_clock_that_changes_have_contradicted_is_relied_on_no_more(place: int) -> None:
    """One server shows ten minutes more than the others, the one that answered the first request among them."""
    world, table = tell_still(concurrency=1)
    first = len(world.sample.requests)
    ahead = {number: timedelta(minutes=10) for number in range(first, first + 40) if number != first + 1}
    world.story = Story(**(vars(world.story) | {"ahead": ahead}))
    edit = Event(kind="edit", target=len(world.seen_states[-1][1]) - 1)
    script = [(MOMENT, [edit] if number == place else []) for number in range(place + 1)]

    stored = spend_night(world, table, Night(pause=timedelta(hours=1), days=0, events=(), script=script))

    assert (stored.mode, stored.complete_as_of) == (Mode.WHOLE, None)
    assert list_missing(world, table, world.passes_began[-1] - 1) == []
    assert table.transferred
    assert table.transferred.no_base_because


def test_a_clock_that_has_been_set_back_has_everything_read() -> None:
    """It was an hour ahead, with nothing to compare it to, so that stamps of the hour after are older than its time."""
    world, table, _ = run_story(tell({0: Event(kind="edit")}, ahead=dict.fromkeys(range(20), timedelta(hours=1))))
    world.story = tell({})
    edit = Night(pause=timedelta(minutes=30), days=0, events=[Event(kind="edit", target=2)])

    stored = spend_night(world, table, edit)

    assert (stored.mode, stored.whole_because) == (Mode.WHOLE, "since sync base, Attic Tech's clock has been set back")
    assert list_missing_of_night(world, table, stored) == []
