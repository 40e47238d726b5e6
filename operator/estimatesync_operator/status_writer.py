"""The one place where a status is written and the events of the change are told."""

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import EstimateSyncStatus

from estimatesync_operator.core.events import build_events
from estimatesync_operator.ports import ChangeMeter, EventRecorder, SyncStore


class StatusWriter:
    """Writes at most once per pass."""

    def __init__(self, store: SyncStore, events: EventRecorder, meter: ChangeMeter) -> None:
        """Write to `store`, tell through `events`, count with `meter`."""
        self._store = store
        self._events = events
        self._meter = meter

    async def settle(self, sync: EstimateSync, status: EstimateSyncStatus) -> None:
        """Write the status if it changed, then tell what happened: told twice would be worse than not at all.

        Raises:
            StaleSyncError: The sync has moved on since it was read; nothing was written.
        """
        if status == sync.status:
            return
        await self._store.write_status(sync, status)
        self._meter.record_change(sync, status)
        for event in build_events(sync.status, status):
            await self._events.emit(sync, event)
