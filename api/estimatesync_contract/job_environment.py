"""The environment that a job hands to the sync program: the only input the program has."""

from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import DateRange, is_default_range

SYNC_ID: Final = "SYNC_ID"
SYNC_UID: Final = "SYNC_UID"
SYNC_START_DATE: Final = "SYNC_START_DATE"
SYNC_END_DATE: Final = "SYNC_END_DATE"
SYNC_TIME_ZONE: Final = "SYNC_TIME_ZONE"
SYNC_MODE: Final = "SYNC_MODE"
SYNC_PAGE_SIZE: Final = "SYNC_PAGE_SIZE"
SYNC_CONCURRENCY: Final = "SYNC_CONCURRENCY"
SYNC_TIMEOUT_SECONDS: Final = "SYNC_TIMEOUT_SECONDS"
SYNC_MAX_SKIPPED_PERCENT: Final = "SYNC_MAX_SKIPPED_PERCENT"
SYNC_LOGIN_RETRY: Final = "SYNC_LOGIN_RETRY"
SYNC_MAX_PAGE_MEGABYTES: Final = "SYNC_MAX_PAGE_MEGABYTES"
SYNC_MAX_UNSHOWN_PERCENT: Final = "SYNC_MAX_UNSHOWN_PERCENT"
SYNC_SELECT_FIELDS: Final = "SYNC_SELECT_FIELDS"
SYNC_MIN_ESTIMATES: Final = "SYNC_MIN_ESTIMATES"
SYNC_DELETIONS: Final = "SYNC_DELETIONS"
SYNC_MAX_DELETED_PERCENT: Final = "SYNC_MAX_DELETED_PERCENT"
ATTIC_TECH_URL: Final = "ATTIC_TECH_URL"
DATABASE_PARAMETERS: Final = "DATABASE_PARAMETERS"
DATABASE_SCHEMA: Final = "DATABASE_SCHEMA"
DATABASE_WAIT_SECONDS: Final = "DATABASE_WAIT_SECONDS"
LOG_FORMAT: Final = "LOG_FORMAT"
TERMINATION_MESSAGE_PATH: Final = "TERMINATION_MESSAGE_PATH"
TRACEPARENT: Final = "TRACEPARENT"
"""The job's place in the sync's trace, as a W3C traceparent; absent unless tracing is on."""

ATTIC_TECH_EMAIL: Final = "ATTIC_TECH_EMAIL"
ATTIC_TECH_PASSWORD: Final = "ATTIC_TECH_PASSWORD"  # noqa: S105 - the variable's name, not its value
DATABASE_URL: Final = "DATABASE_URL"
SECRET_VARIABLES: Final = (ATTIC_TECH_EMAIL, ATTIC_TECH_PASSWORD, DATABASE_URL)
"""These reach the program by secretKeyRef only, as a rule under the key of the same name."""

PROGRAM_VARIABLES: Final = (
    *(SYNC_ID, SYNC_UID, SYNC_START_DATE, SYNC_END_DATE, SYNC_TIME_ZONE),
    *(SYNC_MODE, SYNC_PAGE_SIZE, SYNC_CONCURRENCY, SYNC_TIMEOUT_SECONDS),
    *(SYNC_MAX_SKIPPED_PERCENT, SYNC_MAX_UNSHOWN_PERCENT, SYNC_MAX_PAGE_MEGABYTES),
    *(SYNC_MIN_ESTIMATES, SYNC_SELECT_FIELDS, SYNC_LOGIN_RETRY, SYNC_DELETIONS, SYNC_MAX_DELETED_PERCENT),
    *(ATTIC_TECH_URL, DATABASE_PARAMETERS, DATABASE_SCHEMA, DATABASE_WAIT_SECONDS),
    *(LOG_FORMAT, TRACEPARENT, TERMINATION_MESSAGE_PATH, *SECRET_VARIABLES),
)
"""All that the program is set by: the operator's to set, whether the job of a sync has it or not."""


def build_job_environment(
    sync: EstimateSync, date_range: DateRange, *, traceparent: str | None = None
) -> dict[str, str]:
    """The variables that come from the sync itself; deployment settings and secrets are added by who runs the job.

    They win over the settings: days that a person has chosen may hold as few estimates as they like.
    """
    options = sync.options
    chosen = {} if options.page_size is None else {SYNC_PAGE_SIZE: str(options.page_size)}
    mode = {} if sync.spec.mode is None else {SYNC_MODE: sync.spec.mode.value}
    traced = {} if traceparent is None else {TRACEPARENT: traceparent}
    unbounded = {} if _has_default_range(sync, date_range) else {SYNC_MIN_ESTIMATES: "0"}
    return {
        **chosen,
        **unbounded,
        **mode,
        **traced,
        SYNC_ID: sync.name,
        SYNC_UID: sync.uid,
        SYNC_START_DATE: date_range.start.isoformat(),
        SYNC_END_DATE: date_range.end.isoformat(),
        SYNC_CONCURRENCY: str(options.concurrency),
        SYNC_TIMEOUT_SECONDS: str(options.timeout_seconds),
    }


def _has_default_range(sync: EstimateSync, date_range: DateRange) -> bool:
    created = sync.metadata.creation_timestamp
    return sync.spec.date_range is None or (created is not None and is_default_range(date_range, created.date()))
