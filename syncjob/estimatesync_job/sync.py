"""The sync itself: both ends opened at once, pages in order from one to the other, one merge at the end.

`main` gives it its ends; it decides the order of things and nothing else.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Final

from estimatesync_contract import log_lines
from estimatesync_contract.status import Results

from estimatesync_job.errors import RecordInvalidError
from estimatesync_job.pages import FetchedPage, FetchState, next_state, plan_next_pages, represent_problem
from estimatesync_job.ports import EstimateStore, Log, OpenSource, OpenStore, Source


class Sync:
    """One run, from the login to the commit.

    Attributes:
        results: what this sync has stored; None until that is certain, and never taken back.
    """

    def __init__(
        self, *, open_source: OpenSource, open_store: OpenStore, log: Log, page_size: int, concurrency: int
    ) -> None:
        self.results: Results | None = None
        self._open_source: Final = open_source
        self._open_store: Final = open_store
        self._log: Final = log
        self._page_size: Final = page_size
        self._concurrency: Final = concurrency

    async def run(self) -> None:
        """Sync, or find what this sync has stored before; either way `results` is set the moment it is known.

        Raises:
            SyncError: Nothing was stored, unless `results` is set.
        """
        self._log.write("starting", log_lines.STARTING)
        async with (
            self._open_source as source,
            _in_background(source.login()) as login,
            self._open_store as store,
        ):
            self.results = await store.fetch_committed_results()
            if self.results is None:
                await login
                self.results = await self._transfer(source, store)
            else:
                self._log.write("already_stored", "🔁 [SYNC] An earlier process of this sync has stored its estimates")
            self._log_finished(self.results)

    async def _transfer(self, source: Source, store: EstimateStore) -> Results:
        state = FetchState()
        while plan := plan_next_pages(state):
            async with aclosing(self._fetch_in_order(source, plan)) as pages:
                async for page in pages:
                    state = await self._store_page(page, state, store)
        self._log.write("fetch_complete", log_lines.represent_fetch_complete(state.records), fetched=state.records)
        self._log.write("saving", log_lines.SAVING)
        return await store.merge(total_fetched=state.records)

    async def _fetch_in_order(self, source: Source, plan: Iterable[int]) -> AsyncGenerator[FetchedPage, None]:
        """Keep several pages in flight and hand them on in order, so that memory never holds more than those."""
        in_flight: deque[asyncio.Task[FetchedPage]] = deque()
        try:
            for page in plan:
                in_flight.append(asyncio.create_task(source.fetch_page(page)))
                if len(in_flight) == self._concurrency:
                    yield await in_flight.popleft()
            while in_flight:
                yield await in_flight.popleft()
        finally:
            await _cancel(in_flight)

    async def _store_page(self, page: FetchedPage, state: FetchState, store: EstimateStore) -> FetchState:
        self._log_page(page)
        if page.problems:
            raise RecordInvalidError(represent_problem(page.problems[0]))
        await store.write_rows(page.rows)
        state = next_state(state, page)
        message = log_lines.represent_page_complete(page.page, state.records)
        self._log.write("page_complete", message, page=page.page, fetched=state.records)
        return state

    def _log_page(self, page: FetchedPage) -> None:
        message = log_lines.represent_page(page.page, page.total_pages, page.records)
        self._log.write("page", message, page=page.page, total_pages=page.total_pages, records=page.records)
        if page.page == page.total_pages and page.records < self._page_size:
            self._log.write("last_page", log_lines.represent_last_page(page.records, self._page_size), page=page.page)

    def _log_finished(self, results: Results) -> None:
        message = log_lines.represent_finished(results.new_estimates, results.updated_estimates)
        self._log.write(
            "finished",
            message,
            new=results.new_estimates,
            updated=results.updated_estimates,
            unchanged=results.unchanged_estimates,
        )


@asynccontextmanager
async def _in_background(work: Coroutine[object, object, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run something beside the block, which may await it; the end of the block ends it."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        await _cancel([task])


async def _cancel(tasks: Iterable[asyncio.Task[object]]) -> None:
    """Stop tasks and wait until they have; their errors have been raised where they were awaited, or are moot."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
