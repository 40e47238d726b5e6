"""The sync program's settings: the table by which `main` reads them, once, and the values they become.

The program that starts the sync sets them; nothing else reads the environment.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, tzinfo
from pathlib import Path
from typing import Final

from estimatesync_contract import job_environment as env
from estimatesync_contract.proxies import ProxyFaultError, find_proxy
from estimatesync_contract.settings import (
    ATTIC_TECH_EMAIL,
    ATTIC_TECH_PASSWORD,
    ATTIC_TECH_URL,
    DATABASE_PARAMETERS,
    DATABASE_SCHEMA,
    DATABASE_URL,
    DATABASE_WAIT_SECONDS,
    LOG_FORMATS,
    MARK,
    SYNC_DELETIONS,
    SYNC_LOGIN_RETRY,
    SYNC_MAX_DELETED_PERCENT,
    SYNC_MAX_PAGE_MEGABYTES,
    SYNC_MAX_SKIPPED_PERCENT,
    SYNC_MAX_UNSHOWN_PERCENT,
    SYNC_MIN_ESTIMATES,
    SYNC_SELECT_FIELDS,
    ChoiceSetting,
    IntegerSetting,
    ParsedSetting,
    SettingsReader,
    TextSetting,
    parse_time_zone,
    read_database_url,
)
from estimatesync_contract.spec import (
    DEFAULT_CONCURRENCY,
    MAX_CONCURRENCY,
    MAX_PAGE_SIZE,
    MAX_TIMEOUT_SECONDS,
    DateRange,
    Mode,
)

from estimatesync_job.core.errors import ConfigurationError
from estimatesync_job.core.queries import DayBounds, compute_day_bounds

_GIVEN: Final = "the program that starts the sync sets it"
_ANY_DAY: Final = date(2000, 1, 1)
"""Stands in for a day whose fault has been noted, so that the other faults can be found, too."""


def _parse_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ValueError("must be a day such as 2025-10-16") from None


def _parse_time_zone(text: str) -> tzinfo:
    # An image without time zone data still knows UTC.
    return UTC if text == "UTC" else parse_time_zone(text)


SYNC_ID: Final = TextSetting(
    name=env.SYNC_ID, meaning="Name of the sync, on every JSON log line", cure=_GIVEN, is_required=True
)
SYNC_UID: Final = TextSetting(
    name=env.SYNC_UID,
    meaning="Identifies the sync permanently: one that has been committed is not synced again",
    cure=_GIVEN,
    is_required=True,
)
SYNC_START_DATE: Final = ParsedSetting[date | None](
    name=env.SYNC_START_DATE,
    meaning="The first day, such as `2025-09-01`",
    cure=_GIVEN,
    is_required=True,
    parser=_parse_day,
)
SYNC_END_DATE: Final = ParsedSetting[date | None](
    name=env.SYNC_END_DATE, meaning="The last day", cure=_GIVEN, is_required=True, parser=_parse_day
)
SYNC_TIME_ZONE: Final = ParsedSetting[tzinfo](
    name=env.SYNC_TIME_ZONE,
    meaning="IANA name of the time zone of these days",
    default="UTC",
    parser=_parse_time_zone,
)
SYNC_MODE: Final = ChoiceSetting(
    name=env.SYNC_MODE,
    meaning="`Whole`: all estimates of these days; `Changes`: those that have changed since an earlier sync, where one"
    " serves",
    default=Mode.WHOLE,
    choices=tuple(Mode),
)
SYNC_PAGE_SIZE: Final = IntegerSetting(
    name=env.SYNC_PAGE_SIZE,
    meaning="Records asked for in one request; by default 100, or what suits the records",
    minimum=1,
    maximum=MAX_PAGE_SIZE,
)
SYNC_CONCURRENCY: Final = IntegerSetting(
    name=env.SYNC_CONCURRENCY,
    meaning="Pages in flight at most",
    default=str(DEFAULT_CONCURRENCY),
    minimum=1,
    maximum=MAX_CONCURRENCY,
)
SYNC_TIMEOUT_SECONDS: Final = IntegerSetting(
    name=env.SYNC_TIMEOUT_SECONDS,
    meaning="Time after which the sync is ended from outside; 0: not known",
    default="0",
    unit="seconds",
    minimum=0,
    maximum=MAX_TIMEOUT_SECONDS,
)
LOG_FORMAT: Final = ChoiceSetting(
    name=env.LOG_FORMAT,
    meaning="`text` for people, `json` for machines",
    default="text",
    choices=LOG_FORMATS,
)
TRACEPARENT: Final = TextSetting(
    name=env.TRACEPARENT, meaning="The job's place in the sync's trace, as a W3C traceparent"
)
TERMINATION_MESSAGE_PATH: Final = TextSetting(
    name=env.TERMINATION_MESSAGE_PATH, meaning="The file that the result is written to", default="/dev/termination-log"
)
SYNC_SETTINGS: Final = (
    *(SYNC_ID, SYNC_UID, SYNC_START_DATE, SYNC_END_DATE, SYNC_TIME_ZONE),
    *(SYNC_MODE, SYNC_PAGE_SIZE, SYNC_CONCURRENCY, SYNC_TIMEOUT_SECONDS),
    *(SYNC_MAX_SKIPPED_PERCENT, SYNC_MAX_UNSHOWN_PERCENT, SYNC_MAX_PAGE_MEGABYTES),
    *(SYNC_DELETIONS, SYNC_MAX_DELETED_PERCENT),
    *(SYNC_MIN_ESTIMATES, SYNC_SELECT_FIELDS, SYNC_LOGIN_RETRY),
    *(ATTIC_TECH_URL, ATTIC_TECH_EMAIL, ATTIC_TECH_PASSWORD),
    *(DATABASE_URL, DATABASE_PARAMETERS, DATABASE_SCHEMA, DATABASE_WAIT_SECONDS),
    *(LOG_FORMAT, TRACEPARENT, TERMINATION_MESSAGE_PATH),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The program's input, checked.

    Attributes:
        sync_id: the sync's name, on every JSON log line.
        sync_uid: identifies the sync permanently; a uid that is committed already is not synced again.
        date_range: whole days, as asked for.
        day_bounds: the same as instants.
        mode: whether all of these days are asked for, or what has changed.
        page_size: records asked for in one request, 1…1000; None lets the sync choose.
        concurrency: pages in flight at most, 1…32.
        timeout_seconds: after which the sync is ended from outside; None when that is not known.
        max_skipped_percent: of the records, how many may be left out because they cannot become rows.
        max_unshown_percent: of the estimates, how many may lack a field that Attic Tech does not show.
        selects_fields: whether just the fields that become columns are asked for.
        login_retry: a person's word to try refused credentials once more, by any change.
        min_estimates: fewer than so many are taken for a fault of what Attic Tech shows.
        max_deleted_percent: of the stored estimates, how many may be marked as deleted; None: none are looked for.
        max_page_bytes: of a page, unpacked.
        database_wait_seconds: how long a database that cannot be reached is waited for at the start.
        attic_tech_url: without a trailing slash.
        attic_tech_proxy: URL of the proxy to Attic Tech; None: it is reached directly.
    """

    sync_id: str
    sync_uid: str
    date_range: DateRange
    day_bounds: DayBounds
    mode: Mode
    page_size: int | None
    concurrency: int
    timeout_seconds: int | None
    max_skipped_percent: int
    max_unshown_percent: int
    min_estimates: int
    max_deleted_percent: int | None
    max_page_bytes: int
    selects_fields: bool
    login_retry: str
    attic_tech_url: str
    attic_tech_proxy: str | None = field(default=None, repr=False)
    attic_tech_email: str = field(repr=False)
    attic_tech_password: str = field(repr=False)
    database_url: str = field(repr=False)
    database_schema: str
    database_wait_seconds: int


