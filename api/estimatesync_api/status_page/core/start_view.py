"""The form that starts a sync: the days that are offered with one click. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from estimatesync_contract.spec import DEFAULT_RANGE_DAYS, DateRange, compute_default_range

from estimatesync_api.status_page.core.localization import Localizer

_WEEK: Final = 7
"""Days, today among them."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Days with a name; `is_chosen` when they are those in the form."""

    name: str
    first: str
    last: str
    is_chosen: bool


def build_presets(today: date, localizer: Localizer, *, first: str, last: str) -> tuple[Preset, ...]:
    """Offer the days that people ask for; the first of two that are the same counts as chosen, as in January."""
    presets: list[Preset] = []
    for name, days in _iterate_days(today, localizer):
        texts = str(days.start), str(days.end)
        is_chosen = texts == (first, last) and not any(each.is_chosen for each in presets)
        presets.append(Preset(name=name, first=texts[0], last=texts[1], is_chosen=is_chosen))
    return tuple(presets)


def _iterate_days(today: date, localizer: Localizer) -> Iterator[tuple[str, DateRange]]:
    def name(key: str, **values: object) -> str:
        return localizer.translate(f"start.preset.{key}", **values)

    this_month = today.replace(day=1)
    end_of_last_month = this_month - timedelta(days=1)
    yield name("week", days=_WEEK), DateRange(start=today - timedelta(days=_WEEK - 1), end=today)
    yield name("default", days=DEFAULT_RANGE_DAYS), compute_default_range(today)
    yield name("this_month"), DateRange(start=this_month, end=today)
    yield name("last_month"), DateRange(start=end_of_last_month.replace(day=1), end=end_of_last_month)
    yield name("this_year"), DateRange(start=today.replace(month=1, day=1), end=today)
