"""Makes good answers of what is known. Pure; `bodies.py` has their shapes."""

from datetime import datetime

import msgspec
from estimatesync_contract.date_ranges import DateRange
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.instants import represent_instant
from estimatesync_contract.log_lines import represent_finished
from estimatesync_contract.status import CallbackStatus, Phase, Progress, Results

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
from estimatesync_api.list_request import represent_cursor
from estimatesync_api.listing import SyncPage, find_phase
from estimatesync_api.messages import STARTED


def represent_accepted(sync_id: str, now: datetime) -> AcceptedBody:
    """The 202 of a sync that is stored and will run; scenarios depend on these fields and their order."""
    return AcceptedBody(message=STARTED, timestamp=represent_instant(now), sync_id=sync_id)


def represent_success(sync: EstimateSync, log: tuple[str, ...]) -> OutcomeBody:
    """The 200 of a sync that was waited for."""
    results = sync.status.results or Results()
    return OutcomeBody(
        message=represent_finished(results.new_estimates, results.updated_estimates),
        new=results.new_estimates,
        updated=results.updated_estimates,
        log=list(log),
        sync_id=sync.name,
    )


def represent_failure(sync_id: str, error: str, log: tuple[str, ...]) -> FailureBody:
    """The 500 of a sync that was waited for and did not succeed."""
    return FailureBody(error=error, log=list(log), sync_id=sync_id)


def compute_error(sync: EstimateSync) -> str:
    """Say why a finished sync did not succeed."""
    if sync.status.phase is Phase.CANCELLED:
        return "Cancelled"
    return sync.status.message or sync.status.reason or "The sync failed without saying why."


def represent_sync(sync: EstimateSync) -> SyncBody:
    """The answer to a GET of one sync."""
    return SyncBody(**msgspec.structs.asdict(represent_state(sync)))


def represent_list(page: SyncPage) -> SyncListBody:
    """One page of the list."""
    return SyncListBody(syncs=[represent_state(sync) for sync in page.syncs], next_cursor=represent_cursor(page.end))


def represent_request(message: str, sync: EstimateSync) -> SyncRequestedBody:
    """The answer to a request about a sync that is there, with the sync as it is now."""
    return SyncRequestedBody(message=message, sync=represent_state(sync))


def represent_state(sync: EstimateSync) -> SyncState:
    """One sync. One that nobody has looked at yet is queued. Nothing about the place where it runs is shown."""
    status = sync.status
    return SyncState(
        sync_id=sync.name,
        status=find_phase(sync).lower(),
        reason=status.reason,
        message=status.message,
        date_range=_represent_range(status.date_range or sync.spec.date_range),
        progress=_represent_progress(status.progress),
        results=_represent_results(status.results),
        callback=_represent_callback(status.callback) if status.callback else None,
        created_at=_represent_optional_time(sync.metadata.creation_timestamp),
        started_at=_represent_optional_time(status.start_time),
        completed_at=_represent_optional_time(status.completion_time),
        duration_seconds=status.duration_seconds,
    )


def _represent_range(days: DateRange | None) -> RangeBody | None:
    return RangeBody(start_date=days.start, end_date=days.end) if days else None


def _represent_progress(progress: Progress | None) -> ProgressBody | None:
    return ProgressBody(**msgspec.structs.asdict(progress)) if progress else None


def _represent_results(results: Results | None) -> ResultsBody | None:
    return ResultsBody(**msgspec.structs.asdict(results)) if results else None


def _represent_callback(callback: CallbackStatus) -> CallbackBody:
    return CallbackBody(
        state=callback.state.lower(),
        attempts=callback.attempts,
        last_attempt_at=_represent_optional_time(callback.last_attempt_time),
        next_attempt_at=_represent_optional_time(callback.next_attempt_time),
        last_status_code=callback.last_status_code,
        last_error=callback.last_error,
    )


def _represent_optional_time(moment: datetime | None) -> str | None:
    return represent_instant(moment) if moment else None
