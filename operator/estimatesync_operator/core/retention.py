"""How long a finished sync stays, and how its callback can be requested again meanwhile.

A sync with nothing left to do shrinks to one line in the cache, so ten thousand finished syncs cost nothing. A person
requests another delivery with an annotation, whose every new value is one request. The operator only remembers which
value it has served, so it needs no right to remove the annotation.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import ANNOTATION_REDELIVER, build_callback_id
from estimatesync_contract.spec import DEFAULT_TARGET
from estimatesync_contract.status import CallbackState, CallbackStatus

_TOKEN_MAX_LENGTH: Final = 64


def is_settled(sync: EstimateSync) -> bool:
    """Return whether nothing is left to do about a sync but to remove it when its time is over."""
    return (
        sync.is_finished
        and sync.status.observed_generation == sync.metadata.generation
        and not sync.status.owes_callback
        and not is_redelivery_requested(sync)
    )


def compute_expiry(sync: EstimateSync, *, default_ttl: timedelta) -> datetime | None:
    """When a finished sync may be removed; None while its callback is under way."""
    completion = sync.status.completion_time
    if completion is None or sync.status.owes_callback:
        return None
    own = sync.spec.ttl_seconds_after_finished
    return completion + (default_ttl if own is None else timedelta(seconds=own))


def compute_redelivery_token(sync: EstimateSync) -> str | None:
    """Name the request that stands on the sync, served or not; a long value is named by its digest."""
    value = sync.metadata.annotations.get(ANNOTATION_REDELIVER, "")
    digest_or_value = value if len(value) <= _TOKEN_MAX_LENGTH else hashlib.sha256(value.encode()).hexdigest()
    return digest_or_value or None


def is_redelivery_requested(sync: EstimateSync) -> bool:
    """Return whether another delivery of a finished sync's callbacks is requested."""
    token = compute_redelivery_token(sync)
    return sync.is_finished and token is not None and any(each.redelivery != token for each in sync.status.deliveries)


def is_named(target: str | None) -> bool:
    """Return whether a target is another webhook than the one of all syncs that name none."""
    return target not in {None, DEFAULT_TARGET}


def compute_redelivery(sync: EstimateSync, *, environment: str, has_target: bool) -> tuple[CallbackStatus, ...]:
    """Begin deliveries again: same ids, and the whole schedule of attempts; the earlier attempts stay on record.

    A callback that had no target gets one if there is one by now; one that the sync never wanted stays away, and one
    that was not asked for again stays as it is.
    """
    deliveries, token = sync.status.deliveries, compute_redelivery_token(sync)
    environment = next((each.environment for each in deliveries if each.environment), environment)
    chosen = _find_chosen_targets(sync)
    return tuple(
        CallbackStatus(
            state=CallbackState.PENDING,
            target=each.target,
            id=each.id or build_callback_id(sync.uid, each.target),
            environment=environment,
            redelivery=token,
            history=each.history,
        )
        if each.target in chosen and sync.spec.callback.enabled and (has_target or is_named(each.target))
        else msgspec.structs.replace(each, redelivery=token)
        for each in deliveries
    )


def _find_chosen_targets(sync: EstimateSync) -> frozenset[str | None]:
    """All, unless the request ends with names of some of them."""
    targets = frozenset(each.target for each in sync.status.deliveries)
    names = frozenset(sync.metadata.annotations.get(ANNOTATION_REDELIVER, "").rpartition("/")[2].split(","))
    return (targets & names) or targets
