"""Waits for a sync that runs elsewhere. Nothing is held but a coroutine, so any number of callers may wait."""

from collections.abc import Awaitable, Callable
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync

from estimatesync_api.ports import StoreUnavailableError, SyncStore

Pause = Callable[[float], Awaitable[None]]
"""Sleeps for so many seconds; asyncio.sleep, except in tests."""

POLL_SECONDS: Final = 1.0
_FIRST_POLL_SECONDS: Final = 0.125


def compute_poll_delay(polls: int) -> float:
    """Seconds to wait after so many looks: soon at first, for a short sync or one that is over, then once a second."""
    return min(POLL_SECONDS, _FIRST_POLL_SECONDS * 2.0 ** min(polls, 10))


async def wait_until_finished(store: SyncStore, name: str, *, pause: Pause) -> EstimateSync | None:
    """Wait, however long it takes; None when the sync is deleted meanwhile.

    A store that cannot answer for a while does not end the wait: the sync goes on without it.
    """
    polls = 0
    while True:
        await pause(compute_poll_delay(polls))
        polls += 1
        try:
            sync = await store.fetch(name)
        except StoreUnavailableError:
            continue
        if sync is None or sync.is_finished:
            return sync
