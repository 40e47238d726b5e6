"""What a person sees: the status of an EstimateSync, written only by the reconciler."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from estimatesync_contract.causes import BLOCKERS, ENDS, Reason
from estimatesync_contract.spec import (
    MAX_CALLBACK_TARGETS,
    METADATA_MAX_LENGTH,
    TARGET_NAME_MAX_LENGTH,
    DateRange,
    Mode,
    Options,
)

MESSAGE_MAX_LENGTH: Final = 1024
"""Also the longest message that an Event may carry."""
ATTEMPT_ERROR_MAX_LENGTH: Final = 256
ATTEMPTS_KEPT: Final = 20
"""Enough to see how a delivery went; a status must not grow with each attempt."""
KEPT_LOG_LINES: Final = 200
KEPT_LINE_MAX_LENGTH: Final = 256
"""Of a log that a status keeps: together at most 50 KB, in practice the 10 KB of a hundred pages."""
FIELDS_MAX: Final = 32
"""Fields of an estimate that a status lists."""
QUEUE_NAMES_MAX: Final = 3
"""Names of running syncs that a waiting one lists."""
_CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far clocks may be apart."""

_INT64_MAX: Final = 2**53 - 1
"""JSON numbers stay exact up to here in every language that reads the status."""

Count = Annotated[int, Meta(ge=0, le=_INT64_MAX)]
Time = Annotated[datetime, Meta(tz=True)]
ReasonName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
"""A `Reason`; plain text here, so that an older reader survives a newer writer."""

Message = Annotated[str, Meta(max_length=MESSAGE_MAX_LENGTH)]


class Phase(StrEnum):
    """Where a sync is in its life. The last three are final."""

    QUEUED = "Queued"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def is_final(self) -> bool:
        """True when the outcome of the sync will never change again."""
        return self in {Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED}


class CallbackState(StrEnum):
    """Where a callback of a sync is. Delivered, Failed and Disabled are final."""

    PENDING = "Pending"
    RETRYING = "Retrying"
    DELIVERED = "Delivered"
    FAILED = "Failed"
    DISABLED = "Disabled"

    @property
    def is_final(self) -> bool:
        """True when no further attempt will be made."""
        return self in {CallbackState.DELIVERED, CallbackState.FAILED, CallbackState.DISABLED}


_WORST_FIRST: Final = (
    CallbackState.FAILED,
    CallbackState.RETRYING,
    CallbackState.PENDING,
    CallbackState.DELIVERED,
    CallbackState.DISABLED,
)


class ConditionType(StrEnum):
    """All are set by the first reconcile pass, so that `kubectl wait` never waits for a missing one.

    Complete and Failed mean what they mean on a Job; Finished covers both, for clients that wait for either
    end. Stalled means what it means to kstatus: someone must act before the sync can go on. Its transition time is when
    that began.
    """

    FINISHED = "Finished"
    COMPLETE = "Complete"
    FAILED = "Failed"
    STALLED = "Stalled"
    CALLBACK_DELIVERED = "CallbackDelivered"


class ConditionStatus(StrEnum):
    """True, False, or Unknown while it is not decided yet."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A metav1.Condition, by the API conventions of Kubernetes (sig-architecture, api-conventions.md)."""

    type: Annotated[str, Meta(min_length=1, max_length=64, description="What this is about.")]
    status: ConditionStatus
    observed_generation: Annotated[Count, Meta(description="The generation of the spec this is about.")]
    last_transition_time: Annotated[Time, Meta(description="When the status of the condition last changed.")]
    reason: Annotated[ReasonName, Meta(description="Why, in one word.")]
    message: Annotated[Message, Meta(description="Why, for people.")]


