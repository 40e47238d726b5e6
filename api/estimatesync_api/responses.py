"""The bodies of good answers, as Make.com scenarios read them. Pure.

Every key is always there, null when nothing is known yet, because Make.com learns the fields from its first sample.
Names are spelt as in the callback: snake_case.
"""

from datetime import datetime
from typing import Any, Final

import msgspec
from estimatesync_contract.date_ranges import DateRange
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.instants import represent_instant
from estimatesync_contract.log_lines import represent_finished
from estimatesync_contract.status import CallbackStatus, Phase, Results

from estimatesync_api.list_request import represent_cursor
from estimatesync_api.listing import SyncPage, find_phase

STARTED: Final = "Background synchronization started. This may take several minutes."


def represent_accepted(sync_id: str, now: datetime) -> dict[str, Any]:
    """The 202 of a sync that is stored and will run; scenarios depend on these fields and their order."""
    return {
        "success": True,
        "message": STARTED,
        "status": "processing",
        "timestamp": represent_instant(now),
        "sync_id": sync_id,
    }


def represent_success(sync: EstimateSync, log: tuple[str, ...]) -> dict[str, Any]:
    """The 200 of a sync that was waited for."""
    results = sync.status.results or Results()
    return {
        "success": True,
        "message": represent_finished(results.new_estimates, results.updated_estimates),
        "new": results.new_estimates,
        "updated": results.updated_estimates,
        "log": list(log),
        "sync_id": sync.name,
    }


def represent_failure(sync_id: str, error: str, log: tuple[str, ...]) -> dict[str, Any]:
    """The 500 of a sync that was waited for and did not succeed."""
    return {
        "success": False,
        "message": "Synchronization failed.",
        "error": error,
        "log": list(log),
        "sync_id": sync_id,
    }


def compute_error(sync: EstimateSync) -> str:
    """Say why a finished sync did not succeed."""
    if sync.status.phase is Phase.CANCELLED:
        return "Cancelled"
    return sync.status.message or sync.status.reason or "The sync failed without saying why."


def represent_sync(sync: EstimateSync) -> dict[str, Any]:
    """The answer to a GET of one sync. `success` says that the question was answered."""
    return {"success": True, **represent_state(sync)}


def represent_list(page: SyncPage) -> dict[str, Any]:
    """One page of the list; `next_cursor` leads to the next one, if there is one."""
    return {
        "success": True,
        "syncs": [represent_state(sync) for sync in page.syncs],
        "next_cursor": represent_cursor(page.end),
    }


def represent_request(message: str, sync: EstimateSync) -> dict[str, Any]:
    """The answer to a request about a sync that is there, with the sync as it is now."""
    return {"success": True, "message": message, "sync": represent_state(sync)}


def represent_state(sync: EstimateSync) -> dict[str, Any]:
    """One sync.

    `status` is how it is: queued (also before anyone has looked at it), running, succeeded, failed or cancelled.
    Nothing about the place where it runs is shown.
    """
    status = sync.status
    return {
        "sync_id": sync.name,
        "status": find_phase(sync).lower(),
        "reason": status.reason,
        "message": status.message,
        "date_range": _represent_range(status.date_range or sync.spec.date_range),
        "progress": msgspec.structs.asdict(status.progress) if status.progress else None,
        "results": msgspec.structs.asdict(status.results) if status.results else None,
        "callback": _represent_callback(status.callback) if status.callback else None,
        "created_at": _represent_optional_time(sync.metadata.creation_timestamp),
        "started_at": _represent_optional_time(status.start_time),
        "completed_at": _represent_optional_time(status.completion_time),
        "duration_seconds": status.duration_seconds,
    }


def _represent_range(days: DateRange | None) -> dict[str, str] | None:
    return {"start_date": days.start.isoformat(), "end_date": days.end.isoformat()} if days else None


def _represent_callback(callback: CallbackStatus) -> dict[str, Any]:
    return {
        "state": callback.state.lower(),
        "attempts": callback.attempts,
        "last_attempt_at": _represent_optional_time(callback.last_attempt_time),
        "next_attempt_at": _represent_optional_time(callback.next_attempt_time),
        "last_status_code": callback.last_status_code,
        "last_error": callback.last_error,
    }


def _represent_optional_time(moment: datetime | None) -> str | None:
    return represent_instant(moment) if moment else None
