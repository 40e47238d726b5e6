"""The days that the start form offers."""

from datetime import date

import pytest
from estimatesync_api.status_page.core.localization import Localizer
from estimatesync_api.status_page.core.start_view import build_presets


def test_the_days_that_people_ask_for_are_offered(english: Localizer) -> None:
    presets = build_presets(date(2026, 12, 1), english, first="2026-10-17", last="2026-12-01")

    assert [(each.name, each.first, each.last) for each in presets] == [
        ("Last 7 days", "2026-11-25", "2026-12-01"),
        ("Since 45 days ago (default)", "2026-10-17", "2026-12-01"),
        ("This month", "2026-12-01", "2026-12-01"),
        ("Last month", "2026-11-01", "2026-11-30"),
        ("This year", "2026-01-01", "2026-12-01"),
    ]
    assert [each.name for each in presets if each.is_chosen] == ["Since 45 days ago (default)"]


@pytest.mark.parametrize(
    ("today", "first", "last", "chosen"),
    [
        pytest.param(date(2024, 3, 31), "2024-02-01", "2024-02-29", ["Last month"], id="a leap year"),
        pytest.param(date(2026, 1, 9), "2025-12-01", "2025-12-31", ["Last month"], id="over New Year"),
        pytest.param(date(2026, 1, 9), "2026-01-01", "2026-01-09", ["This month"], id="the year is a month"),
        pytest.param(date(2026, 1, 7), "2026-01-01", "2026-01-07", ["Last 7 days"], id="the month is a week"),
        pytest.param(date(2026, 1, 8), "2026-01-03", "2026-01-08", [], id="other days"),
        pytest.param(date(2026, 1, 8), "", "", [], id="no days"),
    ],
)
def test_the_days_in_the_form_are_marked_once(
    *, english: Localizer, today: date, first: str, last: str, chosen: list[str]
) -> None:
    presets = build_presets(today, english, first=first, last=last)

    assert [each.name for each in presets if each.is_chosen] == chosen
