"""Waits for syncs that run elsewhere. A caller who waits costs a coroutine, and all together one look every moment.

Nobody waits for ever in vain: a look is only a hint, and now and then everybody looks for himself. When the process has
been told to end, those who still wait are told so in time to be answered.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync

from estimatesync_api.ports import StoreUnavailableError, SyncStore

Pause = Callable[[float], Awaitable[None]]
"""Sleeps for so many seconds; asyncio.sleep, except in tests."""

CLOSE_WAITING_ROOM: Final = "estimatesync.close_waiting_room"
"""In the state that server and application share: called with the seconds that callers may still wait."""

LOOK_SECONDS: Final = 0.25
LOOKS_PER_ROUND: Final = 60
"""So many looks, and everybody looks for himself."""


class ClosingError(Exception):
    """The process ends before the sync does."""


class WaitingRoom:
    """One for each server process."""

    def __init__(self, store: SyncStore, *, pause: Pause) -> None:
        self._store = store
        self._pause = pause
        self._bells: dict[str, set[asyncio.Event]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._is_closing = False
        self.is_told_to_close = False

    def close_after(self, seconds: float) -> None:
        """Send everybody away after a while, and whoever comes then at once."""
        self.is_told_to_close = True
        asyncio.get_running_loop().call_later(seconds, self._close)

    async def wait_until_finished(self, name: str) -> EstimateSync | None:
        """Wait, however long it takes; None when the sync is deleted meanwhile.

        A store that cannot answer for a while does not end the wait: the sync goes on without it.

        Raises:
            ClosingError: The process ends.
        """
        bell = asyncio.Event()
        self._bells.setdefault(name, set()).add(bell)
        try:
            return await self._wait(name, bell)
        finally:
            self._bells[name].discard(bell)
            if not self._bells[name]:
                del self._bells[name]

    async def _wait(self, name: str, bell: asyncio.Event) -> EstimateSync | None:
        # A sync that is over already, as after a repeated request, needs no look of all.
        bell.set()
        while True:
            await bell.wait()
            bell.clear()
            if self._is_closing:
                raise ClosingError
            self._keep_looking()
            with suppress(StoreUnavailableError):
                sync = await self._store.fetch(name)
                if sync is None or sync.is_finished:
                    return sync

    def _keep_looking(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="look at syncs that are waited for")
            # However a round of looks ends: nobody is left behind.
            self._looking.add_done_callback(lambda _: self._ring(set(self._bells)))

    async def _look(self) -> None:
        looks = 0
        while self._bells:
            await self._pause(LOOK_SECONDS)
            looks += 1
            if looks % LOOKS_PER_ROUND == 0:
                self._ring(set(self._bells))
                continue
            with suppress(StoreUnavailableError):
                self._ring(await self._store.find_ended(set(self._bells)))

    def _ring(self, names: Collection[str]) -> None:
        for name in names:
            for bell in self._bells.get(name, ()):
                bell.set()

    def _close(self) -> None:
        self._is_closing = True
        self._ring(set(self._bells))
