"""What the answers look like: a sync as people know it from the first backend, shown by the functions that answer."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.log_lines import (
    SAVING,
    STARTING,
    format_fetch_complete,
    format_fetching,
    format_finished,
    format_page,
    format_page_complete,
    format_received,
)
from estimatesync_contract.names import ANNOTATION_STARTED_BY
from estimatesync_contract.spec import DateRange, EstimateSyncSpec
from estimatesync_contract.status import (
    CallbackState,
    CallbackStatus,
    EstimateSyncStatus,
    Phase,
    Results,
    build_progress,
)

from estimatesync_api.core.listing import Place, SyncPage
from estimatesync_api.core.representation import (
    CANCEL_REQUESTED,
    REDELIVERY_REQUESTED,
    Body,
    RedeliveryBody,
    RedeliveryFilterBody,
    RequestBody,
    to_accepted_body,
    to_failure_body,
    to_list_body,
    to_redelivered_body,
    to_request_body,
    to_success_body,
    to_sync_body,
)

_ID: Final = "est-20251016-140900000-k3x9q2ab"
_RUNNING_ID: Final = "est-20251017-140900000-m7r2w4cd"
_ASKED: Final = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_BY_MAKE: Final = {ANNOTATION_STARTED_BY: "make"}
_DAYS: Final = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))

_FINISHED: Final = EstimateSync(
    metadata=Metadata(name=_ID, creation_timestamp=_ASKED, annotations=_BY_MAKE),
    spec=EstimateSyncSpec(date_range=_DAYS),
    status=EstimateSyncStatus(
        phase=Phase.SUCCEEDED,
        reason="Succeeded",
        message="New: 45, Updated: 1564",
        start_time=_ASKED,
        completion_time=_ASKED + timedelta(seconds=487),
        duration_seconds=487,
        progress=build_progress(page=17, total_pages=17, fetched=1609),
        results=Results(
            total_fetched=1609,
            new_estimates=45,
            updated_estimates=1564,
            unchanged_estimates=1500,
            total_processed=1609,
            previous_total_fetched=1597,
        ),
        callback=CallbackStatus(
            state=CallbackState.DELIVERED,
            attempts=1,
            last_attempt_time=_ASKED + timedelta(seconds=488),
            last_status_code=200,
        ),
    ),
)
_RUNNING: Final = EstimateSync(
    metadata=Metadata(name=_RUNNING_ID, creation_timestamp=_ASKED + _DAY, annotations=_BY_MAKE),
    spec=EstimateSyncSpec(date_range=DateRange(start=_DAYS.start + _DAY, end=_DAYS.end + _DAY)),
    status=EstimateSyncStatus(
        phase=Phase.RUNNING,
        reason="Running",
        message="Page 9/17, 900 estimates so far",
        start_time=_ASKED + _DAY,
        progress=build_progress(page=9, total_pages=17, fetched=900),
    ),
)
_LINES: Final = (
    STARTING,
    format_fetching(1),
    format_received(1, 45 * 1024),
    format_page(1, 17, 100),
    format_page_complete(1, 100),
    format_fetch_complete(1609),
    SAVING,
    format_finished(45, 1564),
)

REQUESTS: Final[dict[str, Body]] = {
    "today and the 45 days before it": RequestBody(),
    "the last week": RequestBody(days=7),
    "chosen days": RequestBody(start="2025-09-01", end="2025-10-16"),
    "what has changed": RequestBody(mode="changes"),
}
ACCEPTED: Final = to_accepted_body(_ID, _ASKED)
OUTCOME: Final = to_success_body(_FINISHED, _LINES)
FAILURE: Final = to_failure_body(_ID, "Login to Attic Tech failed: Invalid credentials", _LINES[:1])
SYNC: Final = to_sync_body(_FINISHED)
LIST: Final = to_list_body(SyncPage(syncs=(_RUNNING, _FINISHED), end=Place(created_at=_ASKED, name=_ID)))
LOG: Final = "\n".join(_LINES)
CANCELLED: Final = to_request_body(CANCEL_REQUESTED, _RUNNING)
REDELIVERED: Final = to_request_body(REDELIVERY_REQUESTED, _FINISHED)
REDELIVERED_ALL: Final = to_redelivered_body([_ID], None)
REDELIVERIES: Final[dict[str, Body]] = {
    "all of the sync": RedeliveryBody(),
    "that of one target": RedeliveryBody(callback="billing"),
}
REDELIVERY_FILTERS: Final[dict[str, Body]] = {"since yesterday": RedeliveryFilterBody(since="2025-10-15")}
