"""Tells people in the log what happened to a sync: the one-machine side of the reconciler's EventRecorder."""

import logging

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_operator.ports import EventType, SyncEvent

_LEVELS = {EventType.NORMAL: logging.INFO, EventType.WARNING: logging.WARNING}

logger = logging.getLogger(__name__)


class LogEvents:
    """See EventRecorder."""

    async def emit(self, sync: EstimateSync, event: SyncEvent) -> None:
        """Write one line."""
        logger.log(_LEVELS[event.type], "%s: %s", event.reason, event.message, extra={"sync_id": sync.name})