class Progress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far the fetch has come. `text` (`9/17`) exists because a printer column is a single JSONPath."""

    page: Annotated[Count, Meta(description="The newest page that has been read.")]
    total_pages: Annotated[Count, Meta(description="Pages to read, as Attic Tech first reported.")]
    fetched: Annotated[Count, Meta(description="Estimates read so far, by the newest pod.")]
    percent: Annotated[int, Meta(ge=0, le=100, description="Share of the pages that has been read.")]
    text: Annotated[str, Meta(max_length=64, description="page/totalPages.")]


class Results(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Distinct records: new + updated = processed; unchanged says how many of the updated were equal already.

    Skipped ones were broken in Attic Tech, and are in no other count but fetched.
    """

    total_fetched: Annotated[Count, Meta(description="Estimates read, each once.")] = 0
    new_estimates: Annotated[Count, Meta(description="Estimates that the database did not have.")] = 0
    updated_estimates: Annotated[Count, Meta(description="Estimates that the database had, changed or not.")] = 0
    unchanged_estimates: Annotated[Count, Meta(description="Those of the updated that were equal already.")] = 0
    skipped_estimates: Annotated[Count, Meta(description="Estimates that cannot be stored; the log names them.")] = 0
    total_processed: Annotated[Count, Meta(description="New and updated together.")] = 0
    deleted_estimates: (
        Annotated[Count, Meta(description="Estimates marked as deleted; absent where they are not looked for.")]
        | UnsetType
    ) = UNSET
    previous_total_fetched: (
        Annotated[Count, Meta(description="Estimates that the sync before had read, of as many days up to about here.")]
        | UnsetType
    ) = UNSET

    @property
    def changed_estimates(self) -> int:
        """Those of the updated that were not equal already."""
        return max(0, self.updated_estimates - self.unchanged_estimates)


