"""The shapes of everything that is sent and answered: answers are made of these types, and `/openapi.json` shows them.

Every field is always there, null when nothing is known yet, because Make.com learns the fields from its first sample.
Names are spelt as in the callback: snake_case.
"""

from datetime import date
from typing import Annotated, Final, Literal

import msgspec
from estimatesync_contract.status import CallbackState, Phase
from msgspec import UNSET, Meta, UnsetType

STATUSES: Final = tuple(phase.lower() for phase in Phase)
CALLBACK_STATES: Final = tuple(state.lower() for state in CallbackState)

SyncId = Annotated[str, Meta(description="Names the sync from now on.", examples=["est-20251016-140900000-k3x9q2ab"])]
Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, examples=["2025-10-16T14:09:00.000Z"])]
Count = Annotated[int, Meta(ge=0)]
Day = Annotated[
    str | None,
    Meta(
        description="YYYY-MM-DD; null or blank counts as absent.",
        examples=["2025-09-01"],
        extra_json_schema={"format": "date"},
    ),
]
Log = Annotated[list[str], Meta(description="The end of what the sync has printed.")]


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """What all have in common."""


class RequestBody(Body, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which days to sync, both included; the last 45 days up to today when neither is given."""

    start: Day = msgspec.field(name="startDate", default=None)
    end: Day = msgspec.field(name="endDate", default=None)
    start_alias: Day = msgspec.field(name="start_date", default=None)
    end_alias: Day = msgspec.field(name="end_date", default=None)


class Answered(Body, frozen=True, kw_only=True):
    """The question was answered, whatever became of the sync."""

    success: Literal[True] = True


class AcceptedBody(Answered, frozen=True, kw_only=True):
    """The sync is stored and will run."""

    message: str
    status: Literal["processing"] = "processing"
    timestamp: Instant
    sync_id: SyncId


class OutcomeBody(Answered, frozen=True, kw_only=True):
    """The sync was waited for and has succeeded."""

    message: str
    new: Count
    updated: Count
    log: Log
    sync_id: SyncId


class FailureBody(Body, frozen=True, kw_only=True):
    """The sync was waited for and has not succeeded."""

    success: Literal[False] = False
    message: Literal["Synchronization failed."] = "Synchronization failed."
    error: Annotated[str, Meta(description="The cause, for a person.")]
    log: Log
    sync_id: SyncId


class RangeBody(Body, frozen=True, kw_only=True):
    """Days, both included."""

    start_date: date
    end_date: date


class ProgressBody(Body, frozen=True, kw_only=True):
    """How far the fetch has come."""

    page: Count
    total_pages: Count
    fetched: Count
    percent: Annotated[int, Meta(ge=0, le=100)]
    text: Annotated[str, Meta(examples=["9/17"])]


class ResultsBody(Body, frozen=True, kw_only=True):
    """New and updated together are all that were processed; the skipped ones were broken in Attic Tech."""

    total_fetched: Count
    new_estimates: Count
    updated_estimates: Count
    unchanged_estimates: Annotated[int, Meta(ge=0, description="How many of the updated were equal already.")]
    skipped_estimates: Count
    total_processed: Count


class CallbackBody(Body, frozen=True, kw_only=True):
    """Whether the outcome has reached the webhook."""

    state: Annotated[str, Meta(extra_json_schema={"enum": list(CALLBACK_STATES)})]
    attempts: Count
    last_attempt_at: Instant | None
    next_attempt_at: Instant | None
    last_status_code: int | None
    last_error: str | None


class SyncState(Body, frozen=True, kw_only=True):
    """One sync as it is now."""

    sync_id: SyncId
    status: Annotated[str, Meta(extra_json_schema={"enum": list(STATUSES)})]
    reason: Annotated[str | None, Meta(description="Why it is where it is, in one word for programs.")]
    message: Annotated[str | None, Meta(description="The same for people.")]
    date_range: RangeBody | None
    progress: ProgressBody | None
    results: ResultsBody | None
    callback: CallbackBody | None
    created_at: Instant | None
    started_at: Instant | None
    completed_at: Instant | None
    duration_seconds: Count | None


class SyncBody(SyncState, frozen=True, kw_only=True):
    """One sync as it is now; `success` only says that the question was answered."""

    success: Literal[True] = True


class SyncListBody(Answered, frozen=True, kw_only=True):
    """A page of syncs, newest first."""

    syncs: list[SyncState]
    next_cursor: Annotated[str | None, Meta(description="Leads to the next page, if there is one.")]


class SyncRequestedBody(Answered, frozen=True, kw_only=True):
    """What will be done about a sync, or why nothing need be."""

    message: str
    sync: SyncState


class ProblemBody(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was not answered as asked."""

    success: Literal[False]
    message: Annotated[str, Meta(description="For people.")]
    code: Annotated[str, Meta(description="For programs; it stays as it is.")]
    errors: Annotated[list[str], Meta(description="Each fault, if there are several.")] | UnsetType = UNSET
    sync_id: Annotated[str, Meta(description="The sync that goes on all the same.")] | UnsetType = UNSET


class HealthBody(Body, frozen=True, kw_only=True):
    """The process serves; or, asked for readiness, it could store a sync."""

    status: Literal["ok", "ready"]
