"""When nothing is left to do about a sync, and until when: what makes ten thousand finished syncs cost nothing."""

from datetime import datetime, timedelta

from estimatesync_contract.estimate_sync import EstimateSync

from estimatesync_operator.redelivery import has_request


def is_settled(sync: EstimateSync) -> bool:
    """Tell whether nothing is left to do about a sync but to remove it when its time is over."""
    callback = sync.status.callback
    return (
        sync.is_finished
        and sync.status.observed_generation == sync.metadata.generation
        and (callback is None or callback.state.is_final)
        and not has_request(sync)
    )


def compute_expiry(sync: EstimateSync) -> datetime | None:
    """When a finished sync may be removed; None while its callback is under way."""
    callback, completion = sync.status.callback, sync.status.completion_time
    if completion is None or (callback is not None and not callback.state.is_final):
        return None
    return completion + timedelta(seconds=sync.spec.ttl_seconds_after_finished)
