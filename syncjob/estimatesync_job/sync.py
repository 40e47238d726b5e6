"""The sync itself: both ends opened at once, one transfer from one to the other, one merge at the end.

`main` gives it its ends; it decides the order of things and nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, TypeVar

from estimatesync_contract import log_lines
from estimatesync_contract.status import Results

from estimatesync_job.pages import FetchedPage
from estimatesync_job.ports import EstimateStore, Log, OpenSource, OpenStore, Source, StoredRun
from estimatesync_job.skipping import Skipping
from estimatesync_job.transfer import Transfer, cancel

Value = TypeVar("Value")


class Sync:
    """One run, from the login to the commit.

    Attributes:
        stored: what this sync has stored; None until that is certain, and never taken back.
    """

    def __init__(
        self,
        *,
        open_source: OpenSource,
        open_store: OpenStore,
        log: Log,
        start: datetime,
        page_size: int,
        concurrency: int,
        most_skipped_percent: int,
    ) -> None:
        self.stored: StoredRun | None = None
        self._open_source: Final = open_source
        self._open_store: Final = open_store
        self._log: Final = log
        self._start: Final = start
        self._page_size: Final = page_size
        self._concurrency: Final = concurrency
        self._most_skipped_percent: Final = most_skipped_percent

    async def run(self) -> None:
        """Sync, or find what this sync has stored before; either way `stored` is set the moment it is known.

        Raises:
            SyncError: Nothing was stored, unless `stored` is set.
        """
        self._log.write("starting", log_lines.STARTING)
        async with (
            self._open_source as source,
            _in_background(_fetch_first_page(source)) as first_page,
            self._open_store as store,
        ):
            self.stored = await store.fetch_committed_run()
            if self.stored is None:
                self.stored = await self._transfer(source, store, first_page)
            else:
                self._log.write("already_stored", "🔁 [SYNC] An earlier process of this sync has stored its estimates")
            self._log_finished(self.stored.results)

    async def _transfer(self, source: Source, store: EstimateStore, first_page: asyncio.Task[FetchedPage]) -> StoredRun:
        transferred = await self._build_transfer(source, store).run(first_page)
        records = transferred.records
        self._log.write("fetch_complete", log_lines.represent_fetch_complete(records), fetched=records)
        self._log.write("saving", log_lines.SAVING)
        return await store.merge(transferred)

    def _build_transfer(self, source: Source, store: EstimateStore) -> Transfer:
        return Transfer(
            source,
            store,
            log=self._log,
            start=self._start,
            page_size=self._page_size,
            concurrency=self._concurrency,
            skipping=Skipping(self._log, most_percent=self._most_skipped_percent),
        )

    def _log_finished(self, results: Results) -> None:
        message = log_lines.represent_finished(results.new_estimates, results.updated_estimates)
        self._log.write(
            "finished",
            message,
            new=results.new_estimates,
            updated=results.updated_estimates,
            unchanged=results.unchanged_estimates,
        )


async def _fetch_first_page(source: Source) -> FetchedPage:
    """Log in and go on to what comes next anyway, while the database is still being reached."""
    await source.login()
    return await source.fetch_page(1)


@asynccontextmanager
async def _in_background(work: Coroutine[object, object, Value]) -> AsyncIterator[asyncio.Task[Value]]:
    """Run something beside the block, which may await it; the end of the block ends it."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        await cancel([task])
