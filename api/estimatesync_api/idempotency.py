"""Makes a repeated request meet the first one without any memory of our own: the key becomes the sync's name.

Works across replicas, because the store lets a name be taken once. The key's space is shared by all API keys, so that
replacing an API key between two tries changes nothing. It is remembered for as long as the sync exists, which is
`ttlSecondsAfterFinished` after its end, by default a week, unless someone deletes it sooner.
"""

import hashlib

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.names import ANNOTATION_REQUEST_DIGEST, ANNOTATION_TRACEPARENT
from estimatesync_contract.spec import EstimateSyncSpec
from estimatesync_tracing.context import TraceContext, format_traceparent

from estimatesync_api.problems import ApiError, Problem
from estimatesync_api.sync_request import SyncRequest


def compute_request_digest(request: SyncRequest) -> str:
    """Digest what was asked for. How the caller wants to be answered is no part of it, nor are defaults."""
    asked = msgspec.json.encode([request.asked_start, request.asked_end])
    return hashlib.sha256(asked).hexdigest()


def build_sync(request: SyncRequest, *, name: str, origin: TraceContext | None = None) -> EstimateSync:
    """Build the sync of a request, in whose trace it is done, if there is one.

    Its days are fixed now: they must not depend on when the operator looks.
    """
    traced = {ANNOTATION_TRACEPARENT: format_traceparent(origin)} if origin else {}
    return EstimateSync(
        metadata=Metadata(
            name=name, annotations={ANNOTATION_REQUEST_DIGEST: compute_request_digest(request), **traced}
        ),
        spec=EstimateSyncSpec(date_range=request.date_range),
    )


def require_same_request(stored: EstimateSync, request: SyncRequest) -> None:
    """Make sure that the sync under this name was made by the same request.

    Raises:
        ApiError: It was made by another one.
    """
    if stored.metadata.annotations.get(ANNOTATION_REQUEST_DIGEST) == compute_request_digest(request):
        return
    then = stored.spec.date_range
    before = f"{then.start} to {then.end}" if then else "the default days"
    now = request.date_range
    raise ApiError(
        Problem.KEY_REUSED,
        f"This Idempotency-Key was used for sync {stored.name} ({before}), and this request asks for other dates "
        f"({now.start} to {now.end}); use a new key for a new sync.",
    )
