"""From the source into the staging table: the pages of the range, then closing passes until nothing can be missing.

`sync` runs it between the login and the merge; `coverage` holds every decision about what to ask for.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Final, TypeVar

from estimatesync_contract import log_lines
from estimatesync_contract.instants import represent_instant

from estimatesync_job.coverage import (
    MAX_PASSES,
    FetchState,
    PassResult,
    find_gap,
    find_tail,
    is_proof,
    next_result,
    next_state,
    plan_continuation,
    plan_next_pages,
    plan_pass,
)
from estimatesync_job.errors import SourceChangingError
from estimatesync_job.listings import ChangesQuery, Gap
from estimatesync_job.pages import FetchedPage, SourceTime
from estimatesync_job.ports import EstimateStore, Log, Source, Transferred
from estimatesync_job.skipping import Skipping

Asked = TypeVar("Asked")


class Transfer:
    """One reading of the range."""

    def __init__(
        self,
        source: Source,
        store: EstimateStore,
        *,
        log: Log,
        start: datetime,
        page_size: int,
        concurrency: int,
        skipping: Skipping,
    ) -> None:
        self._source: Final = source
        self._store: Final = store
        self._log: Final = log
        self._start: Final = start
        self._page_size: Final = page_size
        self._concurrency: Final = concurrency
        self._skipping: Final = skipping
        self._gaps: Final[list[Gap]] = []

    async def run(self, first_page: Awaitable[FetchedPage]) -> Transferred:
        """Stage every estimate of the range; the first page has been asked for already.

        Raises:
            SyncError: Not everything could be read.
        """
        state = await self._read_pages(first_page)
        if tail := find_tail(state.edge):
            self._gaps.append(tail)
        return await self._close(state)

    async def _read_pages(self, first_page: Awaitable[FetchedPage]) -> FetchState:
        state = await self._store_page(await first_page, FetchState())
        while plan := plan_next_pages(state):
            async with aclosing(self._fetch_in_order(self._source.fetch_page, plan)) as pages:
                async for page in pages:
                    state = await self._store_page(page, state)
                    if state.is_at_end:
                        break
        return state

    async def _fetch_in_order(
        self, fetch: Callable[[Asked], Coroutine[object, object, FetchedPage]], plan: Iterable[Asked]
    ) -> AsyncGenerator[FetchedPage, None]:
        """Keep several requests in flight, also while an answer is stored, and hand answers on in order.

        Memory holds no more than those, and the answer handed on.
        """
        in_flight: deque[asyncio.Task[FetchedPage]] = deque()
        try:
            for asked in plan:
                answer = await in_flight.popleft() if len(in_flight) == self._concurrency else None
                in_flight.append(asyncio.create_task(fetch(asked)))
                if answer:
                    yield answer
            while in_flight:
                yield await in_flight.popleft()
        finally:
            await cancel(in_flight)

    async def _store_page(self, page: FetchedPage, state: FetchState) -> FetchState:
        following = next_state(state, page)
        self._log_page(page, max(following.total_pages, page.page))
        self._skipping.note(page)
        self._skipping.check(max(following.total_pages * self._page_size, following.records))
        await self._store.write_rows(page.rows)
        if gap := find_gap(state.edge, page):
            self._gaps.append(gap)
        message = log_lines.represent_page_complete(page.page, following.records)
        self._log.write("page_complete", message, page=page.page, fetched=following.records)
        return following

    def _log_page(self, page: FetchedPage, total_pages: int) -> None:
        message = log_lines.represent_page(page.page, total_pages, page.records)
        self._log.write("page", message, page=page.page, total_pages=total_pages, records=page.records)
        if page.page == total_pages and page.records < self._page_size:
            self._log.write("last_page", log_lines.represent_last_page(page.records, self._page_size), page=page.page)

    async def _close(self, state: FetchState) -> Transferred:
        """Ask for what is unproven, then for what has changed meanwhile, until one pass proves that this is all."""
        records, since = state.records, state.read_since or SourceTime()
        for _ in range(MAX_PASSES):
            skipped = self._skipping.count
            result = await self._run_pass(since)
            records += result.news + max(0, self._skipping.count - skipped)
            since = result.began_at or SourceTime()
            if is_proof(result):
                return self._end(records, since)
            self._gaps.clear()
        raise SourceChangingError(
            f"Attic Tech changes faster than it can be read: each of {MAX_PASSES} closing passes found changed "
            "estimates. Nothing was stored; sync again in a quieter hour, or fewer days at once."
        )

    async def _run_pass(self, since: SourceTime) -> PassResult:
        queries = plan_pass(self._gaps, since=since, page_size=self._page_size, start=self._start)
        result = PassResult(queries=len(queries))
        async with aclosing(self._fetch_in_order(self._source.fetch_changes, queries)) as firsts:
            remaining = iter(queries)
            async for first in firsts:
                result = await self._follow(next(remaining), first, result)
        if result.news:
            self._log.write("changes", log_lines.represent_changes(result.news), records=result.news)
        return result

    async def _follow(self, query: ChangesQuery, answer: FetchedPage, result: PassResult) -> PassResult:
        """Store an answer and those that continue it."""
        while True:
            self._skipping.note(answer)
            result = next_result(result, answer, news=await self._store.write_changes(answer.rows))
            following = plan_continuation(query, answer)
            if following is None:
                return result
            query, answer = following, await self._source.fetch_changes(following)

    def _end(self, records: int, ended_at: SourceTime) -> Transferred:
        self._skipping.check(records)
        self._skipping.log_total(records)
        if ended_at.clock:
            instant = represent_instant(ended_at.clock)
            message = log_lines.represent_complete_as_of(instant)
            self._log.write("complete_as_of", message, complete_as_of=instant)
        return Transferred(
            records=records,
            skipped=self._skipping.count,
            skipped_ids=self._skipping.ids,
            complete_as_of=ended_at.clock,
        )


async def cancel(tasks: Iterable[asyncio.Task[object]]) -> None:
    """Stop tasks and wait until they have; their errors have been raised where they were awaited, or are moot."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