def parse_settings(environment: Mapping[str, str], *, faults: Iterable[str] = ()) -> Settings:
    """Read the environment.

    Raises:
        ConfigurationError: Lists `faults` and everything that is missing or wrong, without any value of a secret.
    """
    reader = SettingsReader(environment, faults=faults)
    date_range = _read_range(reader)
    attic_tech_url = reader.read(ATTIC_TECH_URL)
    settings = Settings(
        sync_id=reader.read(SYNC_ID),
        sync_uid=reader.read(SYNC_UID),
        date_range=date_range,
        day_bounds=_read_bounds(reader, date_range),
        mode=Mode(reader.read(SYNC_MODE)),
        page_size=reader.read(SYNC_PAGE_SIZE) or None,
        concurrency=reader.read(SYNC_CONCURRENCY),
        timeout_seconds=reader.read(SYNC_TIMEOUT_SECONDS) or None,
        max_skipped_percent=reader.read(SYNC_MAX_SKIPPED_PERCENT),
        max_unshown_percent=reader.read(SYNC_MAX_UNSHOWN_PERCENT),
        min_estimates=reader.read(SYNC_MIN_ESTIMATES),
        max_deleted_percent=_read_max_deleted_percent(reader),
        selects_fields=reader.read(SYNC_SELECT_FIELDS),
        login_retry=reader.read(SYNC_LOGIN_RETRY),
        max_page_bytes=reader.read(SYNC_MAX_PAGE_MEGABYTES) * 1_000_000,
        attic_tech_url=attic_tech_url,
        attic_tech_proxy=_find_proxy(environment, attic_tech_url, reader.faults),
        attic_tech_email=reader.read(ATTIC_TECH_EMAIL),
        attic_tech_password=reader.read(ATTIC_TECH_PASSWORD),
        database_url=read_database_url(reader),
        database_schema=reader.read(DATABASE_SCHEMA),
        database_wait_seconds=reader.read(DATABASE_WAIT_SECONDS),
    )
    reader.read(LOG_FORMAT)
    if reader.faults:
        raise ConfigurationError(f"The sync cannot start: {'; '.join(reader.faults)}.")
    return settings


