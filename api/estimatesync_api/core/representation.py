"""What is sent and answered: the shapes, the sentences, and how each answer is made of what is known. Pure.

Answers are made of these types, and `/openapi.json` shows them. Every field is always there, null when nothing is known
yet, because Make.com learns the fields from its first sample. Names are spelt as in the callback: snake_case.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.log_lines import format_finished
from estimatesync_contract.names import (
    ANNOTATION_CANCELLED_BY,
    ANNOTATION_REDELIVERED_BY,
    ANNOTATION_STARTED_BY,
    build_page_path,
)
from estimatesync_contract.spec import (
    METADATA_MAX_LENGTH,
    NO_METADATA,
    DateRange,
    MetadataFields,
    Mode,
    parse_metadata,
)
from estimatesync_contract.specific_causes import find_cure
from estimatesync_contract.status import CallbackState, CallbackStatus, Phase, Progress, Results, UnshownFields
from estimatesync_contract.timestamps import format_timestamp
from msgspec import UNSET, Meta, UnsetType

from estimatesync_api.core.listing import Place, SyncPage, find_phase, format_cursor
from estimatesync_api.core.problems import ApiError

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
MODES: Final = tuple(mode.lower() for mode in Mode)

MAX_DAYS: Final = 10_000
Days = Annotated[
    Annotated[int, Meta(ge=0, le=MAX_DAYS)] | None,
    Meta(description="Days before endDate, instead of startDate; 0: that day alone.", examples=[7]),
]
Actor = (
    Annotated[
        str,
        Meta(
            description="Whoever asked for it: the name of a key; or `user` or `schedule` and a name; or absent.",
            examples=["make"],
        ),
    ]
    | UnsetType
)
GivenMetadata = (
    Annotated[
        MetadataFields | None,
        Meta(description="With the values that were sent; only there where the deployment takes them."),
    ]
    | UnsetType
)
Log = Annotated[list[str], Meta(description="The end of what the sync has printed.")]

STARTED: Final = "Background synchronization started. This may take several minutes."
CANCEL_REQUESTED: Final = "The sync will be stopped."
CANCEL_TOO_LATE: Final = "The sync had ended already."
REDELIVERY_REQUESTED: Final = "The callback will be sent again, with the same id and body."


FilterMoment = Annotated[
    str | None, Meta(description="As in the list of syncs.", examples=["2025-09-01", "2025-09-01T14:00:00Z"])
]


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """What all have in common."""


class RequestBody(Body, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which days to sync, both included, and how; today and the 45 days before it when neither is given."""

    start: Day = msgspec.field(name="startDate", default=None)
    end: Day = msgspec.field(name="endDate", default=None)
    start_alias: Day = msgspec.field(name="start_date", default=None)
    end_alias: Day = msgspec.field(name="end_date", default=None)
    mode: Annotated[
        str | None,
        Meta(
            description="whole, as when absent: all estimates of these days. changes: those that have changed since an "
            "earlier sync, where one serves; otherwise, and at least every seven days, all of them.",
            extra_json_schema={"enum": [*MODES, "", None]},
        ),
    ] = None
    days: Days = None
    metadata: Annotated[
        MetadataFields | None,
        Meta(
            description="What the 202, the status and the callback give back, where the deployment takes it; at most"
            f" {METADATA_MAX_LENGTH} bytes of JSON.",
            examples=[{"order": 4711, "team": "billing"}],
        ),
    ] = None
    callback: Annotated[
        str | tuple[str, ...] | None,
        Meta(description="Where the outcome goes: the name of a callback target, or several.", examples=["billing"]),
    ] = None


