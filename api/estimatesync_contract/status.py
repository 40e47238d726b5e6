"""What a person sees: the status of an EstimateSync, written only by the reconciler."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from estimatesync_contract.date_ranges import DateRange

MESSAGE_MAX_LENGTH: Final = 1024
"""Also the longest message that an Event may carry."""

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
    """Where the one callback of a sync is. Delivered, Failed and Disabled are final."""

    PENDING = "Pending"
    RETRYING = "Retrying"
    DELIVERED = "Delivered"
    FAILED = "Failed"
    DISABLED = "Disabled"

    @property
    def is_final(self) -> bool:
        """True when no further attempt will be made."""
        return self in {CallbackState.DELIVERED, CallbackState.FAILED, CallbackState.DISABLED}


class ConditionType(StrEnum):
    """All are set on the first visit, so that `kubectl wait` never waits for a missing one.

    Complete and Failed mean what they mean on a Job; Finished covers both, for who waits for either end. Stalled means
    what it means to kstatus: somebody must act before the sync can go on. Its transition time is when that began.
    """

    FINISHED = "Finished"
    COMPLETE = "Complete"
    FAILED = "Failed"
    STALLED = "Stalled"
    CALLBACK_DELIVERED = "CallbackDelivered"


class ConditionStatus(StrEnum):
    """True, False, or Unknown while it cannot be told yet."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A metav1.Condition, by the API conventions of Kubernetes (sig-architecture, api-conventions.md)."""

    type: Annotated[str, Meta(min_length=1, max_length=64)]
    status: ConditionStatus
    observed_generation: Count
    last_transition_time: Time
    reason: ReasonName
    message: Message


class Progress(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far the fetch has come. `text` (`9/17`) exists because a printer column is a single JSONPath."""

    page: Count
    total_pages: Count
    fetched: Count
    percent: Annotated[int, Meta(ge=0, le=100)]
    text: Annotated[str, Meta(max_length=64)]


class Results(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Distinct records: new + updated = processed; unchanged says how many of the updated were equal already.

    Skipped ones were broken in Attic Tech, and are in no other count but fetched.
    """

    total_fetched: Count = 0
    new_estimates: Count = 0
    updated_estimates: Count = 0
    unchanged_estimates: Count = 0
    skipped_estimates: Count = 0
    total_processed: Count = 0


class CallbackStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The delivery record. `id` and `environment` are fixed before the first attempt, so every attempt is the same."""

    state: CallbackState
    id: Annotated[str, Meta(max_length=128)] | None = None
    environment: Annotated[str, Meta(max_length=64)] | None = None
    attempts: Count = 0
    last_attempt_time: Time | None = None
    next_attempt_time: Time | None = None
    last_status_code: Annotated[int, Meta(ge=100, le=999)] | None = None
    last_error: Message | None = None
    redelivery: Annotated[str, Meta(max_length=64)] | None = None
    """The newest request for another delivery that has been served."""


class EstimateSyncStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The observed state; absent fields are not known yet."""

    observed_generation: Count | None = None
    phase: Phase | None = None
    reason: ReasonName | None = None
    message: Message | None = None
    date_range: DateRange | None = None
    job_name: Annotated[str, Meta(max_length=63)] | None = None
    start_time: Time | None = None
    completion_time: Time | None = None
    duration_seconds: Count | None = None
    progress: Progress | None = None
    results: Results | None = None
    callback: CallbackStatus | None = None
    conditions: tuple[Condition, ...] = ()


def build_progress(*, page: int, total_pages: int, fetched: int) -> Progress:
    """Derive the percentage and the column text from the counts; a total that shrinks never shows above 100."""
    shown_total = max(total_pages, page)
    percent = 100 * page // shown_total if shown_total else 0
    return Progress(page=page, total_pages=shown_total, fetched=fetched, percent=percent, text=f"{page}/{shown_total}")


def truncate_message(text: str) -> str:
    """Bound a message to what status and Events may carry; the cut is visible."""
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= MESSAGE_MAX_LENGTH else one_line[: MESSAGE_MAX_LENGTH - 1] + "…"
