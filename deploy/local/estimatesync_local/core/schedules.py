"""What the setting SCHEDULES says, and which starts are due. Pure.

Entries are separated by semicolons; each is a name, the five fields of cron, and options: `NAME MINUTE HOUR DAY MONTH
WEEKDAY [days=N] [mode=changes] [timeZone=ZONE]`. They mean what the chart's `schedules` mean.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError
from estimatesync_api.core.problems import ApiError
from estimatesync_api.core.sync_request import parse_sync_request
from estimatesync_contract.schedules import (
    SCHEDULE_NAME_MAX_LENGTH,
    SCHEDULE_NAME_PATTERN,
    build_schedule_key,
    is_cron,
)
from estimatesync_contract.settings import parse_time_zone

MAKE_UP_FOR: Final = timedelta(hours=1)
"""A start that was missed longer ago is left to the next one; as long as in a cluster."""

_FIELDS: Final = 5
_TIME_ZONE: Final = "timeZone"
_ASKED: Final = ("days", "mode")
_EXAMPLE: Final = "nightly 0 3 * * * days=7"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Syncs that start by themselves."""

    name: str
    cron: str
    time_zone: ZoneInfo | None = None
    """None: the one that decides which day is today."""
    body: bytes = b"{}"
    """What each start asks for, as the API takes it."""

    def iterate_times(self, after: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """Yield the times after this one, in UTC; for ever, or as long as there are any."""
        for time in CronSim(self.cron, after.astimezone(self.time_zone or zone)):
            yield time.astimezone(UTC)

    def find_due(self, *, handled: datetime, now: datetime, zone: ZoneInfo) -> datetime | None:
        """Find the time to start for: of those that have passed, the latest; None when there is nothing to do."""
        passed = takewhile(lambda time: time <= now, self.iterate_times(max(handled, now - MAKE_UP_FOR), zone))
        latest = deque(passed, maxlen=1)
        return latest[0] if latest else None

    def build_key(self, time: datetime) -> str:
        """Build the Idempotency-Key of the start that this time is for."""
        return build_schedule_key(self.name, int(time.timestamp()) // 60)


def parse_schedules(text: str) -> tuple[Schedule, ...]:
    """Parse the setting; blank entries are none.

    Raises:
        ValueError: An entry cannot be kept; the message says which, and completes `SCHEDULES …`.
    """
    schedules = tuple(_parse_schedule(entry) for entry in text.split(";") if entry.strip())
    names = [schedule.name for schedule in schedules]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"must not have two schedules named {repeated}")
    return schedules


def _parse_schedule(entry: str) -> Schedule:
    name, *rest = entry.split()
    if not re.fullmatch(SCHEDULE_NAME_PATTERN, name) or len(name) > SCHEDULE_NAME_MAX_LENGTH:
        raise ValueError(f"must begin each schedule with a name of a-z, 0-9 and -, as in: {_EXAMPLE}")
    cron, options = " ".join(rest[:_FIELDS]), _parse_options(name, rest[_FIELDS:])
    try:
        CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))
        is_usable = is_cron(cron)
    except CronSimError:
        is_usable = False
    if not is_usable:
        raise ValueError(
            f"must give {name} five fields (minute, hour, day, month, weekday; 0 is Sunday) with a day that comes, "
            f"as in: {_EXAMPLE}"
        )
    zone = options.pop(_TIME_ZONE, "")
    body = msgspec.json.encode(options)
    try:
        time_zone = parse_time_zone(zone) if zone else None
        parse_sync_request(query={}, body=body, idempotency_key=None, today=datetime.now(UTC).date())
    except ApiError as error:
        raise ValueError(f"has a schedule {name} that asks for what no sync is: {'; '.join(error.faults)}") from error
    except ValueError as error:
        raise ValueError(f"has a schedule {name} whose timeZone {error}") from error
    return Schedule(name=name, cron=cron, time_zone=time_zone, body=body)


def _parse_options(name: str, texts: list[str]) -> dict[str, str]:
    options = dict(text.partition("=")[::2] for text in texts)
    known = (*_ASKED, _TIME_ZONE)
    if len(options) < len(texts) or any(key not in known or not value for key, value in options.items()):
        raise ValueError(
            f"may give {name}, behind its five fields, {', '.join(f'{each}=…' for each in known)} once each"
        )
    return options
