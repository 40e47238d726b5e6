from datetime import date

from estimatesync_contract.spec import compute_default_range


def test_the_default_range_ends_today_and_spans_45_days() -> None:
    default = compute_default_range(date(2025, 10, 16))

    assert (default.start, default.end) == (date(2025, 9, 1), date(2025, 10, 16))
