"""What a schedule may be called, and when it may start: a cluster and one machine take the same lists. Pure.

Of cron, what Kubernetes and cronsim read alike: five fields of numbers, names, lists, ranges and steps
(https://pkg.go.dev/github.com/robfig/cron/v3#hdr-CRON_Expression_Format).
"""

import re
from typing import Final

SCHEDULE_NAME_PATTERN: Final = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
SCHEDULE_NAME_MAX_LENGTH: Final = 40

_MONTHS: Final = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"
_WEEKDAYS: Final = "SUN MON TUE WED THU FRI SAT"


def _build_names(names: str) -> str:
    return "|".join(f"{name}|{name.lower()}" for name in names.split())


def _build_field(value: str) -> str:
    step = "(/[1-9][0-9]?)?"
    entry = rf"(\*{step}|({value})(-({value}){step})?)"
    return f"{entry}(,{entry})*"


CRON_PATTERN: Final = " +".join(
    _build_field(value)
    for value in (
        "[0-5]?[0-9]",
        "[01]?[0-9]|2[0-3]",
        "0?[1-9]|[12][0-9]|3[01]",
        f"0?[1-9]|1[0-2]|{_build_names(_MONTHS)}",
        f"[0-6]|{_build_names(_WEEKDAYS)}",
    )
).join(("^", "$"))


def is_cron(text: str) -> bool:
    """Whether the text has five fields with values that each may have; not whether such a day ever comes."""
    return re.fullmatch(CRON_PATTERN, text) is not None


def build_schedule_key(schedule: str, minutes: int) -> str:
    """Name a start of a schedule, so that it happens once: by the minute that it is for, counted from 1970 in UTC.

    A CronJob's jobs are named like this: `NAME-MINUTES`, where the name is that of the CronJob.
    """
    return f"schedule/{schedule}-{minutes}"
