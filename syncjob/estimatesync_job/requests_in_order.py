"""Requests side by side, their answers in the order they were asked for.

`page_reader` and `closing_pass` read through it; the source bounds how many are really in flight.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Final, Generic, TypeVar

from estimatesync_job.pages import FetchedPage

Asked = TypeVar("Asked")


class RequestsInOrder(Generic[Asked]):
    """A queue of numbered requests, each under way from the moment it is made."""

    def __init__(self, fetch: Callable[[Asked], Coroutine[object, object, FetchedPage]], *, most: int) -> None:
        """Begin with none; `most` bounds the answers that wait to be taken, and so the memory."""
        self._fetch: Final = fetch
        self._most: Final = most
        self._under_way: Final[deque[asyncio.Task[FetchedPage]]] = deque()
        self._made = 0

    def make(self, build: Callable[[int], Asked], *, last: int) -> None:
        """Make the requests that follow, up to the one of this number, from 1, as far as there is room."""
        while len(self._under_way) < self._most and self._made < last:
            self._made += 1
            self._under_way.append(asyncio.create_task(self._fetch(build(self._made))))

    async def is_answered_within(self, seconds: float) -> bool:
        """Wait a little for the answer to the oldest one, without taking it."""
        answered, _ = await asyncio.wait([self._under_way[0]], timeout=seconds)
        return bool(answered)

    async def take(self) -> FetchedPage:
        """Wait for the answer to the oldest one; there must be one."""
        return await self._under_way.popleft()

    async def cancel(self) -> None:
        """Give up whatever is under way."""
        await cancel(self._under_way)


@asynccontextmanager
async def requesting(
    fetch: Callable[[Asked], Coroutine[object, object, FetchedPage]], *, most: int
) -> AsyncIterator[RequestsInOrder[Asked]]:
    """Open a queue; leaving the block gives up whatever is under way."""
    requests = RequestsInOrder(fetch, most=most)
    try:
        yield requests
    finally:
        await requests.cancel()


async def cancel(tasks: Iterable[asyncio.Task[object]]) -> None:
    """Stop tasks and wait until they have; their errors have been raised where they were awaited, or are moot."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
