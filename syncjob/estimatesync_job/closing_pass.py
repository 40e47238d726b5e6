"""One closing pass: asks for what is unproven, stores the answers, and tells what they have brought.

`transfer` runs as many as it takes; `coverage` holds what is asked for, and what a pass proves.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from estimatesync_job.coverage import PassResult, next_result, plan_continuation
from estimatesync_job.listings import ChangesQuery
from estimatesync_job.pages import FetchedPage
from estimatesync_job.ports import EstimateStore, Source
from estimatesync_job.requests_in_order import RequestsInOrder, requesting
from estimatesync_job.skipping import Skipping


class ClosingPass:
    """Its requests, under way as far as `most` allows."""

    def __init__(
        self, source: Source, queries: Sequence[ChangesQuery], requests: RequestsInOrder[ChangesQuery]
    ) -> None:
        self._source: Final = source
        self._queries: Final = queries
        self._requests: Final = requests
        self._ask()

    async def store(self, store: EstimateStore, skipping: Skipping) -> PassResult:
        """Store the answers, and those that continue them.

        Raises:
            SyncError: Not everything could be read.
        """
        result = PassResult(queries=len(self._queries))
        for query in self._queries:
            answer = await self._requests.take()
            self._ask()
            result = await self._follow(query, answer, result, store=store, skipping=skipping)
        return result

    def _ask(self) -> None:
        self._requests.make(lambda number: self._queries[number - 1], last=len(self._queries))

    async def _follow(
        self,
        query: ChangesQuery,
        answer: FetchedPage,
        result: PassResult,
        *,
        store: EstimateStore,
        skipping: Skipping,
    ) -> PassResult:
        while True:
            skipping.note(answer)
            result = next_result(result, answer, news=await store.write_changes(answer.rows))
            following = plan_continuation(query, answer)
            if following is None:
                return result
            query, answer = following, await self._source.fetch_changes(following)


@asynccontextmanager
async def closing(source: Source, queries: Sequence[ChangesQuery], *, most: int) -> AsyncIterator[ClosingPass]:
    """Begin a pass; leaving the block gives up whatever is under way."""
    async with requesting(source.fetch_changes, most=most) as requests:
        yield ClosingPass(source, queries, requests)
