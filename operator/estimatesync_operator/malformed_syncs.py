"""What to say about an object that claims to be a sync and cannot be read: once, where its owner looks.

The CustomResourceDefinition lets no such object in; one can be left over from another version of it.
"""

from datetime import datetime
from typing import Any

from estimatesync_contract.causes import Reason, format_cause
from estimatesync_contract.estimate_sync import MalformedSyncError, to_status_object
from estimatesync_contract.status import EstimateSyncStatus, Phase, truncate_message

from estimatesync_operator.conditions import apply_conditions

Raw = dict[str, Any]


def compute_refusal(raw: Raw, error: MalformedSyncError, *, now: datetime) -> Raw | None:
    """Compute the object as it should be written; None when it must be left alone.

    One that has begun is left alone: an operator of another version can read it, and knows how it goes on.
    """
    if raw.get("status"):
        return None
    moment = now.replace(microsecond=0)
    status = EstimateSyncStatus(
        observed_generation=raw["metadata"].get("generation", 0),
        phase=Phase.FAILED,
        reason=Reason.MALFORMED,
        message=truncate_message(format_cause(Reason.MALFORMED, quote=str(error))),
        completion_time=moment,
    )
    return {**raw, "status": to_status_object(apply_conditions(status, (), now=moment))}
