"""Sending a callback again because a person asks for it: with an annotation, whose every new value is one request.

The operator only remembers which value it has served, so it needs no right to take the annotation away.
"""

import hashlib
from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import ANNOTATION_REDELIVER, build_callback_id
from estimatesync_contract.status import CallbackState, CallbackStatus

_TOKEN_MAX_LENGTH: Final = 64


def compute_token(sync: EstimateSync) -> str | None:
    """Name the request that stands on the sync, served or not; a long value is named by its digest."""
    value = sync.metadata.annotations.get(ANNOTATION_REDELIVER, "")
    digest_or_value = value if len(value) <= _TOKEN_MAX_LENGTH else hashlib.sha256(value.encode()).hexdigest()
    return digest_or_value or None


def has_request(sync: EstimateSync) -> bool:
    """Tell whether a finished sync is to be told about again."""
    callback, token = sync.status.callback, compute_token(sync)
    return sync.is_finished and callback is not None and token is not None and token != callback.redelivery


def compute_requested(sync: EstimateSync, *, environment: str, has_target: bool) -> CallbackStatus:
    """Begin the delivery anew: same id, and the whole schedule of attempts again; those before stay known.

    A callback that had no target gets one if there is one by now; one that the sync never wanted stays away.
    """
    callback = sync.status.callback or CallbackStatus(state=CallbackState.DISABLED)
    if not sync.spec.callback.enabled or not has_target:
        return msgspec.structs.replace(callback, redelivery=compute_token(sync))
    return CallbackStatus(
        state=CallbackState.PENDING,
        id=callback.id or build_callback_id(sync.uid),
        environment=callback.environment or environment,
        redelivery=compute_token(sync),
        history=callback.history,
    )
