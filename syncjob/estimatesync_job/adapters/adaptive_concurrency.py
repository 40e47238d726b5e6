"""Sends requests within the concurrency limit. `attic_tech` sends every list request through the limiter."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from estimatesync_job.core.concurrency_limit import build_limit, next_limit_after_failure, next_limit_after_response
from estimatesync_job.core.errors import TransientSourceError


class AdaptiveLimiter:
    """Lets requests through as the limit allows, first come, first served."""

    def __init__(self, bound: int) -> None:
        self._limit = build_limit(bound)
        self._in_flight = 0
        self._changed: Final = asyncio.Condition()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot, hold it for the block, and learn from how the block ends."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._in_flight < int(self._limit.allowed))
            self._in_flight += 1
        slowdowns, started = self._limit.slowdowns, asyncio.get_running_loop().time()
        try:
            yield
            seconds = asyncio.get_running_loop().time() - started
            self._limit = next_limit_after_response(self._limit, seconds=seconds)
        except TransientSourceError:
            self._limit = next_limit_after_failure(self._limit, slowdowns=slowdowns)
            raise
        finally:
            self._in_flight -= 1
            async with self._changed:
                self._changed.notify_all()
