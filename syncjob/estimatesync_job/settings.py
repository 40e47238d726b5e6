"""Everything the program is told, read once from its environment; every fault is reported in one message.

`main` reads it and hands the values on; nothing else looks at the environment.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, tzinfo
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from estimatesync_contract import job_environment as names
from estimatesync_contract.environment_reader import EnvironmentReader
from estimatesync_contract.spec import DateRange, EstimateSyncSpec

from estimatesync_job.day_bounds import DayBounds, compute_day_bounds
from estimatesync_job.errors import ConfigurationError

MAX_PAGE_SIZE: Final = 1000
MAX_CONCURRENCY: Final = 32
MAX_TIMEOUT_SECONDS: Final = 604_800
LOG_FORMATS: Final = ("text", "json")
_SCHEMA: Final = re.compile(r"(?!pg_)[A-Za-z_][A-Za-z0-9_$]{0,62}")
_SPEC: Final = EstimateSyncSpec()
_SECRET: Final = "it belongs with the secrets of the sync"  # noqa: S105 - a sentence
_GIVEN: Final = "whoever starts the sync gives it"
_ANY_DAY: Final = date(2000, 1, 1)
"""Stands in for a day whose fault has been noted, so that the other faults can be found, too."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The program's input, checked.

    Attributes:
        sync_id: the sync's name, on every JSON log line.
        sync_uid: identifies the sync for ever; a uid that is committed already is not synced again.
        date_range: whole days, as asked for.
        day_bounds: the same as instants.
        page_size: records asked for in one request, 1…1000; None lets the sync choose.
        concurrency: pages in flight at most, 1…32.
        timeout_seconds: after which whoever started the sync ends it; None when that is not known.
        most_skipped_percent: of the records, how many may be left out because they cannot become rows.
        database_wait_seconds: how long a database that cannot be reached is waited for at the start.
        attic_tech_url: without a trailing slash.
    """

    sync_id: str
    sync_uid: str
    date_range: DateRange
    day_bounds: DayBounds
    page_size: int | None
    concurrency: int
    timeout_seconds: int | None
    most_skipped_percent: int
    attic_tech_url: str
    attic_tech_email: str = field(repr=False)
    attic_tech_password: str = field(repr=False)
    database_url: str = field(repr=False)
    database_schema: str
    database_wait_seconds: int


def parse_settings(environment: Mapping[str, str], *, faults: Iterable[str] = ()) -> Settings:
    """Read the environment; white space around a value is dropped, around the password only its line ends.

    Raises:
        ConfigurationError: Lists `faults` and everything that is missing or wrong, without any value of a secret.
    """
    reader = EnvironmentReader(environment, faults=faults)
    date_range = _read_range(reader)
    settings = Settings(
        sync_id=reader.read_required(names.SYNC_ID, _GIVEN),
        sync_uid=reader.read_required(names.SYNC_UID, _GIVEN),
        date_range=date_range,
        day_bounds=_read_bounds(reader, date_range),
        page_size=_read_page_size(reader),
        concurrency=reader.read_integer(names.SYNC_CONCURRENCY, _SPEC.concurrency, low=1, high=MAX_CONCURRENCY),
        timeout_seconds=_read_timeout(reader),
        most_skipped_percent=reader.read_integer(
            names.SYNC_MAX_SKIPPED_PERCENT, names.DEFAULT_MAX_SKIPPED_PERCENT, low=0, high=100
        ),
        attic_tech_url=_read_attic_tech_url(reader),
        attic_tech_email=reader.read_required(names.ATTIC_TECH_EMAIL, _SECRET),
        attic_tech_password=_read_password(reader, environment),
        database_url=read_database_url(reader, _SECRET),
        database_schema=read_schema(reader),
        database_wait_seconds=reader.read_integer(
            names.DATABASE_WAIT_SECONDS, names.DEFAULT_DATABASE_WAIT_SECONDS, low=0, high=3600
        ),
    )
    reader.read_choice(names.LOG_FORMAT, names.DEFAULT_LOG_FORMAT, LOG_FORMATS)
    if reader.faults:
        raise ConfigurationError(f"The sync cannot start: {'; '.join(reader.faults)}.")
    return settings


def parse_identity(environment: Mapping[str, str]) -> tuple[str, DateRange] | None:
    """Read just the uid and the range, so that a failure to read the rest can be reported; None without them."""
    reader = EnvironmentReader(environment)
    sync_uid, date_range = reader.read_required(names.SYNC_UID, _GIVEN), _read_range(reader)
    return None if reader.faults else (sync_uid, date_range)


def parse_log_format(environment: Mapping[str, str]) -> str:
    """Read the log format leniently: even a complaint about the settings needs one."""
    return EnvironmentReader(environment).read_choice(names.LOG_FORMAT, names.DEFAULT_LOG_FORMAT, LOG_FORMATS)


def parse_result_path(environment: Mapping[str, str]) -> Path:
    """Read where the result goes; needed whatever the other settings are."""
    return Path(
        EnvironmentReader(environment).read_text(names.TERMINATION_MESSAGE_PATH, names.DEFAULT_TERMINATION_MESSAGE_PATH)
    )


def _read_range(reader: EnvironmentReader) -> DateRange:
    start, end = _read_day(reader, names.SYNC_START_DATE), _read_day(reader, names.SYNC_END_DATE)
    if start and end and start > end:
        reader.faults.append(f"{names.SYNC_START_DATE} must not be after {names.SYNC_END_DATE}")
    return DateRange(start=start or _ANY_DAY, end=end or _ANY_DAY)


def _read_day(reader: EnvironmentReader, name: str) -> date | None:
    text = reader.read_required(name, _GIVEN)
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        reader.faults.append(f"{name} must be a day such as 2025-10-16")
        return None


def _read_bounds(reader: EnvironmentReader, date_range: DateRange) -> DayBounds:
    try:
        return compute_day_bounds(date_range, _read_time_zone(reader))
    except OverflowError:
        reader.faults.append(f"{names.SYNC_START_DATE} or {names.SYNC_END_DATE} lies at an end of the calendar")
        return compute_day_bounds(DateRange(start=_ANY_DAY, end=_ANY_DAY), UTC)


def _read_time_zone(reader: EnvironmentReader) -> tzinfo:
    # An image without time zone data still knows UTC.
    if reader.read_text(names.SYNC_TIME_ZONE, names.DEFAULT_TIME_ZONE) == names.DEFAULT_TIME_ZONE:
        return UTC
    return reader.read_time_zone(names.SYNC_TIME_ZONE, names.DEFAULT_TIME_ZONE)


def _read_page_size(reader: EnvironmentReader) -> int | None:
    if not reader.read_text(names.SYNC_PAGE_SIZE, ""):
        return None
    return reader.read_integer(names.SYNC_PAGE_SIZE, 1, low=1, high=MAX_PAGE_SIZE)


def _read_timeout(reader: EnvironmentReader) -> int | None:
    return reader.read_integer(names.SYNC_TIMEOUT_SECONDS, 0, low=0, high=MAX_TIMEOUT_SECONDS) or None


def _read_attic_tech_url(reader: EnvironmentReader) -> str:
    url = reader.read_text(names.ATTIC_TECH_URL, names.DEFAULT_ATTIC_TECH_URL)
    if not _is_plain_address(url):
        rule = f"must be an address such as {names.DEFAULT_ATTIC_TECH_URL}, without credentials or query"
        reader.faults.append(f"{names.ATTIC_TECH_URL} {rule}")
    return url.rstrip("/")


def _is_plain_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_reachable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_reachable and "@" not in parts.netloc and not parts.query and not parts.fragment


def _read_password(reader: EnvironmentReader, environment: Mapping[str, str]) -> str:
    """A secret made from a file often ends with a line end, but a password may well have a blank at either end."""
    reader.read_required(names.ATTIC_TECH_PASSWORD, _SECRET)
    return environment.get(names.ATTIC_TECH_PASSWORD, "").strip("\r\n")


def read_database_url(reader: EnvironmentReader, purpose: str) -> str:
    """Read where the tables are; a fault is left in the reader."""
    url = reader.read_required(names.DATABASE_URL, purpose)
    if url and not url.startswith(("postgresql://", "postgres://")):
        reader.faults.append(f"{names.DATABASE_URL} must start with postgresql://")
    return url


def read_schema(reader: EnvironmentReader) -> str:
    """Read which schema they are in; a fault is left in the reader."""
    schema = reader.read_text(names.DATABASE_SCHEMA, names.DEFAULT_DATABASE_SCHEMA)
    if not _SCHEMA.fullmatch(schema):
        reader.faults.append(
            f"{names.DATABASE_SCHEMA} must be letters, digits and _, at most 63, and start with a letter, not with pg_"
        )
    return schema