class RedeliveryBody(Body, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whose callback to send again; all of the sync's when absent."""

    callback: Annotated[
        str | tuple[str, ...] | None,
        Meta(description="The name of a callback target of the sync, or several.", examples=["billing"]),
    ] = None


class RedeliveryFilterBody(Body, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whose callbacks to send again, of those that were given up; all when absent."""

    since: FilterMoment = None
    until: FilterMoment = None
    cursor: Annotated[str | None, Meta(description="The next_cursor of the answer before.")] = None


class Answered(Body, frozen=True, kw_only=True):
    """The question was answered, whatever became of the sync."""

    success: Literal[True] = True


class AcceptedBody(Answered, frozen=True, kw_only=True):
    """The sync is stored and will run."""

    message: str
    status: Literal["processing"] = "processing"
    timestamp: Instant
    sync_id: SyncId
    mode: Annotated[Literal["changes"], Meta(description="Only there where changes were asked for.")] | UnsetType = (
        UNSET
    )
    metadata: GivenMetadata = UNSET
    warnings: (
        Annotated[
            tuple[str, ...],
            Meta(description="What of the query was not understood; absent where there is nothing to say."),
        ]
        | UnsetType
    ) = UNSET


class OutcomeBody(Answered, frozen=True, kw_only=True):
    """The sync was waited for and has succeeded."""

    message: str
    new: Count
    updated: Count
    log: Log
    sync_id: SyncId
    mode: (
        Annotated[
            str,
            Meta(
                description="How it was done; only there where changes were asked for.",
                extra_json_schema={"enum": list(MODES)},
            ),
        ]
        | UnsetType
    ) = UNSET


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
    deleted_estimates: Annotated[
        Count | None, Meta(description="How many were marked as deleted; null where none are looked for.")
    ]
    previous_total_fetched: Annotated[
        Count | None, Meta(description="What the sync before had fetched, of as many days up to about these.")
    ]


class UnshownBody(Body, frozen=True, kw_only=True):
    """What Attic Tech does not show, and the tables therefore keep as it is."""

    estimates: Count
    fields: Annotated[list[str], Meta(examples=[["branch", "user"]])]


class CallbackBody(Body, frozen=True, kw_only=True):
    """Whether the outcome, or an alert, has reached the webhook."""

    target: Annotated[str, Meta(description="The name of its target; absent for one without.")] | UnsetType = UNSET
    state: Annotated[str, Meta(extra_json_schema={"enum": list(CALLBACK_STATES)})]
    attempts: Annotated[int, Meta(ge=0, description="Since it was last asked for.")]
    earlier_attempts: Annotated[int, Meta(ge=0, description="Before it was asked for again.")]
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
    cure: Annotated[str | None, Meta(description="What to do about it, where something is to be done.")]
    date_range: RangeBody | None
    progress: ProgressBody | None
    results: ResultsBody | None
    callback: Annotated[CallbackBody | None, Meta(description="Of several, the first.")]
    created_at: Instant | None
    started_at: Instant | None
    completed_at: Instant | None
    duration_seconds: Count | None
    callbacks: (
        Annotated[list[CallbackBody], Meta(description="All callbacks; only there where targets were named.")]
        | UnsetType
    ) = UNSET
    unshown: (
        Annotated[UnshownBody, Meta(description="How many estimates Attic Tech shows without which fields; or absent.")]
        | UnsetType
    ) = UNSET
    alert: (
        Annotated[
            CallbackBody, Meta(description="That no sync has succeeded since; only there where that was to be told.")
        ]
        | UnsetType
    ) = UNSET
    mode: (
        Annotated[
            str | None,
            Meta(
                description="How it was done, null until it is known; only there where changes were asked for.",
                extra_json_schema={"enum": [*MODES, None]},
            ),
        ]
        | UnsetType
    ) = UNSET
    metadata: GivenMetadata = UNSET
    details_url: (
        Annotated[str, Meta(description="Its page, for people; only there where the deployment says where that is.")]
        | UnsetType
    ) = UNSET
    started_by: Actor = UNSET
    cancelled_by: Actor = UNSET
    redelivered_by: Actor = UNSET


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


class RedeliveredBody(Answered, frozen=True, kw_only=True):
    """Which syncs' callbacks will be sent again, of those that were looked at."""

    message: str
    sync_ids: list[str]
    next_cursor: Annotated[
        str | None, Meta(description="Sent as cursor, it goes on with earlier syncs, if there are more.")
    ]


class ProblemBody(Body, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was not answered as asked."""

    success: Literal[False]
    message: Annotated[str, Meta(description="For people.")]
    code: Annotated[str, Meta(description="For programs; it stays as it is.")]
    errors: Annotated[list[str], Meta(description="Each fault, if there are several.")] | UnsetType = UNSET
    cure: (
        Annotated[str, Meta(description="What whoever runs the service should do; only where that is known.")]
        | UnsetType
    ) = UNSET
    sync_id: Annotated[str, Meta(description="The sync that goes on all the same.")] | UnsetType = UNSET


class HealthBody(Body, frozen=True, kw_only=True):
    """The process serves; or, asked for readiness, it could store a sync."""

    status: Literal["ok", "ready"]


def to_accepted_body(
    sync_id: str,
    now: datetime,
    *,
    warnings: tuple[str, ...] = (),
    mode: Mode = Mode.WHOLE,
    metadata: MetadataFields | UnsetType | None = UNSET,
) -> AcceptedBody:
    """The 202 of a sync that is stored and will run; scenarios depend on these fields and their order."""
    return AcceptedBody(
        message=STARTED,
        timestamp=format_timestamp(now),
        sync_id=sync_id,
        mode="changes" if mode is Mode.CHANGES else UNSET,
        metadata=metadata,
        warnings=warnings or UNSET,
    )


def to_success_body(sync: EstimateSync, log: tuple[str, ...]) -> OutcomeBody:
    """The 200 of a sync that was waited for."""
    results = sync.status.results or Results()
    return OutcomeBody(
        message=format_finished(results.new_estimates, results.updated_estimates),
        new=results.new_estimates,
        updated=results.updated_estimates,
        log=list(log),
        sync_id=sync.name,
        mode=_find_mode(sync) or UNSET,
    )


def _find_mode(sync: EstimateSync) -> str | UnsetType | None:
    if sync.spec.mode is not Mode.CHANGES:
        return UNSET
    return sync.status.mode.lower() if sync.status.mode else None


def to_failure_body(sync_id: str, error: str, log: tuple[str, ...]) -> FailureBody:
    """The 500 of a sync that was waited for and did not succeed."""
    return FailureBody(error=error, log=list(log), sync_id=sync_id)


def compute_error(sync: EstimateSync) -> str:
    """Say why a finished sync did not succeed."""
    if sync.status.phase is Phase.CANCELLED:
        return "Cancelled"
    return sync.status.message or sync.status.reason or "The sync failed without saying why."


def to_problem_body(error: ApiError) -> ProblemBody:
    """Write the body of an error; `errors` lists the faults when there is more than one."""
    return ProblemBody(
        success=False,
        message=str(error),
        code=error.problem.code,
        errors=list(error.faults) if len(error.faults) > 1 else UNSET,
        cure=error.cause.cure if error.cause else UNSET,
        sync_id=error.sync_id or UNSET,
    )


def to_sync_body(sync: EstimateSync, *, public_url: str = "") -> SyncBody:
    """The answer to a GET of one sync; `public_url` is where the status page is, if that is known."""
    return SyncBody(**msgspec.structs.asdict(to_sync_state(sync, public_url=public_url)))


def to_list_body(page: SyncPage, *, public_url: str = "") -> SyncListBody:
    """One page of the list."""
    syncs = [to_sync_state(sync, public_url=public_url) for sync in page.syncs]
    return SyncListBody(syncs=syncs, next_cursor=format_cursor(page.end))


def to_request_body(message: str, sync: EstimateSync, *, public_url: str = "") -> SyncRequestedBody:
    """The answer to a request about a sync that is there, with the sync as it is now."""
    return SyncRequestedBody(message=message, sync=to_sync_state(sync, public_url=public_url))


def to_redelivered_body(sync_ids: Sequence[str], end: Place | None) -> RedeliveredBody:
    """The answer to a request for all callbacks that were given up."""
    message = f"Syncs whose callbacks will be sent again: {len(sync_ids)}."
    return RedeliveredBody(message=message, sync_ids=list(sync_ids), next_cursor=format_cursor(end))


def to_sync_state(sync: EstimateSync, *, public_url: str = "") -> SyncState:
    """One sync. One that the operator has not seen yet is queued. Nothing about where it runs is shown."""
    status = sync.status
    return SyncState(
        sync_id=sync.name,
        status=find_phase(sync).lower(),
        reason=status.reason,
        message=status.message,
        cure=find_cure(status.reason, status.cause) or None,
        date_range=_to_range_body(status.date_range or sync.spec.date_range),
        progress=_to_progress_body(status.progress),
        results=_to_results_body(status.results),
        callback=_to_callback_body(status.callback) if status.callback else None,
        created_at=_format_optional_time(sync.metadata.creation_timestamp),
        started_at=_format_optional_time(status.start_time),
        completed_at=_format_optional_time(status.completion_time),
        duration_seconds=status.duration_seconds,
        callbacks=[_to_callback_body(each) for each in status.callbacks] or UNSET,
        unshown=_to_unshown_body(status.unshown),
        alert=_to_callback_body(status.alert.delivery) if status.alert else UNSET,
        mode=_find_mode(sync),
        metadata=_find_metadata(sync),
        details_url=f"{public_url}{build_page_path(sync.name)}" if public_url else UNSET,
        started_by=sync.metadata.annotations.get(ANNOTATION_STARTED_BY, UNSET),
        cancelled_by=sync.metadata.annotations.get(ANNOTATION_CANCELLED_BY, UNSET),
        redelivered_by=sync.metadata.annotations.get(ANNOTATION_REDELIVERED_BY, UNSET),
    )


def _find_metadata(sync: EstimateSync) -> MetadataFields | UnsetType | None:
    text = sync.status.metadata or sync.spec.metadata
    if text is None:
        return UNSET
    return None if text == NO_METADATA else parse_metadata(text)


def _to_unshown_body(unshown: UnshownFields | None) -> UnshownBody | UnsetType:
    return UNSET if unshown is None else UnshownBody(estimates=unshown.estimates, fields=list(unshown.fields))


def _to_range_body(days: DateRange | None) -> RangeBody | None:
    return RangeBody(start_date=days.start, end_date=days.end) if days else None


def _to_progress_body(progress: Progress | None) -> ProgressBody | None:
    return ProgressBody(**msgspec.structs.asdict(progress)) if progress else None


def _to_results_body(results: Results | None) -> ResultsBody | None:
    if results is None:
        return None
    counts = msgspec.structs.asdict(results)
    shown: dict[str, Any] = {name: None if count is UNSET else count for name, count in counts.items()}
    return ResultsBody(**shown)


def _to_callback_body(callback: CallbackStatus) -> CallbackBody:
    return CallbackBody(
        target=callback.target or UNSET,
        state=callback.state.lower(),
        attempts=callback.attempts,
        earlier_attempts=callback.earlier_attempts,
        last_attempt_at=_format_optional_time(callback.last_attempt_time),
        next_attempt_at=_format_optional_time(callback.next_attempt_time),
        last_status_code=callback.last_status_code,
        last_error=callback.last_error,
    )


def _format_optional_time(moment: datetime | None) -> str | None:
    return format_timestamp(moment) if moment else None
