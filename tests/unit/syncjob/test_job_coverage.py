"""What is still to ask for, and how it is asked."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from estimatesync_job.core.coverage import (
    GAPS_PER_QUERY,
    FetchState,
    PassResult,
    compute_earlier,
    find_gap,
    find_tail,
    is_proof,
    next_result,
    next_state,
    plan_pass,
)
from estimatesync_job.core.page_plan import build_plan
from estimatesync_job.core.pages import FetchedPage, SourceTime
from estimatesync_job.core.queries import (
    FIELDS_QUERY,
    ChangesQuery,
    DayBounds,
    Gap,
    PageQuery,
    build_changes_query,
    build_page_query,
)
from estimatesync_job.core.rows import RecordId, Row, map_record, map_records
from msgspec import Raw
from sample_attic_tech import build_records
from sample_attic_tech.listing import parse_find_query
from sample_attic_tech.selection import to_document

NOON = datetime(2025, 10, 16, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
START = datetime(2025, 9, 1, tzinfo=UTC)
BOUNDS = DayBounds(start=START, end=datetime(2025, 10, 16, 23, 59, 59, 999_000, tzinfo=UTC))
ROW = map_record(Raw(b'{"id":5}'))
assert isinstance(ROW, Row)


START_OF_READING = FetchState(plan=build_plan(page_size=100, ahead=2))


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
        limit=100,
        total_pages=total_pages,
        has_more=has_more,
        size_bytes=2,
        seconds=0.1,
        rows=(ROW,) * records,
        problems=(),
        first=ends[0],
        last=ends[1],
        asked_at=asked_at or SourceTime(),
    )


@pytest.mark.parametrize(
    ("pages", "is_nearly_read", "is_over"),
    [
        pytest.param(0, False, False, id="the-first-gives-the-total"),
        pytest.param(2, False, False, id="two-are-left"),
        pytest.param(3, True, False, id="one-is-left"),
        pytest.param(4, True, True, id="none-is-left"),
    ],
)
def test_a_closing_pass_may_begin_while_the_last_page_is_read(
    pages: int, is_nearly_read: bool, is_over: bool  # noqa: FBT001 - a table's columns
) -> None:  # fmt: skip
    state = START_OF_READING

    for number in range(1, pages + 1):
        state = next_state(state, build_page(number, total_pages=4))

    assert (state.is_nearly_read, state.is_over) == (is_nearly_read, is_over)


def test_a_closing_pass_waits_for_a_last_page_that_may_not_be_the_last() -> None:
    untold = next_state(START_OF_READING, build_page(1, has_more=True))
    without_ids = next_state(START_OF_READING, build_page(1, total_pages=2, ends=(None, None)))

    assert (untold.is_nearly_read, without_ids.is_nearly_read) == (False, False)


def test_an_empty_page_ends_the_reading() -> None:
    state = next_state(START_OF_READING, build_page(1, total_pages=1_000_000))

    assert next_state(state, build_page(2, records=0, ends=(None, None))).is_over


@pytest.mark.parametrize(
    ("edge", "ends", "goes_on"),
    [
        pytest.param((9, 5), (4, 1), True, id="further-down"),
        pytest.param((9, 5), (6, 4), True, id="shifted-but-further-down"),
        pytest.param((9, 5), (9, 5), False, id="the-same-again"),
        pytest.param((9, 5), (30, 20), False, id="further-up"),
        pytest.param(("b", "a"), ("d", "c"), True, id="other-texts"),
        pytest.param(("b", "a"), ("b", "a"), False, id="the-same-texts-again"),
        pytest.param((9, 5), (None, None), False, id="no-ids"),
    ],
)
def test_without_a_total_pages_are_read_as_long_as_they_reach_further_down(
    edge: tuple[RecordId, RecordId],
    ends: tuple[RecordId | None, RecordId | None],
    goes_on: bool,  # noqa: FBT001 - a table's column
) -> None:
    state = next_state(START_OF_READING, build_page(1, has_more=True, ends=edge))

    state = next_state(state, build_page(2, has_more=True, ends=ends))

    assert state.is_over is not goes_on


def test_a_state_remembers_the_earliest_reading() -> None:
    pages = (
        build_page(1, asked_at=SourceTime(clock=NOON, stamp=NOON - MINUTE)),
        build_page(2, asked_at=SourceTime(clock=NOON - MINUTE, stamp=NOON)),
        build_page(3, records=0, ends=(None, None)),
    )
    state = START_OF_READING

    for page in pages:
        state = next_state(state, page)

    assert (state.pages, state.records, state.edge, state.is_at_end) == (3, 2, pages[1], True)
    assert state.read_since == SourceTime(clock=NOON - MINUTE, stamp=NOON - MINUTE)


@pytest.mark.parametrize(
    ("clock", "stamp"),
    [
        pytest.param(NOON, NOON - MINUTE, id="what-the-clock-had-passed-was-there"),
        pytest.param(NOON - 2 * MINUTE, NOON - 2 * MINUTE, id="what-it-had-not-passed-may-have-come-later"),
        pytest.param(None, NOON - 99 * MINUTE, id="without-a-clock-only-the-page-gives-the-time"),
    ],
)
def test_pages_asked_for_together_share_the_newest_stamp(clock: datetime | None, stamp: datetime) -> None:
    old = build_page(asked_at=SourceTime(clock=clock, stamp=NOON - 99 * MINUTE))

    assert compute_earlier(None, old, newest=NOON - MINUTE).stamp == stamp


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

    first, *others = plan_pass(gaps, since=since, limit=5, start=START)

    assert (first.changed_since, first.left_since, first.limit) == (NOON - 2 * MINUTE, NOON - MINUTE, 100)
    assert {(query.changed_since, query.left_since) for query in others} == {(None, None)}
    assert [gap for query in (first, *others) for gap in query.gaps] == gaps
    assert max(len(query.gaps) for query in (first, *others)) == GAPS_PER_QUERY


def test_without_any_stamp_the_whole_range_may_have_changed() -> None:
    (query,) = plan_pass([], since=SourceTime(), limit=500, start=START)

    assert query == ChangesQuery(limit=500, changed_since=START, left_since=None, gaps=())


@pytest.mark.parametrize(
    ("queries", "new_or_changed", "proves"),
    [
        pytest.param(1, (5,), True, id="one-answer-is-one-instant"),
        pytest.param(1, (0, 0), True, id="nothing-new-since-it-began"),
        pytest.param(1, (0, 1), False, id="several-answers"),
        pytest.param(2, (0, 0), False, id="gaps-in-several-queries"),
    ],
)
def test_what_proves_that_nothing_is_missing(
    queries: int, new_or_changed: tuple[int, ...], proves: bool  # noqa: FBT001 - a table's column
) -> None:  # fmt: skip
    result = PassResult(queries=queries)

    for number in new_or_changed:
        result = next_result(result, build_page(), new_or_changed=number)

    assert is_proof(result) is proves


def test_the_fields_that_are_asked_for_leave_every_row_as_it_is() -> None:
    selection = parse_find_query(urlencode(FIELDS_QUERY)).selection
    records = build_records(300, seed=7, now=NOON)

    shown = [to_document(record, selection) for record in records]

    assert selection.select is not None
    assert map_records(_encode(shown)) == map_records(_encode(records))
    padded = build_records(1, seed=7, now=NOON, padding_bytes=45_000)
    assert sum(map(len, _encode([to_document(padded[0], selection)]))) < 1_000


def _encode(records: list[dict[str, Any]]) -> list[msgspec.Raw]:
    return [msgspec.Raw(msgspec.json.encode(record)) for record in records]


def test_a_page_is_asked_for_in_an_order_that_edits_do_not_change() -> None:
    assert build_page_query(PageQuery(page=9, number=3, limit=50), bounds=BOUNDS) == {
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
