"""The order of things in a sync, with both of its ends made by hand."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field

import pytest
from estimatesync_contract.log_lines import parse_progress
from estimatesync_contract.status import Results
from estimatesync_job.errors import LoginFailedError, RecordInvalidError, SourceUnavailableError, SyncError
from estimatesync_job.pages import FetchedPage, PageAnswer, map_page
from estimatesync_job.ports import Level
from estimatesync_job.rows import Row
from estimatesync_job.sync import Sync
from msgspec import Raw

COMMITTED = Results(total_fetched=9, new_estimates=4, updated_estimates=5, total_processed=9)


@dataclass
class ListLog:
    lines: list[str] = field(default_factory=list)

    def write(self, action: str, message: str, *, level: Level = "info", **fields: str | float) -> None:
        assert action
        assert level
        assert all(name.islower() for name in fields)
        self.lines.append(message)


@dataclass
class ScriptedSource:
    """Pages of `page_size` records; later pages answer first. `totals` is what each page says the total is."""

    totals: list[int]
    records: list[bytes] = field(default_factory=lambda: [b'{"id":1}', b'{"id":2}'])
    login_error: SyncError | None = None
    broken_page: int | None = None
    in_flight: int = 0
    most_in_flight: int = 0
    asked: list[int] = field(default_factory=list)

    async def login(self) -> None:
        await asyncio.sleep(0)
        if self.login_error:
            raise self.login_error

    async def fetch_page(self, page: int) -> FetchedPage:
        self.asked.append(page)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            for _ in range(20 - page):
                await asyncio.sleep(0)
        finally:
            self.in_flight -= 1
        if page == self.broken_page:
            raise SourceUnavailableError("gone")
        docs = tuple(Raw(record) for record in self.records)
        return map_page(PageAnswer(docs=docs, total_pages=self.totals[page - 1]), page=page, size_bytes=1024)


@dataclass
class ListStore:
    committed: Results | None = None
    staged: list[Sequence[Row]] = field(default_factory=list)
    merged: int | None = None
    is_closed: bool = False

    async def fetch_committed_results(self) -> Results | None:
        return self.committed

    async def write_rows(self, rows: Sequence[Row]) -> None:
        self.staged.append(rows)

    async def merge(self, *, total_fetched: int) -> Results:
        self.merged = total_fetched
        return Results(total_fetched=total_fetched, new_estimates=total_fetched, total_processed=total_fetched)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["ListStore"]:
        try:
            yield self
        finally:
            self.is_closed = True


def run_sync(source: ScriptedSource, store: ListStore, log: ListLog | None = None, *, concurrency: int = 3) -> Results:
    sync = Sync(
        open_source=nullcontext(source),
        open_store=store.open(),
        log=log or ListLog(),
        page_size=3,
        concurrency=concurrency,
    )
    asyncio.run(sync.run())
    assert sync.results is not None
    return sync.results


@pytest.mark.parametrize("concurrency", [1, 3])
def test_pages_are_fetched_side_by_side_within_the_bound(concurrency: int) -> None:
    source, store = ScriptedSource(totals=[6] * 6), ListStore()

    run_sync(source, store, concurrency=concurrency)

    assert source.most_in_flight == concurrency
    assert (len(store.staged), store.merged) == (6, 12)


def test_pages_are_told_in_order_though_they_arrive_out_of_order() -> None:
    log = ListLog()

    run_sync(ScriptedSource(totals=[3] * 3), ListStore(), log)

    assert log.lines == [
        "🔍 [SYNC] Starting estimate fetch process",
        "🔍 [SYNC] Page 1/3: 2 estimates",
        "✅ [SYNC] Page 1 complete. Total so far: 2",
        "🔍 [SYNC] Page 2/3: 2 estimates",
        "✅ [SYNC] Page 2 complete. Total so far: 4",
        "🔍 [SYNC] Page 3/3: 2 estimates",
        "🏁 [SYNC] Last page reached (2 < 3)",
        "✅ [SYNC] Page 3 complete. Total so far: 6",
        "🎉 [SYNC] Fetch complete! Total: 6 estimates",
        "💾 Saving estimates to the database...",
        "✅ Background synchronization finished. New: 6, Updated: 0.",
    ]
    progress = parse_progress(log.lines)
    assert progress is not None
    assert (progress.text, progress.fetched) == ("3/3", 6)


def test_a_listing_that_grows_is_followed() -> None:
    source = ScriptedSource(totals=[2, 3, 4, 4])

    run_sync(source, ListStore())

    assert source.asked == [1, 2, 3, 4]


def test_what_is_committed_already_is_reported_without_asking_for_a_page() -> None:
    source, store = (
        ScriptedSource(totals=[1], login_error=LoginFailedError("no matter")),
        ListStore(committed=COMMITTED),
    )

    results = run_sync(source, store)

    assert results == COMMITTED
    assert (source.asked, store.merged) == ([], None)


def test_a_failed_login_stores_nothing() -> None:
    source, store = ScriptedSource(totals=[1], login_error=LoginFailedError("no")), ListStore()

    with pytest.raises(LoginFailedError):
        run_sync(source, store)

    assert (source.asked, store.merged, store.is_closed) == ([], None, True)


def test_a_page_that_fails_stops_the_others_and_stores_nothing() -> None:
    source, store = ScriptedSource(totals=[9] * 9, broken_page=2), ListStore()

    with pytest.raises(SourceUnavailableError):
        run_sync(source, store)

    assert (source.in_flight, store.merged, store.is_closed) == (0, None, True)


def test_a_broken_record_stores_nothing_and_is_named() -> None:
    source, store = ScriptedSource(totals=[1], records=[b'{"id":1}', b'{"id":"x"}']), ListStore()

    with pytest.raises(RecordInvalidError, match=r"Record 2 on page 1 \(id x\) cannot be stored: id is not an integer"):
        run_sync(source, store)

    assert store.merged is None
