"""What callback and alert say: pure functions of a finished sync's status, so that every attempt sends the same bytes.

The reconciler calls them at each attempt instead of storing the body. Signing and sending are done elsewhere.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import Mode
from estimatesync_contract.status import EstimateSyncStatus, Phase, Results
from estimatesync_contract.timestamps import format_timestamp

_EVENT: Final = "sync_estimates_completed"
STALE_EVENT: Final = "sync_estimates_stale"
CANCELLED: Final = "Cancelled"
"""What stands in `error` for a sync that was cancelled."""
_NO_CAUSE: Final = "Synchronization failed."


class UnfinishedSyncError(ValueError):
    """A sync without an outcome has nothing to report yet; a fault of the caller."""


class _Results(msgspec.Struct, frozen=True, kw_only=True):
    total_fetched: int
    new_estimates: int
    updated_estimates: int
    total_processed: int
    deleted_estimates: int | msgspec.UnsetType = msgspec.UNSET
    """Only where deletions are marked, and there always."""


class _DateRange(msgspec.Struct, frozen=True, kw_only=True):
    start_date: str | None
    end_date: str | None


class _Performance(msgspec.Struct, frozen=True, kw_only=True):
    duration_seconds: int
    duration_minutes: float


class _CallbackBody(msgspec.Struct, frozen=True, kw_only=True):
    """Make.com learns the fields from the first callback it sees: each is always there, with one type or null."""

    event: str
    timestamp: str
    status: str
    results: _Results
    date_range: _DateRange
    performance: _Performance
    error: str | None
    environment: str | None
    sync_id: str
    mode: str | msgspec.UnsetType | None = msgspec.UNSET
    """How it was done; only there where changes were asked for, so that no other scenario meets a new field."""
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """With the values that were sent; only where the deployment takes them, and there always."""
    details_url: str | msgspec.UnsetType = msgspec.UNSET
    """The sync's page; only where the deployment says where the status page is, and there always."""


class _LastSuccess(msgspec.Struct, frozen=True, kw_only=True):
    """All null where no sync has succeeded yet."""

    sync_id: str | None
    timestamp: str | None
    date_range: _DateRange


class _AlertBody(msgspec.Struct, frozen=True, kw_only=True):
    """As in the callback, each field is always there, with one type or null."""

    event: str
    timestamp: str
    status: str
    last_success: _LastSuccess
    hours_since: int
    """Whole hours since the last success; where there is none, since the oldest sync was created."""
    stale_after_hours: int
    environment: str | None
    details_url: str | msgspec.UnsetType = msgspec.UNSET
    """As in the callback, but the page of all syncs."""


def build_callback_body(sync: EstimateSync) -> bytes:
    """Build the JSON that tells Make.com how a sync ended; the same sync always gives the same bytes.

    Raises:
        UnfinishedSyncError: The phase is not final, or the completion time is missing.
    """
    status = sync.status
    if not sync.is_finished or status.completion_time is None:
        raise UnfinishedSyncError(f"sync {sync.name} has not finished, so there is no outcome to call back with")
    error = _build_error(status)
    begun = next((each for each in status.deliveries if each.environment), None)
    body = _CallbackBody(
        event=_EVENT,
        timestamp=format_timestamp(status.completion_time),
        status="success" if error is None else "error",
        results=_build_results(status.results or Results(), has_succeeded=error is None),
        date_range=_build_date_range(status),
        performance=_build_performance(status.duration_seconds or 0),
        error=error,
        environment=begun.environment if begun else None,
        sync_id=sync.name,
        mode=_build_mode(sync) if sync.spec.mode is Mode.CHANGES else msgspec.UNSET,
        metadata=msgspec.Raw(status.metadata.encode()) if status.metadata else msgspec.UNSET,
        details_url=(begun.details_url if begun else None) or msgspec.UNSET,
    )
    return msgspec.json.encode(body)


def build_alert_body(sync: EstimateSync) -> bytes:
    """Build the JSON that tells Make.com that no sync has succeeded for long.

    Raises:
        UnfinishedSyncError: There is no alert on record.
    """
    status, alert = sync.status, sync.status.alert
    if alert is None:
        raise UnfinishedSyncError(f"sync {sync.name} has no alert to send")
    has_succeeded = status.phase is Phase.SUCCEEDED
    body = _AlertBody(
        event=STALE_EVENT,
        timestamp=format_timestamp(alert.time),
        status="stale",
        last_success=_LastSuccess(
            sync_id=sync.name if has_succeeded else None,
            timestamp=_format_optional_time(status.completion_time if has_succeeded else None),
            date_range=_build_date_range(status if has_succeeded else EstimateSyncStatus()),
        ),
        hours_since=(alert.time - alert.since) // timedelta(hours=1),
        stale_after_hours=alert.stale_after_hours,
        environment=alert.delivery.environment,
        details_url=alert.delivery.details_url or msgspec.UNSET,
    )
    return msgspec.json.encode(body)


def _format_optional_time(moment: datetime | None) -> str | None:
    return format_timestamp(moment) if moment else None


def _build_error(status: EstimateSyncStatus) -> str | None:
    if status.phase is Phase.SUCCEEDED:
        return None
    if status.phase is Phase.CANCELLED:
        return CANCELLED
    return status.message or _NO_CAUSE


def _build_mode(sync: EstimateSync) -> str | None:
    return sync.status.mode.lower() if sync.status.mode else None


def _build_results(results: Results, *, has_succeeded: bool) -> _Results:
    """A sync is all or nothing, so one that did not succeed reports zeros."""
    looked = results.deleted_estimates is not msgspec.UNSET
    counts = results if has_succeeded else Results(deleted_estimates=0 if looked else msgspec.UNSET)
    return _Results(
        total_fetched=counts.total_fetched,
        new_estimates=counts.new_estimates,
        updated_estimates=counts.updated_estimates,
        total_processed=counts.total_processed,
        deleted_estimates=counts.deleted_estimates,
    )


def _build_date_range(status: EstimateSyncStatus) -> _DateRange:
    if status.date_range is None:
        return _DateRange(start_date=None, end_date=None)
    return _DateRange(
        start_date=status.date_range.start.isoformat(),
        end_date=status.date_range.end.isoformat(),
    )


def _build_performance(seconds: int) -> _Performance:
    """Round half up as JavaScript's Math.round does, in whole tenths of a minute (six seconds each)."""
    return _Performance(duration_seconds=seconds, duration_minutes=(seconds + 3) // 6 / 10)
