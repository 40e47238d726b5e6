"""The sync itself: source and store opened at once, one transfer from one to the other, one merge at the end.

`main` passes it both; the sync decides the order of the steps and nothing else.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import Final, TypeVar

import msgspec
from estimatesync_contract import log_lines
from estimatesync_contract.status import Results

from estimatesync_job.core.page_plan import PagePlan
from estimatesync_job.core.ports import EstimateStore, Log, OpenSource, OpenStore, Source, StoredRun, Transferred
from estimatesync_job.ordered_requests import cancel
from estimatesync_job.transfer import ReadPage, Transfer, read_pages

Value = TypeVar("Value")


class Sync:
    """One run, from the login to the commit.

    Attributes:
        stored: what this sync has stored; None until that is certain, and never unset.
    """

    def __init__(
        self,
        *,
        open_source: OpenSource,
        open_store: OpenStore,
        log: Log,
        start: datetime,
        plan: PagePlan,
        max_skipped_percent: int,
        max_unshown_percent: int,
    ) -> None:
        self.stored: StoredRun | None = None
        self._open_source: Final = open_source
        self._open_store: Final = open_store
        self._log: Final = log
        self._start: Final = start
        self._plan: Final = plan
        self._max_skipped_percent: Final = max_skipped_percent
        self._max_unshown_percent: Final = max_unshown_percent

    async def run(self) -> None:
        """Sync, or find what this sync has stored already; either way `stored` is set as soon as it is known.

        Raises:
            SyncError: Nothing was stored, unless `stored` is set.
        """
        self._log.write("starting", log_lines.STARTING)
        async with (
            self._open_source as source,
            aclosing(read_pages(source, self._plan)) as pages,
            # While the database is still being reached, the first pages are requested.
            _in_background(_read_first(pages)) as first,
            self._open_store as store,
        ):
            self.stored = await store.fetch_committed_run()
            if self.stored is None:
                transferred = await self._build_transfer(source, store).run(first, pages)
                self.stored = await self._merge(store, transferred)
            else:
                self._log.write("already_stored", "🔁 [SYNC] An earlier process of this sync has stored its estimates")
            self._log_finished(self.stored.results)

    def _build_transfer(self, source: Source, store: EstimateStore) -> Transfer:
        return Transfer(
            source,
            store,
            log=self._log,
            start=self._start,
            concurrency=self._plan.ahead,
            max_skipped_percent=self._max_skipped_percent,
            max_unshown_percent=self._max_unshown_percent,
        )

    async def _merge(self, store: EstimateStore, transferred: Transferred) -> StoredRun:
        records = transferred.records
        self._log.write("fetch_complete", log_lines.format_fetch_complete(records), fetched=records)
        self._log.write("saving", log_lines.SAVING)
        return msgspec.structs.replace(await store.merge(transferred), pages=transferred.pages)

    def _log_finished(self, results: Results) -> None:
        message = log_lines.format_finished(results.new_estimates, results.updated_estimates)
        self._log.write(
            "finished",
            message,
            new=results.new_estimates,
            updated=results.updated_estimates,
            unchanged=results.unchanged_estimates,
        )


async def _read_first(pages: AsyncGenerator[ReadPage, None]) -> ReadPage:
    return await anext(pages)


@asynccontextmanager
async def _in_background(work: Coroutine[object, object, Value]) -> AsyncIterator[asyncio.Task[Value]]:
    """Run something during the block, which may await it; the end of the block cancels it."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        await cancel([task])
