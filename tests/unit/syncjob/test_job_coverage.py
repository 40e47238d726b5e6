"""What is still to ask for, and how it is asked."""

from datetime import UTC, datetime, timedelta

import pytest
from estimatesync_job.coverage import (
    GAPS_PER_QUERY,
    FetchState,
    PassResult,
    find_gap,
    find_tail,
    is_proof,
    next_result,
    next_state,
    plan_next_pages,
    plan_pass,
)
from estimatesync_job.day_bounds import DayBounds
from estimatesync_job.listings import ChangesQuery, Gap, build_changes_query, build_page_query
from estimatesync_job.pages import FetchedPage, SourceTime
from estimatesync_job.records import RecordId
from estimatesync_job.rows import Row, map_record
from msgspec import Raw

NOON = datetime(2025, 10, 16, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
START = datetime(2025, 9, 1, tzinfo=UTC)
BOUNDS = DayBounds(start=START, end=datetime(2025, 10, 16, 23, 59, 59, 999_000, tzinfo=UTC))
ROW = map_record(Raw(b'{"id":5}'))
assert isinstance(ROW, Row)


def build_page(
    number: int = 1,
    *,
    total_pages: int | None = None,
    has_more: bool = False,
    records: int = 1,
    ends: tuple[RecordId | None, RecordId | None] = (5, 5),
    asked_at: SourceTime | None = None,
) -> FetchedPage:
    return FetchedPage(
        page=number,
        total_pages=total_pages,
        has_more=has_more,
        size_bytes=2,
        rows=(ROW,) * records,
        problems=(),
        first=ends[0],
        last=ends[1],
        asked_at=asked_at or SourceTime(),
    )


@pytest.mark.parametrize(
    ("state", "pages"),
    [
        pytest.param(FetchState(), [1], id="the-first-tells-the-total"),
        pytest.param(FetchState(pages=1, total_pages=4), [2, 3, 4], id="then-the-rest"),
        pytest.param(FetchState(pages=4, total_pages=4), [], id="then-nothing"),
        pytest.param(FetchState(pages=2, total_pages=9, is_at_end=True), [], id="behind-an-empty-page"),
    ],
)
def test_plans_follow_the_total(state: FetchState, pages: list[int]) -> None:
    assert list(plan_next_pages(state)) == pages


@pytest.mark.parametrize(
    ("page", "total"),
    [
        pytest.param(build_page(1, total_pages=17), 17, id="told-by-the-first"),
        pytest.param(build_page(1, total_pages=0), 1, id="none-told"),
        pytest.param(build_page(3, total_pages=99), 4, id="later-ones-are-not-believed"),
        pytest.param(build_page(3, has_more=True), 4, id="untold-and-more"),
        pytest.param(build_page(3), 3, id="untold-and-no-more"),
    ],
)
def test_the_total_is_the_first_pages_or_worked_out(page: FetchedPage, total: int) -> None:
    assert next_state(FetchState(pages=page.page - 1, total_pages=4), page).total_pages == total


def test_a_state_remembers_the_earliest_reading() -> None:
    pages = (
        build_page(1, asked_at=SourceTime(clock=NOON, stamp=NOON - MINUTE)),
        build_page(2, asked_at=SourceTime(clock=NOON - MINUTE, stamp=NOON)),
        build_page(3, records=0, ends=(None, None)),
    )
    state = FetchState()

    for page in pages:
        state = next_state(state, page)

    assert (state.pages, state.records, state.edge, state.is_at_end) == (3, 2, pages[1], True)
    assert state.read_since == SourceTime(clock=NOON - MINUTE, stamp=NOON - MINUTE)


@pytest.mark.parametrize(
    ("last", "first", "gap"),
    [
        pytest.param(9, 7, Gap(below=9, above=7), id="a-number-between"),
        pytest.param(9, 8, None, id="numbers-in-a-row"),
        pytest.param(8, 9, None, id="shifted-to-the-right"),
        pytest.param("9", "8", Gap(below="9", above="8"), id="texts-may-have-more-between"),
        pytest.param(9, None, None, id="no-id"),
    ],
)
def test_a_gap_is_what_may_lie_between_two_pages(last: RecordId, first: RecordId | None, gap: Gap | None) -> None:
    assert find_gap(build_page(1, ends=(12, last)), build_page(2, ends=(first, 1))) == gap
    assert find_gap(None, build_page(2, ends=(first, 1))) is None


def test_what_lies_below_the_last_page_is_a_gap_whatever_the_totals_say() -> None:
    assert find_tail(build_page(ends=(9, 4))) == Gap(below=4, above=None)
    assert find_tail(None) is None


def test_a_pass_asks_for_changes_once_and_for_gaps_in_parts() -> None:
    gaps = [Gap(below=number, above=number - 2) for number in range(100, 60, -1)]
    since = SourceTime(clock=NOON, stamp=NOON - MINUTE)

    first, *others = plan_pass(gaps, since=since, page_size=5, start=START)

    assert (first.changed_since, first.left_since, first.limit) == (NOON - 2 * MINUTE, NOON - MINUTE, 100)
    assert {(query.changed_since, query.left_since) for query in others} == {(None, None)}
    assert [gap for query in (first, *others) for gap in query.gaps] == gaps
    assert max(len(query.gaps) for query in (first, *others)) == GAPS_PER_QUERY


def test_without_any_stamp_the_whole_range_may_have_changed() -> None:
    (query,) = plan_pass([], since=SourceTime(), page_size=500, start=START)

    assert query == ChangesQuery(limit=500, changed_since=START, left_since=None, gaps=())


@pytest.mark.parametrize(
    ("queries", "news", "proves"),
    [
        pytest.param(1, (5,), True, id="one-answer-is-one-instant"),
        pytest.param(1, (0, 0), True, id="nothing-new-since-it-began"),
        pytest.param(1, (0, 1), False, id="several-answers"),
        pytest.param(2, (0, 0), False, id="gaps-in-several-queries"),
    ],
)
def test_what_proves_that_nothing_is_missing(
    queries: int, news: tuple[int, ...], proves: bool  # noqa: FBT001 - a table's column
) -> None:  # fmt: skip
    result = PassResult(queries=queries)

    for number in news:
        result = next_result(result, build_page(), news=number)

    assert is_proof(result) is proves


def test_a_page_is_asked_for_in_an_order_that_edits_do_not_change() -> None:
    assert build_page_query(3, page_size=50, bounds=BOUNDS) == {
        "limit": "50",
        "page": "3",
        "depth": "2",
        "sort": "-id",
        "where[updatedAt][greater_than_equal]": "2025-09-01T00:00:00.000Z",
        "where[updatedAt][less_than_equal]": "2025-10-16T23:59:59.999Z",
    }


def test_a_closing_pass_asks_for_what_changed_left_or_was_not_covered() -> None:
    query = ChangesQuery(
        limit=100,
        changed_since=NOON,
        left_since=NOON,
        gaps=(Gap(below=9, above=7), Gap(below=4, above=None)),
        below=50,
    )

    assert build_changes_query(query, bounds=BOUNDS) == {
        "limit": "100",
        "page": "1",
        "depth": "2",
        "sort": "-id",
        "where[updatedAt][greater_than_equal]": "2025-09-01T00:00:00.000Z",
        "where[id][less_than]": "50",
        "where[or][0][updatedAt][greater_than_equal]": "2025-10-16T12:00:00.000Z",
        "where[or][0][updatedAt][less_than_equal]": "2025-10-16T23:59:59.999Z",
        "where[or][1][updatedAt][greater_than_equal]": "2025-10-17T00:00:00.000Z",
        "where[or][1][createdAt][less_than_equal]": "2025-10-16T23:59:59.999Z",
        "where[or][2][id][less_than]": "9",
        "where[or][2][id][greater_than]": "7",
        "where[or][2][updatedAt][less_than_equal]": "2025-10-16T23:59:59.999Z",
        "where[or][3][id][less_than]": "4",
        "where[or][3][updatedAt][less_than_equal]": "2025-10-16T23:59:59.999Z",
    }
