"""From the source into the staging table: the pages of the range, then closing passes until nothing can be missing.

`sync` starts to read pages as soon as the database allows the login, and runs the transfer up to the merge.
`core.coverage` decides what to ask for and what that proves.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Final

from estimatesync_contract import log_lines
from estimatesync_contract.timestamps import format_timestamp

from estimatesync_job.core.coverage import (
    MAX_PASSES,
    FetchState,
    PassResult,
    find_gap,
    find_tail,
    is_proof,
    next_result,
    next_state,
    plan_continuation,
    plan_pass,
)
from estimatesync_job.core.errors import SourceChangingError
from estimatesync_job.core.invalid_records import MAX_NAMED, InvalidRecords, format_name, format_problem_place
from estimatesync_job.core.page_plan import PagePlan
from estimatesync_job.core.pages import FetchedPage, SourceTime
from estimatesync_job.core.ports import EstimateStore, Log, Source, Staged, Transferred
from estimatesync_job.core.queries import ChangesQuery, Gap
from estimatesync_job.core.unshown import Path, check_unshown, find_hidden, format_fields
from estimatesync_job.core.unstorable import leave_out_unstorable
from estimatesync_job.ordered_requests import OrderedRequests, open_requests

ReadPage = tuple[FetchedPage, FetchState]
"""A page, and how far everything has been read with it."""


async def read_pages(source: Source, plan: PagePlan) -> AsyncGenerator[ReadPage, None]:
    """Log in, then read the pages of the range side by side, and yield them in order.

    Raises:
        SyncError: A page cannot be read.
    """
    await source.login()
    state = FetchState(plan=plan)
    # Twice as many as may be in flight: while one response is stored, those that came meanwhile wait here.
    async with open_requests(source.fetch_page, max_pending=2 * plan.ahead) as requests:
        requests.send(plan.build_query, last=1)
        if not await requests.is_answered_within(plan.first_page_wait_seconds):
            requests.send(plan.build_query, last=plan.total_pages)
        while not state.is_over:
            page = await requests.take()
            state = next_state(state, page)
            if not state.is_over:
                requests.send(state.plan.build_query, last=state.plan.total_pages)
            yield page, state


class ClosingPass:
    """One closing pass, its requests under way as far as they may be."""

    def __init__(
        self, source: Source, queries: Sequence[ChangesQuery], requests: OrderedRequests[ChangesQuery]
    ) -> None:
        self._source: Final = source
        self._queries: Final = queries
        self._requests: Final = requests
        self._send()

    async def store(self, store: EstimateStore, *, note: Callable[[FetchedPage], None]) -> PassResult:
        """Store the responses, and those that continue them; `note` is called with each before it is stored.

        Raises:
            SyncError: Not everything could be read.
        """
        result = PassResult(queries=len(self._queries))
        for query in self._queries:
            response = await self._requests.take()
            self._send()
            result = await self._store_all(query, response, result, store=store, note=note)
        return result

    def _send(self) -> None:
        self._requests.send(lambda number: self._queries[number - 1], last=len(self._queries))

    async def _store_all(
        self,
        query: ChangesQuery,
        response: FetchedPage,
        result: PassResult,
        *,
        store: EstimateStore,
        note: Callable[[FetchedPage], None],
    ) -> PassResult:
        while True:
            response = leave_out_unstorable(response, encoding=store.encoding)
            note(response)
            changed = await store.write_changes(response.rows, response.unshown)
            result = next_result(result, response, new_or_changed=changed)
            following = plan_continuation(query, response)
            if following is None:
                return result
            query, response = following, await self._source.fetch_changes(following)


@asynccontextmanager
async def open_closing_pass(
    source: Source, queries: Sequence[ChangesQuery], *, max_pending: int
) -> AsyncIterator[ClosingPass]:
    """Begin a pass; leaving the block abandons every pending request."""
    async with open_requests(source.fetch_changes, max_pending=max_pending) as requests:
        yield ClosingPass(source, queries, requests)


class Transfer:
    """One reading of the range."""

    def __init__(
        self,
        source: Source,
        store: EstimateStore,
        *,
        log: Log,
        start: datetime,
        concurrency: int,
        max_skipped_percent: int,
        max_unshown_percent: int,
    ) -> None:
        self._source: Final = source
        self._store: Final = store
        self._log: Final = log
        self._start: Final = start
        self._concurrency: Final = concurrency
        self._invalid: Final = InvalidRecords(max_percent=max_skipped_percent)
        self._max_unshown_percent: Final = max_unshown_percent
        self._evidence: Final[set[Path]] = set()
        self._said: Final[set[str]] = set()
        self._gaps: Final[list[Gap]] = []
        self._passes: Final = AsyncExitStack()

    async def run(self, first: Awaitable[ReadPage], pages: AsyncGenerator[ReadPage, None]) -> Transferred:
        """Stage every estimate of the range; the first page has been requested already.

        Raises:
            SyncError: Not everything could be read.
        """
        closing_pass: ClosingPass | None = None
        edge: FetchedPage | None = None
        async with self._passes:
            page, state = await first
            while True:
                if gap := find_gap(edge, page):
                    self._gaps.append(gap)
                edge = state.edge
                if closing_pass is None and state.is_nearly_read:
                    closing_pass = await self._begin_first_pass(state)
                await self._store_page(page, state)
                if state.is_over:
                    return await self._close(state, closing_pass)
                page, state = await anext(pages)

    async def _begin_first_pass(self, state: FetchState) -> ClosingPass:
        """Begin to ask for what is unproven; below the newest page lies the last one, if that is still on its way."""
        tail = find_tail(state.edge)
        return await self._begin_pass(
            (*self._gaps, tail) if tail else self._gaps,
            since=state.read_since or SourceTime(),
            limit=state.plan.page_size + (0 if state.is_over else state.plan.series[-1].limit),
        )

    async def _begin_pass(self, gaps: Sequence[Gap], *, since: SourceTime, limit: int) -> ClosingPass:
        queries = plan_pass(gaps, since=since, limit=limit, start=self._start)
        closing_pass = open_closing_pass(self._source, queries, max_pending=self._concurrency)
        return await self._passes.enter_async_context(closing_pass)

    async def _store_page(self, page: FetchedPage, state: FetchState) -> None:
        page = leave_out_unstorable(page, encoding=self._store.encoding)
        self._log_page(page, max(state.plan.total_pages, page.page))
        self._note(page)
        self._invalid.check(max(state.plan.total_records, state.records))
        await self._store.write_rows(page.rows, page.unshown)
        message = log_lines.format_page_complete(page.page, state.records)
        self._log.write("page_complete", message, page=page.page, fetched=state.records)

    def _log_page(self, page: FetchedPage, total_pages: int) -> None:
        message = log_lines.format_page(page.page, total_pages, page.records)
        self._log.write("page", message, page=page.page, total_pages=total_pages, records=page.records)
        if page.page == total_pages and page.records < page.limit:
            self._log.write("last_page", log_lines.format_last_page(page.records, page.limit), page=page.page)

    def _note(self, page: FetchedPage) -> None:
        self._evidence.update(page.evidence)
        self._note_unshown(page)
        for placed in self._invalid.add(page):
            problem = placed.problem
            fault, place = f"{problem.field} {problem.problem}", format_problem_place(placed)
            message = log_lines.format_skipped(format_name(placed), fault, place)
            self._log.write("skipped", message, level="warning", record_id=problem.record_id, page=placed.page)

    async def _close(self, state: FetchState, closing_pass: ClosingPass | None) -> Transferred:
        """Store what a pass brings, then what has changed meanwhile, until a pass proves that this is all."""
        since = SourceTime()
        for _ in range(MAX_PASSES):
            closing_pass = closing_pass or await self._begin_pass((), since=since, limit=state.plan.page_size)
            result = await closing_pass.store(self._store, note=self._note)
            if changes := result.new_or_changed:
                self._log.write("changes", log_lines.format_changes(changes), records=changes)
            since, closing_pass = result.began_at or SourceTime(), None
            if is_proof(result):
                return await self._end(state.pages, since)
        raise SourceChangingError(
            f"Attic Tech changes faster than it can be read: each of {MAX_PASSES} closing passes found changed "
            "estimates. Nothing was stored; sync again in a quieter hour, or fewer days at once."
        )

    async def _end(self, pages: int, ended_at: SourceTime) -> Transferred:
        hidden = find_hidden(self._evidence)
        staged = await self._store.finish_staging(hidden=hidden, broken=self._invalid.numbers)
        records = staged.estimates + self._invalid.count
        self._invalid.check(records)
        self._log_skipped_total(records)
        self._judge_unshown(staged, hidden)
        if ended_at.clock:
            instant = format_timestamp(ended_at.clock)
            message = log_lines.format_complete_as_of(instant)
            self._log.write("complete_as_of", message, complete_as_of=instant)
        return Transferred(
            pages=pages,
            records=records,
            skipped=self._invalid.count,
            skipped_ids=self._invalid.ids,
            complete_as_of=ended_at.clock,
            hidden=hidden,
            unshown=staged.unshown,
        )

    def _note_unshown(self, page: FetchedPage) -> None:
        for identity, columns in page.unshown.items():
            if unsaid := [column for column in columns if column not in self._said]:
                self._said.update(unsaid)
                message = log_lines.format_only_id(format_fields(unsaid), str(identity))
                self._log.write("only_id", message, level="warning", record_id=str(identity), page=page.page)

    def _judge_unshown(self, staged: Staged, hidden: Sequence[str]) -> None:
        unshown, estimates = staged.unshown, staged.estimates
        if any(column in unshown.columns for column in hidden):
            message = log_lines.format_unshown(unshown.estimates, estimates, ", ".join(unshown.fields))
            self._log.write("unshown", message, level="warning", unshown=unshown.estimates, records=estimates)
        check_unshown(unshown, estimates=estimates, max_percent=self._max_unshown_percent)

    def _log_skipped_total(self, records: int) -> None:
        if skipped := self._invalid.count:
            names = ", ".join(self._invalid.ids) + (", …" if skipped > MAX_NAMED else "")
            message = log_lines.format_skipped_total(skipped, records, names)
            self._log.write("skipped_total", message, level="warning", skipped=skipped, records=records)