class UnshownFields(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What Attic Tech does not show: an id instead of a branch, or nothing at all. What is stored of it is kept."""

    estimates: Annotated[Count, Meta(description="Of how many estimates a field is not shown.")]
    fields: Annotated[
        tuple[Annotated[str, Meta(max_length=64)], ...],
        Meta(max_length=FIELDS_MAX, description="Which fields, by their names in Attic Tech."),
    ]


class CallbackAttemptRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One attempt to deliver the callback. Without an error it was delivered."""

    time: Annotated[Time, Meta(description="When it was made.")]
    status_code: Annotated[int, Meta(ge=100, le=999, description="The HTTP status that it got.")] | None = None
    error: (
        Annotated[str, Meta(max_length=ATTEMPT_ERROR_MAX_LENGTH, description="Why it did not deliver, in short.")]
        | None
    ) = None


class CallbackStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The delivery record. All that an attempt says is fixed before the first one, so that all are the same."""

    state: Annotated[CallbackState, Meta(description="Delivered, Failed and Disabled are final.")]
    target: (
        Annotated[
            str, Meta(max_length=TARGET_NAME_MAX_LENGTH, description="The webhook's name; absent for one without.")
        ]
        | None
    ) = None
    id: Annotated[str, Meta(max_length=128, description="The header webhook-id of every attempt.")] | None = None
    environment: Annotated[str, Meta(max_length=64, description="Sent along with every attempt.")] | None = None
    details_url: Annotated[str, Meta(max_length=512, description="Likewise; absent without a PUBLIC_URL.")] | None = (
        None
    )
    attempts: Annotated[Count, Meta(description="Attempts made so far, since it was last asked for.")] = 0
    earlier_attempts: Annotated[Count, Meta(description="Attempts made before another delivery was asked for.")] = 0
    first_attempt_time: Annotated[Time | None, Meta(description="When the first of them was made.")] = None
    last_attempt_time: Annotated[Time | None, Meta(description="When the newest attempt was made.")] = None
    next_attempt_time: Annotated[Time | None, Meta(description="When the next attempt is due.")] = None
    last_status_code: (
        Annotated[int, Meta(ge=100, le=999, description="The HTTP status that the newest attempt got.")] | None
    ) = None
    last_error: Annotated[Message | None, Meta(description="Why the newest attempt did not deliver.")] = None
    redelivery: (
        Annotated[str, Meta(max_length=64, description="The newest request for another delivery that was served.")]
        | None
    ) = None
    history: Annotated[
        tuple[CallbackAttemptRecord, ...],
        Meta(max_length=ATTEMPTS_KEPT, description="The newest attempts, the oldest first."),
    ] = ()


class AlertStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The alert that no sync has succeeded for long. All that it says is fixed before the first attempt."""

    time: Annotated[Time, Meta(description="When that was noticed.")]
    since: Annotated[
        Time, Meta(description="When a sync has succeeded last; if none has, when the oldest was created.")
    ]
    stale_after_hours: Annotated[Count, Meta(description="After how many hours without a success it is sent.")]
    delivery: Annotated[CallbackStatus, Meta(description="Its delivery, by the rules of callbacks.")]


class QueuePlace(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Where a waiting sync stands. Exact for the first of the queue only: each change of it is a write."""

    position: Annotated[Count, Meta(description="1 is the next to start; rounded down where it is not exact.")]
    exact: Annotated[bool, Meta(description="false: this position or a later one.")] = True
    ahead: Annotated[
        tuple[Annotated[str, Meta(max_length=253)], ...],
        Meta(max_length=QUEUE_NAMES_MAX, description="Running syncs that are waited for, the oldest first."),
    ] = ()
    more_ahead: Annotated[Count, Meta(description="How many further syncs are running.")] = 0


class EstimateSyncStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The observed state; absent fields are not known yet."""

    observed_generation: Annotated[Count | None, Meta(description="The generation of the spec this is about.")] = None
    phase: Annotated[Phase | None, Meta(description="Succeeded, Failed and Cancelled are final.")] = None
    reason: Annotated[ReasonName | None, Meta(description="Why the sync is where it is, in one word.")] = None
    message: Annotated[Message | None, Meta(description="The same for people, with what to do.")] = None
    cause: Annotated[
        ReasonName | None, Meta(description="What it is more exactly, in one word; absent where that is not known.")
    ] = None
    date_range: Annotated[DateRange | None, Meta(description="The days that are synced, both included.")] = None
    options: Annotated[
        Options | None, Meta(description="How the sync runs: as its spec says, else as the operator is set to.")
    ] = None
    mode: Annotated[
        Mode | None, Meta(description="Whether all estimates of these days were read, or those that had changed.")
    ] = None
    queue: Annotated[
        QueuePlace | None, Meta(description="The position in the queue; absent unless the sync is queued.")
    ] = None
    job_name: Annotated[str, Meta(max_length=63, description="The job; on record before it is created.")] | None = None
    pod_name: Annotated[str, Meta(max_length=253, description="The newest pod of the job.")] | None = None
    runs: Annotated[Count | None, Meta(description="Pods that were begun, as far as they were seen.")] = None
    start_time: Annotated[Time | None, Meta(description="When the sync got its slot.")] = None
    completion_time: Annotated[Time | None, Meta(description="When the sync ended.")] = None
    duration_seconds: Annotated[Count | None, Meta(description="From the start to the end.")] = None
    duration: Annotated[str, Meta(max_length=32, description="The same for people, such as 8m7s.")] | None = None
    progress: Annotated[Progress | None, Meta(description="How far the newest pod has come.")] = None
    results: Annotated[Results | None, Meta(description="What was stored; all zero when the sync failed.")] = None
    unshown: Annotated[
        UnshownFields | None, Meta(description="What Attic Tech does not show; absent when that is nothing.")
    ] = None
    metadata: (
        Annotated[
            str,
            Meta(
                max_length=METADATA_MAX_LENGTH,
                description="What the callback says besides, as JSON; null where the operator is set to say it always.",
            ),
        ]
        | None
    ) = None
    callback: Annotated[
        CallbackStatus | None, Meta(description="The delivery of the callback that is owed; of several, the first.")
    ] = None
    callbacks: Annotated[
        tuple[CallbackStatus, ...],
        Meta(max_length=MAX_CALLBACK_TARGETS, description="All deliveries, where targets were named."),
    ] = ()
    alert: Annotated[
        AlertStatus | None,
        Meta(description="That no sync has succeeded since this one; or none at all, and this one has ended first."),
    ] = None
    log: Annotated[
        tuple[Annotated[str, Meta(max_length=KEPT_LINE_MAX_LENGTH)], ...],
        Meta(max_length=KEPT_LOG_LINES, description="The end of its log, if its pod had to be removed."),
    ] = ()
    retained: Annotated[
        bool, Meta(description="The sync is past its time, and stays because none has succeeded since.")
    ] = False
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(description="Finished, Complete, Failed, Stalled and CallbackDelivered, for kubectl wait."),
    ] = ()

    @property
    def is_job_pending(self) -> bool:
        """True while the job is still to be created: it is on record by name, and has never been seen."""
        return self.reason in {Reason.STARTING, Reason.JOB_REFUSED}

    def has_succeeded_by(self, now: datetime) -> bool:
        """Return whether the sync has succeeded, by an end that can be right: no later than now."""
        is_over = self.completion_time is not None and self.completion_time <= compute_latest_end(now)
        return is_over and self.phase is Phase.SUCCEEDED

    @property
    def is_being_ended(self) -> bool:
        """True once a running sync is given up for the reason on record; its job is stopped, and that is its end."""
        return self.phase is Phase.RUNNING and self.reason in ENDS

    @property
    def stalled_since(self) -> datetime | None:
        """Since when something keeps a running sync that a person must act on; None when nothing does.

        A reason that a newer version has written, and this one does not know, counts as nothing.
        """
        if self.reason not in BLOCKERS:
            return None
        since = (
            condition.last_transition_time
            for condition in self.conditions
            if condition.type == ConditionType.STALLED and condition.status is ConditionStatus.TRUE
        )
        return next(since, None)

    @property
    def deliveries(self) -> tuple[CallbackStatus, ...]:
        """The record of each callback, in the order of their targets; empty until the sync has ended."""
        return self.callbacks or ((self.callback,) if self.callback else ())

    @property
    def is_alert_given_up(self) -> bool:
        """True while the alert on record was given up, and has not been requested again."""
        return self.alert is not None and self.alert.delivery.state is CallbackState.FAILED

    @property
    def given_up(self) -> tuple[CallbackStatus, ...]:
        """The deliveries that were given up: of callbacks, and of the alert."""
        every = (*self.deliveries, self.alert.delivery) if self.alert else self.deliveries
        return tuple(each for each in every if each.state is CallbackState.FAILED)

    @property
    def next_delivery(self) -> CallbackStatus | None:
        """The callback whose next attempt is due first; None when none is owed (any more)."""
        owed = (each for each in self.deliveries if not each.state.is_final)
        return min(owed, key=lambda each: (each.next_attempt_time is not None, each.next_attempt_time), default=None)

    @property
    def owes_callback(self) -> bool:
        """True while another attempt to deliver a callback is to be made."""
        return self.next_delivery is not None

    @property
    def owes_alert(self) -> bool:
        """True while another attempt to deliver the alert is to be made."""
        return self.alert is not None and not self.alert.delivery.state.is_final

    @property
    def worst_delivery(self) -> CallbackStatus | None:
        """The callback that stands for all: one that was given up before one under way, and delivered only if all are.

        One that is disabled stands for all only where there is no other. None until the sync has ended.
        """
        return min(self.deliveries, key=lambda each: _WORST_FIRST.index(each.state), default=None)


def compute_latest_end(now: datetime) -> datetime:
    """The latest end that can be right: a later one was written by a clock that was wrong."""
    return now + _CLOCK_TOLERANCE


def build_delivery_fields(deliveries: tuple[CallbackStatus, ...]) -> dict[str, object]:
    """Build the two fields of a status that record deliveries; the first stands in both where targets are named."""
    is_named = any(each.target for each in deliveries)
    return {"callback": deliveries[0] if deliveries else None, "callbacks": deliveries if is_named else ()}


def build_progress(*, page: int, total_pages: int, fetched: int) -> Progress:
    """Derive the percentage and the column text from the counts; a total that shrinks never shows above 100."""
    shown_total = max(total_pages, page)
    percent = 100 * page // shown_total if shown_total else 0
    return Progress(page=page, total_pages=shown_total, fetched=fetched, percent=percent, text=f"{page}/{shown_total}")


def format_duration(seconds: int) -> str:
    """Write a duration as Go does: `8m7s`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def truncate_message(text: str, *, length: int = MESSAGE_MAX_LENGTH) -> str:
    """Bound a message to what status and Events may carry; the cut is visible."""
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= length else one_line[: length - 1] + "…"
