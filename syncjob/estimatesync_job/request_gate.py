"""Lets requests through as the pace allows, first come, first served; `attic_tech` sends each of them through it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from estimatesync_job.errors import TransientSourceError
from estimatesync_job.pace import build_pace, next_pace_after_answer, next_pace_after_trouble


class RequestGate:
    """Counts what is in flight."""

    def __init__(self, bound: int) -> None:
        self._pace = build_pace(bound)
        self._in_flight = 0
        self._changed: Final = asyncio.Condition()

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        """Wait for a place, hold it for the block, and learn from how the block ends."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._in_flight < int(self._pace.allowed))
            self._in_flight += 1
        slowdowns, started = self._pace.slowdowns, asyncio.get_running_loop().time()
        try:
            yield
            seconds = asyncio.get_running_loop().time() - started
            self._pace = next_pace_after_answer(self._pace, seconds=seconds)
        except TransientSourceError:
            self._pace = next_pace_after_trouble(self._pace, slowdowns=slowdowns)
            raise
        finally:
            self._in_flight -= 1
            async with self._changed:
                self._changed.notify_all()
