"""Says things in one language and one time zone: sentences, numbers, days, times. Pure.

Every word of the page in every language: `words.toml`, read once.

Called by `tongue.py`, and by the test that compares the languages.

Decides which language a person reads: the one she chose, else the one her browser prefers. Pure.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

from estimatesync_contract.spec import DateRange
from estimatesync_contract.timestamps import format_timestamp

_MINUTE: Final = 60
_HOUR: Final = 3600
_GROUPED_FROM: Final = {"en": 1_000, "es": 10_000}
"""Spanish leaves numbers of four digits together."""
_GROUP_SIGN: Final = {"en": ",", "es": "\N{NARROW NO-BREAK SPACE}"}
_SPACE: Final = "\N{NO-BREAK SPACE}"
NOTHING: Final = "\N{EN DASH}"
"""Where there is no number to tell."""
_JOINED: Final = "\N{WORD JOINER}"
_TO: Final = "\N{EN DASH}"


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A time for `<time>`: for machines, in a line, and in full."""

    instant: str
    text: str
    full: str


@dataclass(frozen=True, kw_only=True)
class Tongue:
    """A language and the zone that times are told in."""

    language: str
    time_zone: ZoneInfo

    def say(self, key: str, **values: object) -> str:
        """Say something; `values` stand where the words have `{name}`.

        Raises:
            KeyError: The catalogue has no such words, or they need another value: a defect.
        """
        return CATALOGUE[self.language][key].format(**values)

    def say_count(self, key: str, count: int, **values: object) -> str:
        """Say how many, with the right form of the noun: the words of `key.one` or `key.other`."""
        return self.say(f"{key}.{'one' if count == 1 else 'other'}", count=self.say_number(count), **values)

    def say_number(self, number: int) -> str:
        """Write a number as people of this language do."""
        text = f"{number:,}" if abs(number) >= _GROUPED_FROM[self.language] else str(number)
        return text.replace(",", _GROUP_SIGN[self.language])

    def say_percent(self, percent: int) -> str:
        """Write a percentage: Spanish sets a space before the sign."""
        return f"{percent}{_SPACE if self.language == 'es' else ''}%"

    def say_day(self, day: date) -> str:
        """Write a day."""
        return f"{day.day}{_SPACE}{self._say_month(day)}{_SPACE}{day.year}"

    def say_days(self, days: DateRange) -> str:
        """Write a range of days, without repeating what both ends share."""
        start, end = days.start, days.end
        if start == end:
            return self.say_day(start)
        if start.year != end.year:
            return f"{self.say_day(start)}{_SPACE}{_TO} {self.say_day(end)}"
        if start.month != end.month:
            return f"{start.day}{_SPACE}{self._say_month(start)}{_SPACE}{_TO} {self.say_day(end)}"
        return f"{start.day}{_JOINED}{_TO}{_JOINED}{self.say_day(end)}"

    def say_moment(self, moment: datetime, *, now: datetime) -> Moment:
        """Write a time; in a line, today is the clock alone and another day the day as well."""
        local, today = moment.astimezone(self.time_zone), now.astimezone(self.time_zone).date()
        clock, day = f"{local:%H:%M:%S}", local.date()
        short = clock if day == today else f"{local.day}{_SPACE}{self._say_month(local)}, {local:%H:%M}"
        return Moment(
            instant=format_timestamp(moment), text=short, full=f"{self.say_day(day)}, {clock} {local:%Z}".strip()
        )

    def say_duration(self, length: timedelta) -> str:
        """Write how long something took: the two largest units."""
        seconds = max(0, int(length.total_seconds()))
        if seconds < _MINUTE:
            return f"{seconds}{_SPACE}s"
        if seconds < _HOUR:
            return self._join(f"{seconds // _MINUTE}{_SPACE}min", f"{seconds % _MINUTE}{_SPACE}s", seconds % _MINUTE)
        minutes = seconds % _HOUR // _MINUTE
        return self._join(f"{seconds // _HOUR}{_SPACE}h", f"{minutes}{_SPACE}min", minutes)

    def join(self, parts: Sequence[str]) -> str:
        """Set parts of a line side by side."""
        return " · ".join(part for part in parts if part)

    def _join(self, large: str, small: str, is_shown: int) -> str:
        return f"{large} {small}" if is_shown else large

    def _say_month(self, day: date) -> str:
        return self.say("months").split()[day.month - 1]


Words = Mapping[str, str]
"""What is said, by key."""


def parse_catalogue(text: str) -> Mapping[str, Words]:
    """Read the catalogue: for each language, what is said by dotted key."""
    catalogue: dict[str, dict[str, str]] = {}
    for key, said in _walk(tomllib.loads(text), ""):
        for language, words in said.items():
            catalogue.setdefault(language, {})[key] = words
    return catalogue


def _walk(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for name, value in table.items():
        key = f"{prefix}.{name}" if prefix else name
        if all(isinstance(each, str) for each in value.values()):
            yield key, value
        else:
            yield from _walk(value, key)


CATALOGUE: Final = parse_catalogue(files("estimatesync_api.status_page").joinpath("words.toml").read_text("utf-8"))
LANGUAGES: Final = ("en", "es")
"""The first one is spoken to whoever asks for none of them."""


LANGUAGE_COOKIE: Final = "estimatesync-language"
_MOST_WISHES: Final = 20


def choose_language(chosen: str, accepted: str) -> str:
    """Choose one of ours.

    Args:
        chosen: What the cookie says; blank if she has never chosen.
        accepted: The Accept-Language header (RFC 9110 section 12.5.4).
    """
    if chosen in LANGUAGES:
        return chosen
    wishes = [_parse_wish(wish) for wish in accepted.split(",")[:_MOST_WISHES]]
    # Sorting keeps the order of equals: the first of them is preferred.
    for _, language in sorted(wishes, key=lambda wish: -wish[0]):
        if language in LANGUAGES:
            return language
    return LANGUAGES[0]


def _parse_wish(text: str) -> tuple[float, str]:
    tag, _, weight = text.partition(";")
    language = tag.strip().lower().partition("-")[0]
    try:
        return (float(weight.partition("=")[2]) if weight else 1.0), language
    except ValueError:
        return 0.0, language
