"""Waits for syncs that run elsewhere. A waiting caller costs a coroutine, and all callers together one poll of a hint.

Every quarter of a second the store is asked which of the awaited syncs seem to have ended; the cluster's store answers
from its index. That is only a hint: the sync is read before its caller is answered, and now and then every awaited sync
is read, hint or not. When the process must end, the callers who still wait are answered in time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync

from estimatesync_api.core.ports import SyncStore
from estimatesync_api.core.problems import StoreUnavailableError

Pause = Callable[[float], Awaitable[None]]
"""Sleeps for so many seconds; asyncio.sleep, except in tests."""

CLOSE_WAITER: Final = "estimatesync.close_waiter"
"""In the state that server and application share: called with the seconds that callers may still wait."""

POLL_SECONDS: Final = 0.25
POLLS_PER_READING: Final = 60
"""After so many polls every awaited sync is read."""


class ClosingError(Exception):
    """The process ends before the sync does."""


class SyncWaiter:
    """Lets any number of callers wait for any number of syncs. One for each server process."""

    def __init__(self, store: SyncStore, *, pause: Pause) -> None:
        self._store = store
        self._pause = pause
        self._awaited: dict[str, set[asyncio.Event]] = {}
        """Each caller's event is set when it is worth reading the sync."""
        self._polling: asyncio.Task[None] | None = None
        self._is_closed = False
        self.is_closing = False

    def close_after(self, seconds: float) -> None:
        """End every wait after a while; a caller who comes later does not wait at all."""
        self.is_closing = True
        asyncio.get_running_loop().call_later(seconds, self._close)

    async def wait_until_finished(self, name: str) -> EstimateSync | None:
        """Wait, however long it takes; None when the sync is deleted meanwhile.

        A store that cannot answer for a while does not end the wait: the sync goes on without it.

        Raises:
            ClosingError: The process ends.
        """
        event = asyncio.Event()
        self._awaited.setdefault(name, set()).add(event)
        try:
            return await self._wait(name, event)
        finally:
            self._awaited[name].discard(event)
            if not self._awaited[name]:
                del self._awaited[name]

    async def _wait(self, name: str, event: asyncio.Event) -> EstimateSync | None:
        # A sync that is over already, as after a repeated request, needs no poll.
        event.set()
        while True:
            await event.wait()
            event.clear()
            if self._is_closed:
                raise ClosingError
            self._ensure_polling()
            with suppress(StoreUnavailableError):
                sync = await self._store.fetch(name)
                if sync is None or sync.is_finished:
                    return sync

    def _ensure_polling(self) -> None:
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll(), name="poll of awaited syncs")
            # However it ends, no caller is forgotten.
            self._polling.add_done_callback(lambda _: self._notify(set(self._awaited)))

    async def _poll(self) -> None:
        polls = 0
        while self._awaited:
            await self._pause(POLL_SECONDS)
            polls += 1
            if polls % POLLS_PER_READING == 0:
                self._notify(set(self._awaited))
                continue
            with suppress(StoreUnavailableError):
                self._notify(await self._store.find_ended(set(self._awaited)))

    def _notify(self, names: Collection[str]) -> None:
        for name in names:
            for event in self._awaited.get(name, ()):
                event.set()

    def _close(self) -> None:
        self._is_closed = True
        self._notify(set(self._awaited))
