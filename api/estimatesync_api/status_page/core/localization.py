"""Puts what the page says into one language and one time zone: sentences, numbers, days, times. Pure.

Every text of the page is in `translations.toml`, in each language; a test compares the languages. The causes in
English are the contract's own (`estimatesync_contract.causes`), so that file has them only in the other languages.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

from estimatesync_contract.causes import CAUSES
from estimatesync_contract.settings import parse_time_zone
from estimatesync_contract.spec import DateRange
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_contract.status import format_duration
from estimatesync_contract.timestamps import format_timestamp

LANGUAGES: Final = ("en", "es")
"""The first one is the default."""
LANGUAGE_COOKIE: Final = "estimatesync-language"
ZONE_COOKIE: Final = "estimatesync-zone"
"""The browser's time zone, set by the page's script."""
NOTHING: Final = "\N{EN DASH}"
"""Stands where there is no number to show."""

_GROUPED_FROM: Final = {"en": 1_000, "es": 10_000}
"""Spanish does not group numbers of four digits."""
_GROUP_SIGN: Final = {"en": ",", "es": "\N{NARROW NO-BREAK SPACE}"}
_SPACE: Final = "\N{NO-BREAK SPACE}"
_JOINER: Final = "\N{WORD JOINER}"
_TO: Final = "\N{EN DASH}"
_MAX_PREFERENCES: Final = 20
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{1,31}(/[A-Za-z0-9_+-]{1,31}){0,2}")

Translations = Mapping[str, Mapping[str, str]]
"""For each language, its texts by dotted key."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A time for `<time>`: for machines, in a line, and in full."""

    instant: str
    text: str
    full: str


@dataclass(frozen=True, kw_only=True)
class Localizer:
    """A language and the time zone that times are shown in."""

    language: str
    time_zone: ZoneInfo
    is_zone_of_browser: bool = False
    """False: it is the server's, since the browser has not named its own."""

    def translate(self, key: str, **values: object) -> str:
        """Look a text up; `values` replace its `{name}`.

        Raises:
            KeyError: The translations lack this key, or it needs another value: a defect.
        """
        return read_translations()[self.language][key].format(**values)

    def format_count(self, key: str, count: int, **values: object) -> str:
        """Say how many, with the right form of the noun: the text of `key.one` or `key.other`."""
        return self.translate(f"{key}.{'one' if count == 1 else 'other'}", count=self.format_number(count), **values)

    def format_number(self, number: int) -> str:
        """Group the digits as this language does."""
        text = f"{number:,}" if abs(number) >= _GROUPED_FROM[self.language] else str(number)
        return text.replace(",", _GROUP_SIGN[self.language])

    def format_percent(self, percent: int) -> str:
        """Write a percentage: Spanish sets a space before the sign."""
        return f"{percent}{_SPACE if self.language == 'es' else ''}%"

    def format_day(self, day: date) -> str:
        """Write a day with its month and year."""
        return f"{day.day}{_SPACE}{self._format_month(day)}{_SPACE}{day.year}"

    def format_date_range(self, days: DateRange) -> str:
        """Write a range of days, without repeating what both ends share."""
        start, end = days.start, days.end
        if start == end:
            return self.format_day(start)
        if start.year != end.year:
            return f"{self.format_day(start)}{_SPACE}{_TO} {self.format_day(end)}"
        if start.month != end.month:
            return f"{start.day}{_SPACE}{self._format_month(start)}{_SPACE}{_TO} {self.format_day(end)}"
        return f"{start.day}{_JOINER}{_TO}{_JOINER}{self.format_day(end)}"

    def to_moment(self, moment: datetime, *, now: datetime) -> Moment:
        """Write a time; in a line, a time of today is the clock alone and any other has its day as well."""
        local, today = moment.astimezone(self.time_zone), now.astimezone(self.time_zone).date()
        clock, day = f"{local:%H:%M:%S}", local.date()
        short = clock if day == today else f"{local.day}{_SPACE}{self._format_month(local)}, {local:%H:%M}"
        return Moment(
            instant=format_timestamp(moment), text=short, full=f"{self.format_day(day)}, {clock} {local:%Z}".strip()
        )

    def format_duration(self, length: timedelta) -> str:
        """Write how long something took, as `kubectl` shows it: `8m7s`."""
        return format_duration(max(0, int(length.total_seconds())))

    def join(self, parts: Sequence[str]) -> str:
        """Put the parts of a line next to each other; blank ones are left out."""
        return " · ".join(part for part in parts if part)

    def _format_month(self, day: date) -> str:
        return self.translate("months").split()[day.month - 1]


def parse_translations(text: str) -> Translations:
    """Read the TOML: a table `[some.key]` holds one text per language."""
    translations: dict[str, dict[str, str]] = {}
    for key, by_language in _iterate_texts(tomllib.loads(text), ""):
        for language, words in by_language.items():
            translations.setdefault(language, {})[key] = words
    return translations


def build_english_causes() -> Mapping[str, str]:
    """Take the English causes from the contract, without the details that only the single case knows."""
    causes = [(str(each.reason), each.summary, each.cure) for each in CAUSES]
    causes += [(each.code, each.summary, each.cure) for each in SpecificCause]
    happened = {f"cause.{code}.happened": summary for code, summary, _ in causes}
    return happened | {f"cause.{code}.cure": cure for code, _, cure in causes}


def choose_language(chosen: str, accepted: str) -> str:
    """Choose the language that a person has picked, else the one that the browser prefers.

    Args:
        chosen: The value of the language cookie; blank if there is none.
        accepted: The Accept-Language header (RFC 9110 section 12.5.4).
    """
    if chosen in LANGUAGES:
        return chosen
    preferences = [_parse_preference(each) for each in accepted.split(",")[:_MAX_PREFERENCES]]
    # Sorting keeps the order of equals: the first of them is preferred.
    for _, language in sorted(preferences, key=lambda preference: -preference[0]):
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]


def choose_time_zone(named: str, default: ZoneInfo) -> tuple[ZoneInfo, bool]:
    """Choose the zone that the browser has named, which anyone can write; else the default, with False."""
    if not _ZONE.fullmatch(named):
        return default, False
    try:
        return parse_time_zone(named), True
    except ValueError:
        return default, False


def _iterate_texts(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for name, value in table.items():
        key = f"{prefix}.{name}" if prefix else name
        if all(isinstance(each, str) for each in value.values()):
            yield key, value
        else:
            yield from _iterate_texts(value, key)


def _parse_preference(text: str) -> tuple[float, str]:
    tag, _, weight = text.partition(";")
    language = tag.strip().lower().partition("-")[0]
    try:
        return (float(weight.partition("=")[2]) if weight else 1.0), language
    except ValueError:
        return 0.0, language


@cache
def read_translations() -> Translations:
    """Read what the page says, in each language."""
    text = files("estimatesync_api.status_page").joinpath("translations.toml").read_text("utf-8")
    translations = parse_translations(text)
    return {**translations, LANGUAGES[0]: {**translations[LANGUAGES[0]], **build_english_causes()}}
