"""When nothing is left to do about a sync, and until when: what makes ten thousand finished syncs cost nothing."""

from datetime import datetime, timedelta
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import DEFAULT_TTL_SECONDS

from estimatesync_operator.redelivery import has_request

DEFAULT_TTL: Final = timedelta(seconds=DEFAULT_TTL_SECONDS)


def is_settled(sync: EstimateSync) -> bool:
    """Tell whether nothing is left to do about a sync but to remove it when its time is over."""
    callback = sync.status.callback
    return (
        sync.is_finished
        and sync.status.observed_generation == sync.metadata.generation
        and (callback is None or callback.state.is_final)
        and not has_request(sync)
    )


def compute_expiry(sync: EstimateSync, *, default_ttl: timedelta = DEFAULT_TTL) -> datetime | None:
    """When a finished sync may be removed; None while its callback is under way."""
    callback, completion = sync.status.callback, sync.status.completion_time
    if completion is None or (callback is not None and not callback.state.is_final):
        return None
    own = sync.spec.ttl_seconds_after_finished
    return completion + (default_ttl if own is None else timedelta(seconds=own))
