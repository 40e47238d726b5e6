from datetime import date

import pytest
from estimatesync_contract.spec import DateRange, compute_default_range, is_default_range


def test_the_default_range_ends_today_and_spans_45_days() -> None:
    default = compute_default_range(date(2025, 10, 16))

    assert (default.start, default.end) == (date(2025, 9, 1), date(2025, 10, 16))


@pytest.mark.parametrize(
    ("start", "end", "is_default"),
    [
        pytest.param("2025-09-01", "2025-10-16", True, id="today's"),
        pytest.param("2025-09-02", "2025-10-17", True, id="where it is tomorrow already"),
        pytest.param("2025-08-31", "2025-10-15", True, id="where it is yesterday still"),
        pytest.param("2025-08-30", "2025-10-14", False, id="as many days, a little earlier"),
        pytest.param("2024-09-01", "2024-10-16", False, id="as many days, a year ago"),
        pytest.param("2025-09-02", "2025-10-16", False, id="a day less"),
    ],
)
def test_the_days_that_nobody_has_chosen_are_told_from_others(start: str, end: str, *, is_default: bool) -> None:
    days = DateRange(start=date.fromisoformat(start), end=date.fromisoformat(end))

    assert is_default_range(days, date(2025, 10, 16)) is is_default
