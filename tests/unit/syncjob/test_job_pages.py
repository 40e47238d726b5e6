"""Pages are planned, asked for and mapped."""

from datetime import UTC, datetime

import msgspec
import pytest
from estimatesync_job.day_bounds import DayBounds
from estimatesync_job.pages import (
    FetchedPage,
    FetchState,
    PageAnswer,
    build_page_query,
    map_page,
    next_state,
    plan_next_pages,
    represent_problem,
)


def build_page(page: int, total_pages: int) -> FetchedPage:
    return FetchedPage(page=page, total_pages=total_pages, size_bytes=2, rows=(), problems=())


@pytest.mark.parametrize(
    ("state", "pages"),
    [
        pytest.param(FetchState(), [1], id="the-first-tells-the-total"),
        pytest.param(FetchState(pages=1, total_pages=4), [2, 3, 4], id="then-the-rest"),
        pytest.param(FetchState(pages=4, total_pages=5), [5], id="then-growth"),
        pytest.param(FetchState(pages=4, total_pages=4), [], id="then-nothing"),
        pytest.param(FetchState(pages=4, total_pages=3), [], id="a-listing-that-shrank"),
    ],
)
def test_plans_follow_the_newest_total(state: FetchState, pages: list[int]) -> None:
    assert list(plan_next_pages(state)) == pages


def test_a_stored_page_moves_the_state_on() -> None:
    state = next_state(FetchState(pages=3, total_pages=4, records=300), build_page(4, 5))

    assert state == FetchState(pages=4, total_pages=5, records=300)


def test_a_page_is_asked_for_in_an_order_that_edits_do_not_change() -> None:
    bounds = DayBounds(
        start=datetime(2025, 9, 1, tzinfo=UTC), end=datetime(2025, 10, 16, 23, 59, 59, 999_000, tzinfo=UTC)
    )

    query = build_page_query(3, page_size=50, bounds=bounds)

    assert query == {
        "limit": "50",
        "page": "3",
        "depth": "2",
        "sort": "createdAt,id",
        "where[updatedAt][greater_than_equal]": "2025-09-01T00:00:00.000Z",
        "where[updatedAt][less_than_equal]": "2025-10-16T23:59:59.999Z",
    }


@pytest.mark.parametrize(
    ("envelope", "total_pages"),
    [
        pytest.param({"totalPages": 17, "hasNextPage": False}, 17, id="told"),
        pytest.param({"hasNextPage": True}, 4, id="only-that-there-is-more"),
        pytest.param({"hasNextPage": None, "totalPages": None}, 3, id="nothing-said"),
    ],
)
def test_the_total_is_read_or_worked_out(envelope: dict[str, object], total_pages: int) -> None:
    answer = msgspec.convert({"docs": (), **envelope}, PageAnswer)

    assert map_page(answer, page=3, size_bytes=0).total_pages == total_pages


def test_rows_and_problems_of_a_page_are_kept_apart_and_counted_together() -> None:
    answer = msgspec.json.decode(b'{"docs":[{"id":7},{"id":8,"true_cost":"x"},{"id":9}]}', type=PageAnswer)

    page = map_page(answer, page=2, size_bytes=99)

    assert [row.attic_tech_estimate_id for row in page.rows] == [7, 9]
    assert page.records == 3
    assert represent_problem(page.problems[0]).startswith(
        "Record 2 on page 2 (id 8) cannot be stored: true_cost is not a number. Nothing was stored;"
    )
