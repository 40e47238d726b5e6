"""Requests that callbacks are sent again, of one sync or of many: what the API and the status page have in common."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import ANNOTATION_REDELIVER, ANNOTATION_REDELIVERED_BY

from estimatesync_api.core.ports import SyncStore
from estimatesync_api.core.problems import StoreUnavailableError
from estimatesync_api.core.sync_request import build_failed_redelivery, list_failed_targets
from estimatesync_api.waiter import Pause

REDELIVERY_PAUSE: Final = 0.1
"""Seconds: ten syncs in a second are a third of what Make.com takes."""
_TRIES: Final = 5
"""Of changing a sync that changes meanwhile, as it does a few times in a callback's life."""

BuildRedelivery = Callable[[EstimateSync], str | None]
"""Builds the request for a sync's callbacks to be sent again, of the sync as it is now; None: nothing is requested."""


async def request_redelivery(store: SyncStore, name: str, build: BuildRedelivery, *, by: str) -> EstimateSync | None:
    """Ask for a finished sync's callbacks to be sent again, and answer it; None when nothing was asked.

    A sync that changes meanwhile is looked at again, so that no other request is replaced unseen.

    Raises:
        StoreUnavailableError: The store cannot take it now.
    """
    for _ in range(_TRIES):
        found = await store.fetch(name)
        request = build(found) if found else None
        if found is None or request is None:
            return None
        annotations = {ANNOTATION_REDELIVER: request, ANNOTATION_REDELIVERED_BY: by}
        if changed := await store.annotate(found, annotations):
            return changed
    raise StoreUnavailableError("the sync changes too often")


async def request_failed_again(
    store: SyncStore, syncs: Sequence[EstimateSync], *, token: str, by: str, pause: Pause
) -> list[str]:
    """Request the callbacks again that were given up, of these syncs, one after the other; name the syncs.

    A moment lies between two of them, because a receiver that has been away for a night may get hundreds. Each sync is
    looked at again before: another request, or the first try of this one, may have been there meanwhile.
    """
    build = partial(build_failed_redelivery, token=token)
    requested: list[str] = []
    for sync in syncs:
        if list_failed_targets(sync):
            if requested:
                await pause(REDELIVERY_PAUSE)
            if await request_redelivery(store, sync.name, build, by=by):
                requested.append(sync.name)
    return requested
