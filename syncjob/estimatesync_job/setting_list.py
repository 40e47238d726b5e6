"""The sync program's settings as people are told of them; `settings` reads them, whoever starts the sync gives them."""

from typing import Final

from estimatesync_contract import job_environment as env
from estimatesync_contract.setting import (
    ATTIC_TECH_EMAIL,
    ATTIC_TECH_PASSWORD,
    ATTIC_TECH_URL,
    DATABASE_SCHEMA,
    DATABASE_URL,
    DATABASE_WAIT_SECONDS,
    SYNC_MAX_SKIPPED_PERCENT,
    Setting,
)
from estimatesync_contract.spec import EstimateSyncSpec

SYNC_SETTINGS: Final = (
    Setting(name=env.SYNC_ID, meaning="Name of the sync, on every JSON log line", is_required=True),
    Setting(
        name=env.SYNC_UID,
        meaning="Identifies the sync for ever: one that has been committed is not synced again",
        is_required=True,
    ),
    Setting(name=env.SYNC_START_DATE, meaning="The first day, such as `2025-09-01`", is_required=True),
    Setting(name=env.SYNC_END_DATE, meaning="The last day", is_required=True),
    Setting(
        name=env.SYNC_TIME_ZONE,
        meaning="IANA name of the zone that these days are of",
        default=env.DEFAULT_TIME_ZONE,
    ),
    Setting(
        name=env.SYNC_PAGE_SIZE,
        meaning="Records asked for in one request; 100, or what suits the records, unless told otherwise",
        low=1,
        high=1000,
    ),
    Setting(
        name=env.SYNC_CONCURRENCY,
        meaning="Pages in flight at most",
        default=str(EstimateSyncSpec().concurrency),
        low=1,
        high=32,
    ),
    Setting(
        name=env.SYNC_TIMEOUT_SECONDS,
        meaning="Time after which whoever started the sync ends it; 0: not known",
        default="0",
        unit="seconds",
        low=0,
        high=604_800,
    ),
    SYNC_MAX_SKIPPED_PERCENT,
    ATTIC_TECH_URL,
    ATTIC_TECH_EMAIL,
    ATTIC_TECH_PASSWORD,
    DATABASE_URL,
    DATABASE_SCHEMA,
    DATABASE_WAIT_SECONDS,
    Setting(
        name=env.LOG_FORMAT,
        meaning="`text` for people, `json` for machines",
        default=env.DEFAULT_LOG_FORMAT,
        choices=("json", "text"),
    ),
    Setting(name=env.TRACEPARENT, meaning="The job's place in the sync's trace, as a W3C traceparent"),
    Setting(
        name=env.TERMINATION_MESSAGE_PATH,
        meaning="The file that gets the result",
        default=env.DEFAULT_TERMINATION_MESSAGE_PATH,
    ),
)