def parse_identity(environment: Mapping[str, str]) -> tuple[str, DateRange] | None:
    """Read just the uid and the range, so that a failure to read the rest can be reported; None without them."""
    reader = SettingsReader(environment)
    sync_uid, date_range = reader.read(SYNC_UID), _read_range(reader)
    return None if reader.faults else (sync_uid, date_range)


def parse_mode(environment: Mapping[str, str]) -> Mode:
    """Read the mode leniently."""
    return Mode(SettingsReader(environment).read(SYNC_MODE))


def parse_log_format(environment: Mapping[str, str]) -> str:
    """Read the log format leniently: even a complaint about the settings needs one."""
    return SettingsReader(environment).read(LOG_FORMAT)


def parse_result_path(environment: Mapping[str, str]) -> Path:
    """Read where the result goes; needed whatever the other settings are."""
    return Path(SettingsReader(environment).read(TERMINATION_MESSAGE_PATH))


def _find_proxy(environment: Mapping[str, str], url: str, faults: list[str]) -> str | None:
    try:
        return find_proxy(environment, url)
    except ProxyFaultError as error:
        faults.append(str(error))
        return None


def _read_max_deleted_percent(reader: SettingsReader) -> int | None:
    percent = reader.read(SYNC_MAX_DELETED_PERCENT)
    return percent if reader.read(SYNC_DELETIONS) == MARK else None


def _read_range(reader: SettingsReader) -> DateRange:
    start, end = reader.read(SYNC_START_DATE), reader.read(SYNC_END_DATE)
    if start and end and start > end:
        reader.faults.append(f"{SYNC_START_DATE.name} must not be after {SYNC_END_DATE.name}")
    return DateRange(start=start or _ANY_DAY, end=end or _ANY_DAY)


def _read_bounds(reader: SettingsReader, date_range: DateRange) -> DayBounds:
    try:
        return compute_day_bounds(date_range, reader.read(SYNC_TIME_ZONE))
    except OverflowError:
        reader.faults.append(f"{SYNC_START_DATE.name} or {SYNC_END_DATE.name} lies at an end of the calendar")
        return compute_day_bounds(DateRange(start=_ANY_DAY, end=_ANY_DAY), UTC)
