"""The request that stands on a sync for its callbacks to be sent again: an annotation; a new value is a new request.

`TEXT` asks for all callbacks, and for an alert that was given up; `TEXT/NAME,NAME` for those of these targets. People
write it with kubectl, and the API for its callers. The operator serves it, and records which value it has served; until
then, whoever writes another value must ask for what the one before asked for, too.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import ANNOTATION_REDELIVER
from estimatesync_contract.spec import DEFAULT_TARGET

ALERT: Final = "@alert"
"""What stands among the names for the alert on record on the sync; no target can have it."""
_TOKEN_MAX_LENGTH: Final = 64


def compute_redelivery_token(sync: EstimateSync) -> str | None:
    """Name the request that stands on the sync, served or not; a long value is named by its digest."""
    value = sync.metadata.annotations.get(ANNOTATION_REDELIVER, "")
    digest_or_value = value if len(value) <= _TOKEN_MAX_LENGTH else hashlib.sha256(value.encode()).hexdigest()
    return digest_or_value or None


def is_redelivery_requested(sync: EstimateSync) -> bool:
    """Return whether another delivery of a finished sync's callbacks is requested, and not served yet."""
    token = compute_redelivery_token(sync)
    return sync.is_finished and token is not None and any(each.redelivery != token for each in sync.status.deliveries)


def find_chosen_targets(sync: EstimateSync) -> frozenset[str | None]:
    """Find whose callbacks the request is about: all, unless it ends with names; a name that is none here is nobody's.

    A sync that names no targets has one callback, so that every request is about it.
    """
    targets, names = frozenset(each.target for each in sync.status.deliveries), _find_names(sync)
    if names is None or (targets == {None} and names != {ALERT}):
        return targets
    return frozenset(each for each in targets if (each or DEFAULT_TARGET) in names)


def is_alert_chosen(sync: EstimateSync) -> bool:
    """Return whether the request is about the alert of the sync, too: if it was given up, and names are not others."""
    names = _find_names(sync)
    return sync.status.is_alert_given_up and (names is None or ALERT in names)


def _find_names(sync: EstimateSync) -> frozenset[str] | None:
    _, slash, names = sync.metadata.annotations.get(ANNOTATION_REDELIVER, "").rpartition("/")
    return frozenset(names.split(",")) if slash else None


def name_targets(token: str, targets: Iterable[str | None]) -> str:
    """Have a request be about these targets' callbacks alone; about all if there are none, or one has no name."""
    named = [each or "" for each in targets]
    return f"{token}/{','.join(named)}" if named and all(named) else token
