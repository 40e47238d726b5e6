"""Makes good answers of what is known. Pure; `bodies.py` has their shapes."""

from datetime import datetime

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.log_lines import format_finished
from estimatesync_contract.spec import DateRange
from estimatesync_contract.status import CallbackStatus, Phase, Progress, Results
from estimatesync_contract.timestamps import format_timestamp

from estimatesync_api.bodies import (
    AcceptedBody,
    CallbackBody,
    FailureBody,
    OutcomeBody,
    ProgressBody,
    RangeBody,
    ResultsBody,
    SyncBody,
    SyncListBody,
    SyncRequestedBody,
    SyncState,
)
from estimatesync_api.list_request import format_cursor
from estimatesync_api.listing import SyncPage, find_phase
from estimatesync_api.messages import STARTED


def to_accepted_body(sync_id: str, now: datetime) -> AcceptedBody:
    """The 202 of a sync that is stored and will run; scenarios depend on these fields and their order."""
    return AcceptedBody(message=STARTED, timestamp=format_timestamp(now), sync_id=sync_id)


def to_success_body(sync: EstimateSync, log: tuple[str, ...]) -> OutcomeBody:
    """The 200 of a sync that was waited for."""
    results = sync.status.results or Results()
    return OutcomeBody(
        message=format_finished(results.new_estimates, results.updated_estimates),
        new=results.new_estimates,
        updated=results.updated_estimates,
        log=list(log),
        sync_id=sync.name,
    )


def to_failure_body(sync_id: str, error: str, log: tuple[str, ...]) -> FailureBody:
    """The 500 of a sync that was waited for and did not succeed."""
    return FailureBody(error=error, log=list(log), sync_id=sync_id)


def compute_error(sync: EstimateSync) -> str:
    """Say why a finished sync did not succeed."""
    if sync.status.phase is Phase.CANCELLED:
        return "Cancelled"
    return sync.status.message or sync.status.reason or "The sync failed without saying why."


def to_sync_body(sync: EstimateSync) -> SyncBody:
    """The answer to a GET of one sync."""
    return SyncBody(**msgspec.structs.asdict(to_sync_state(sync)))


def to_list_body(page: SyncPage) -> SyncListBody:
    """One page of the list."""
    return SyncListBody(syncs=[to_sync_state(sync) for sync in page.syncs], next_cursor=format_cursor(page.end))


def to_request_body(message: str, sync: EstimateSync) -> SyncRequestedBody:
    """The answer to a request about a sync that is there, with the sync as it is now."""
    return SyncRequestedBody(message=message, sync=to_sync_state(sync))


def to_sync_state(sync: EstimateSync) -> SyncState:
    """One sync. One that nobody has looked at yet is queued. Nothing about the place where it runs is shown."""
    status = sync.status
    return SyncState(
        sync_id=sync.name,
        status=find_phase(sync).lower(),
        reason=status.reason,
        message=status.message,
        date_range=_to_range_body(status.date_range or sync.spec.date_range),
        progress=_to_progress_body(status.progress),
        results=_to_results_body(status.results),
        callback=_to_callback_body(status.callback) if status.callback else None,
        created_at=_format_optional_time(sync.metadata.creation_timestamp),
        started_at=_format_optional_time(status.start_time),
        completed_at=_format_optional_time(status.completion_time),
        duration_seconds=status.duration_seconds,
    )


def _to_range_body(days: DateRange | None) -> RangeBody | None:
    return RangeBody(start_date=days.start, end_date=days.end) if days else None


def _to_progress_body(progress: Progress | None) -> ProgressBody | None:
    return ProgressBody(**msgspec.structs.asdict(progress)) if progress else None


def _to_results_body(results: Results | None) -> ResultsBody | None:
    return ResultsBody(**msgspec.structs.asdict(results)) if results else None


def _to_callback_body(callback: CallbackStatus) -> CallbackBody:
    return CallbackBody(
        state=callback.state.lower(),
        attempts=callback.attempts,
        last_attempt_at=_format_optional_time(callback.last_attempt_time),
        next_attempt_at=_format_optional_time(callback.next_attempt_time),
        last_status_code=callback.last_status_code,
        last_error=callback.last_error,
    )


def _format_optional_time(moment: datetime | None) -> str | None:
    return format_timestamp(moment) if moment else None
