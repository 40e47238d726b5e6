"""Old values become ours by the mapping's rules, exactly, or are named as a problem."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from estimatesync_import.core.mapping import ColumnRule, Conversion, Mapping, OldSource, ValueProblem
from estimatesync_job.core.rows import Row


def convert(column: str, value: str | None, *, time_zone: str = "UTC", **rule: Any) -> Any:
    """Convert one value; what our column gets, or the problem's text."""
    rules = {"attic_tech_estimate_id": ColumnRule(column="at"), column: ColumnRule(column="old", **rule)}
    conversion = Conversion(Mapping(old=OldSource(schema="s", table="t", id="id", time_zone=time_zone), columns=rules))
    values = [value if name == column else "7" for name in conversion.names]
    row = conversion.build_row("1", values)
    if isinstance(row, Row):
        return getattr(row, column)
    (problem,) = row
    assert problem == ValueProblem(old_id="1", column="old", problem=problem.problem)
    return problem.problem


@pytest.mark.parametrize(
    ("column", "value", "rule", "expected"),
    [
        pytest.param("price", "12.345", {}, Decimal("12.35"), id="to-cents"),
        pytest.param("price", "0", {}, Decimal("0.00"), id="nothing-is-no-null"),
        pytest.param("price", None, {}, None, id="null"),
        pytest.param("price", " ", {}, None, id="blank"),
        pytest.param("price", "123456", {"divide_by": 100}, Decimal("1234.56"), id="cents"),
        pytest.param("price", "-$1,234.5", {"strip": "$,"}, Decimal("-1234.50"), id="signs"),
        pytest.param("price", "12x34", {"strip": "x"}, Decimal("1234.00"), id="one sign"),
        pytest.param("price", None, {"divide_by": 100}, None, id="no cents"),
        pytest.param("price", " ", {"divide_by": 100}, None, id="blank cents"),
        pytest.param("attic_tech_hours", "90", {"divide_by": 60}, Decimal("1.5"), id="minutes"),
        pytest.param("branch_name", " ", {}, None, id="no branch is no word"),
        pytest.param("price", "1e9", {}, Decimal("1000000000.00"), id="exponent"),
        pytest.param("price", "1e12", {}, "is too large: it must be below 10,000,000,000", id="too-large"),
        pytest.param("price", "-Infinity", {}, "is not a number", id="infinity"),
        pytest.param("price", "NaN", {"divide_by": 100}, "is not a number", id="not-a-number-of-cents"),
        pytest.param("attic_tech_hours", "7.1234567", {}, Decimal("7.123457"), id="hours-to-six-places"),
        pytest.param("name", "  ", {}, "Unnamed Estimate", id="no-name"),
        pytest.param("status_name", None, {}, "pending", id="no-status"),
        pytest.param("crew_notes", " mind the dog ", {}, "mind the dog", id="text"),
        pytest.param(
            "at_updated_date", "2025-10-16 14:09:00.5+02", {}, datetime(2025, 10, 16, 12, 9, 0, 500_000, UTC), id="zone"
        ),
        pytest.param("at_updated_date", "2025-10-16", {}, datetime(2025, 10, 16, tzinfo=UTC), id="day"),
        pytest.param("at_updated_date", "", {}, None, id="no-time"),
        pytest.param(
            "at_updated_date",
            "10000-01-01 00:00:00+00",
            {},
            "is not a date such as 2025-10-16T14:09:00.000Z",
            id="beyond-any-calendar",
        ),
    ],
)
def test_a_value_is_read_as_a_sync_would_read_it(
    column: str, value: str | None, rule: dict[str, Any], expected: Any
) -> None:
    assert convert(column, value, **rule) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("2025-07-01 12:00:00", datetime(2025, 7, 1, 16, tzinfo=UTC), id="summer"),
        pytest.param("2025-12-01 12:00:00", datetime(2025, 12, 1, 17, tzinfo=UTC), id="winter"),
        pytest.param("2025-12-01 12:00:00+00", datetime(2025, 12, 1, 12, tzinfo=UTC), id="its-own-zone"),
    ],
)
def test_a_time_without_a_zone_is_in_the_one_that_the_mapping_names(value: str, expected: datetime) -> None:
    assert convert("at_updated_date", value, time_zone="America/New_York") == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(None, False), ("", False), (" ", False), ("7", True)], ids=["null", "empty", "blank", "id"]
)
def test_a_row_without_the_id_of_attic_tech_is_known_as_such(value: str | None, *, expected: bool) -> None:
    rules = {"name": ColumnRule(column="n"), "attic_tech_estimate_id": ColumnRule(column="at")}
    conversion = Conversion(Mapping(old=OldSource(schema="s", table="t", id="id"), columns=rules))

    values = [value if name == "attic_tech_estimate_id" else "a name" for name in conversion.names]

    assert conversion.has_identity(values) is expected


def test_everything_that_is_wrong_with_a_row_is_named() -> None:
    rules = {
        "attic_tech_estimate_id": ColumnRule(column="at"),
        "price": ColumnRule(column="p"),
        "discount": ColumnRule(column="d"),
    }
    conversion = Conversion(Mapping(old=OldSource(schema="s", table="t", id="id"), columns=rules))

    problems = conversion.build_row("9", ["x", "y", "z"])

    assert [problem.column for problem in problems if isinstance(problem, ValueProblem)] == ["at", "p", "d"]
