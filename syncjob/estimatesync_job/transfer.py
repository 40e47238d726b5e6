"""From the source into the staging table: the pages of the range, then closing passes until nothing can be missing.

`sync` runs it between the login and the merge; `coverage` holds every decision about what to ask for.
"""

from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Final

from estimatesync_contract import log_lines
from estimatesync_contract.timestamps import format_timestamp

from estimatesync_job.closing_pass import ClosingPass, closing
from estimatesync_job.coverage import MAX_PASSES, FetchState, find_gap, find_tail, is_proof, plan_pass
from estimatesync_job.errors import SourceChangingError
from estimatesync_job.listings import Gap
from estimatesync_job.page_reader import ReadPage
from estimatesync_job.pages import FetchedPage, SourceTime
from estimatesync_job.ports import EstimateStore, Log, Source, Transferred
from estimatesync_job.skipping import Skipping


class Transfer:
    """One reading of the range."""

    def __init__(
        self, source: Source, store: EstimateStore, *, log: Log, start: datetime, concurrency: int, skipping: Skipping
    ) -> None:
        self._source: Final = source
        self._store: Final = store
        self._log: Final = log
        self._start: Final = start
        self._concurrency: Final = concurrency
        self._skipping: Final = skipping
        self._gaps: Final[list[Gap]] = []
        self._passes: Final = AsyncExitStack()

    async def run(self, first: Awaitable[ReadPage], pages: AsyncGenerator[ReadPage, None]) -> Transferred:
        """Stage every estimate of the range; the first page has been asked for already.

        Raises:
            SyncError: Not everything could be read.
        """
        begun: ClosingPass | None = None
        edge: FetchedPage | None = None
        async with self._passes:
            page, state = await first
            while True:
                if gap := find_gap(edge, page):
                    self._gaps.append(gap)
                edge = state.edge
                if begun is None and state.is_nearly_read:
                    begun = await self._begin_first_pass(state)
                await self._store_page(page, state)
                if state.is_over:
                    return await self._close(state, begun)
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
        return await self._passes.enter_async_context(closing(self._source, queries, most=self._concurrency))

    async def _store_page(self, page: FetchedPage, state: FetchState) -> None:
        self._log_page(page, max(state.plan.total_pages, page.page))
        self._skipping.note(page)
        self._skipping.check(max(state.plan.total_records, state.records))
        await self._store.write_rows(page.rows)
        message = log_lines.format_page_complete(page.page, state.records)
        self._log.write("page_complete", message, page=page.page, fetched=state.records)

    def _log_page(self, page: FetchedPage, total_pages: int) -> None:
        message = log_lines.format_page(page.page, total_pages, page.records)
        self._log.write("page", message, page=page.page, total_pages=total_pages, records=page.records)
        if page.page == total_pages and page.records < page.limit:
            self._log.write("last_page", log_lines.format_last_page(page.records, page.limit), page=page.page)

    async def _close(self, state: FetchState, begun: ClosingPass | None) -> Transferred:
        """Store what a pass brings, then what has changed meanwhile, until one proves that this is all."""
        records, since = state.records, SourceTime()
        for _ in range(MAX_PASSES):
            skipped = self._skipping.count
            begun = begun or await self._begin_pass((), since=since, limit=state.plan.page_size)
            result = await begun.store(self._store, self._skipping)
            if result.news:
                self._log.write("changes", log_lines.format_changes(result.news), records=result.news)
            records += result.news + max(0, self._skipping.count - skipped)
            since, begun = result.began_at or SourceTime(), None
            if is_proof(result):
                return self._end(state.pages, records, since)
        raise SourceChangingError(
            f"Attic Tech changes faster than it can be read: each of {MAX_PASSES} closing passes found changed "
            "estimates. Nothing was stored; sync again in a quieter hour, or fewer days at once."
        )

    def _end(self, pages: int, records: int, ended_at: SourceTime) -> Transferred:
        self._skipping.check(records)
        self._skipping.log_total(records)
        if ended_at.clock:
            instant = format_timestamp(ended_at.clock)
            message = log_lines.format_complete_as_of(instant)
            self._log.write("complete_as_of", message, complete_as_of=instant)
        return Transferred(
            pages=pages,
            records=records,
            skipped=self._skipping.count,
            skipped_ids=self._skipping.ids,
            complete_as_of=ended_at.clock,
        )
