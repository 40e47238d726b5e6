"""Requests side by side, their responses in the order in which they were sent.

`transfer` reads pages and closing passes through it; the source bounds how many are really in flight.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Final, Generic, TypeVar

from estimatesync_job.core.pages import FetchedPage

Query = TypeVar("Query")


class OrderedRequests(Generic[Query]):
    """A queue of numbered requests, each running from the moment it is sent."""

    def __init__(self, fetch: Callable[[Query], Coroutine[object, object, FetchedPage]], *, max_pending: int) -> None:
        """Start empty; `max_pending` bounds the responses that wait to be taken, and so the memory."""
        self._fetch: Final = fetch
        self._max_pending: Final = max_pending
        self._pending: Final[deque[asyncio.Task[FetchedPage]]] = deque()
        self._sent = 0

    def send(self, build: Callable[[int], Query], *, last: int) -> None:
        """Send the requests that follow, up to number `last`, counted from 1, as far as there is room."""
        while len(self._pending) < self._max_pending and self._sent < last:
            self._sent += 1
            self._pending.append(asyncio.create_task(self._fetch(build(self._sent))))

    async def is_answered_within(self, seconds: float) -> bool:
        """Wait a little for the response to the oldest request, without taking it."""
        answered, _ = await asyncio.wait([self._pending[0]], timeout=seconds)
        return bool(answered)

    async def take(self) -> FetchedPage:
        """Wait for the response to the oldest request; there must be one."""
        return await self._pending.popleft()

    async def cancel(self) -> None:
        """Abandon every pending request."""
        await cancel(self._pending)


@asynccontextmanager
async def open_requests(
    fetch: Callable[[Query], Coroutine[object, object, FetchedPage]], *, max_pending: int
) -> AsyncIterator[OrderedRequests[Query]]:
    """Open a queue; leaving the block abandons every pending request."""
    requests = OrderedRequests(fetch, max_pending=max_pending)
    try:
        yield requests
    finally:
        await requests.cancel()


async def cancel(tasks: Iterable[asyncio.Task[object]]) -> None:
    """Cancel tasks and wait for their end; their errors were raised where they were awaited, or no longer matter."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
