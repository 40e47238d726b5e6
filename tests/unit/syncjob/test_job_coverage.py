"""What is still to ask for, and how it is asked."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from estimatesync_job.core.coverage import FetchState, compute_earlier, find_gap, find_tail, next_state
from estimatesync_job.core.page_plan import build_plan
from estimatesync_job.core.pages import FetchedPage
from estimatesync_job.core.queries import (
    FIELDS_QUERY,
    OVERLAP,
    ChangesQuery,
    DayBounds,
    Gap,
    IdsQuery,
    PageQuery,
    build_changes_query,
    build_ids_query,
    build_page_query,
)
from estimatesync_job.core.rows import RecordId, Row, map_record, map_records, pack_rows
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


START_OF_READING = FetchState(plan=build_plan(page_size=100, ahead=2), began_at=NOON)


def build_page(
    number: int = 1,
    *,
    total_pages: int | None = None,
    has_more: bool = False,
    records: int = 1,
    ends: tuple[RecordId | None, RecordId | None] = (5, 5),
    asked_at: datetime | None = None,
    newest: datetime | None = None,
) -> FetchedPage:
    return FetchedPage(
        page=number,
        limit=100,
        total_pages=total_pages,
        has_more=has_more,
        size_bytes=2,
        seconds=0.1,
        rows=pack_rows((ROW,) * records),
        problems=(),
        first=ends[0],
        last=ends[1],
        asked_at=asked_at,
        answered_at=NOON,
        newest=newest,
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


def test_a_state_remembers_when_the_first_page_was_asked_for() -> None:
    pages = (
        build_page(1, asked_at=NOON),
        build_page(2, asked_at=NOON - MINUTE),
        build_page(3, records=0, ends=(None, None)),
    )
    state = START_OF_READING

    states = [state := next_state(state, page) for page in pages]

    assert [state.began_at for state in states] == [NOON, NOON - MINUTE, None]
    assert (state.pages, state.records, state.edge, state.is_at_end) == (3, 2, pages[1], True)


@pytest.mark.parametrize(
    ("newest", "is_contradicted"),
    [
        pytest.param(None, False, id="no-stamp"),
        pytest.param(NOON + OVERLAP, False, id="as-far-as-clocks-differ"),
        pytest.param(NOON + OVERLAP + MINUTE / 60, True, id="further"),
    ],
)
def test_a_stamp_may_contradict_the_clock_once_and_for_all(
    newest: datetime | None, is_contradicted: bool  # noqa: FBT001 - a table's column
) -> None:  # fmt: skip
    state = next_state(START_OF_READING, build_page(1, newest=newest))

    assert next_state(state, build_page(2, newest=NOON)).is_clock_contradicted is is_contradicted


@pytest.mark.parametrize(
    ("asked_at", "is_contradicted"),
    [
        pytest.param(NOON + OVERLAP, False, id="as-far-as-clocks-differ"),
        pytest.param(NOON + OVERLAP + MINUTE / 60, True, id="further"),
    ],
)
def test_a_response_may_contradict_the_clock_of_the_one_before(
    asked_at: datetime, is_contradicted: bool  # noqa: FBT001 - a table's column
) -> None:  # fmt: skip
    assert next_state(START_OF_READING, build_page(1, asked_at=asked_at)).is_clock_contradicted is is_contradicted


def test_a_single_text_among_the_ids_makes_them_texts() -> None:
    state = next_state(START_OF_READING, build_page(1, ends=(5, 5)))

    assert state.is_numbered
    assert not next_state(next_state(state, build_page(2, ends=("4", "x"))), build_page(3)).is_numbered


@pytest.mark.parametrize(
    ("one", "other", "earlier"),
    [
        pytest.param(NOON, NOON - MINUTE, NOON - MINUTE, id="both-known"),
        pytest.param(NOON, None, None, id="unknown-is-earliest"),
        pytest.param(None, NOON, None, id="unknown-stays-so"),
    ],
)
def test_the_earlier_of_two_times(one: datetime | None, other: datetime | None, earlier: datetime | None) -> None:
    assert compute_earlier(one, other) == earlier


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


@pytest.mark.parametrize(
    ("first", "gap"),
    [
        pytest.param(9, Gap(below=None, above=9), id="all-above"),
        pytest.param(None, None, id="no-id"),
    ],
)
def test_what_lies_above_the_first_page_is_a_gap_for_new_ids_may_have_old_stamps(
    first: RecordId | None, gap: Gap | None
) -> None:
    assert find_gap(None, build_page(1, ends=(first, 1))) == gap


def test_what_lies_below_the_last_page_is_a_gap_whatever_the_totals_say() -> None:
    assert find_tail(build_page(ends=(9, 4))) == Gap(below=4, above=None)
    assert find_tail(None) == Gap(below=None, above=None)


def test_the_fields_that_are_asked_for_leave_every_row_as_it_is() -> None:
    selection = parse_find_query(urlencode(FIELDS_QUERY)).selection
    records = build_records(300, seed=7, now=NOON)

    shown = [to_document(record, selection) for record in records]

    assert selection.select is not None
    assert map_records(_encode(shown)) == map_records(_encode(records))
    padded = build_records(1, seed=7, now=NOON, padding_bytes=45_000)
    assert sum(map(len, _encode([to_document(padded[0], selection)]))) < 1_000


def test_of_documents_that_a_record_refers_to_only_their_own_fields_are_asked_for() -> None:
    """The envelope `{relationTo, value}` is the record's, not theirs."""
    populated = {name for name in FIELDS_QUERY if name.startswith("populate")}

    assert {name for name in populated if name.endswith(("[value]", "[relationTo]"))} == set()
    assert {"populate[branches][name]", "populate[users][name]", "populate[properties][client]"} <= populated


def _encode(records: list[dict[str, Any]]) -> list[msgspec.Raw]:
    return [msgspec.Raw(msgspec.json.encode(record)) for record in records]


def test_estimates_are_asked_for_by_their_ids_with_room_for_one_more() -> None:
    """A response that is full may have been cut, and then says nothing about what it lacks."""
    query = build_ids_query(IdsQuery(ids=(7, 5)))

    assert (query["where[id][in]"], query["limit"]) == ("7,5", "3")


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
        since=NOON,
        gaps=(Gap(below=None, above=40), Gap(below=9, above=7), Gap(below=4, above=None)),
        below=50,
        above=3,
    )

    assert build_changes_query(query, bounds=BOUNDS) == {
        "limit": "100",
        "page": "1",
        "depth": "2",
        "sort": "-id",
        "where[updatedAt][greater_than_equal]": "2025-09-01T00:00:00.000Z",
        "where[id][less_than]": "50",
        "where[id][greater_than]": "3",
        "where[or][0][updatedAt][greater_than_equal]": "2025-10-16T12:00:00.000Z",
        "where[or][0][updatedAt][less_than_equal]": "2025-10-16T23:59:59.999Z",
        "where[or][1][updatedAt][greater_than_equal]": "2025-10-17T00:00:00.000Z",
        "where[or][1][createdAt][less_than_equal]": "2025-10-17T00:04:59.999Z",
        "where[or][2][id][greater_than]": "40",
        "where[or][2][updatedAt][less_than_equal]": "2025-10-16T23:59:59.999Z",
        "where[or][3][id][less_than]": "9",
        "where[or][3][id][greater_than]": "7",
        "where[or][3][updatedAt][less_than_equal]": "2025-10-16T23:59:59.999Z",
        "where[or][4][id][less_than]": "4",
        "where[or][4][updatedAt][less_than_equal]": "2025-10-16T23:59:59.999Z",
    }


@pytest.mark.parametrize("since", [None, START - MINUTE])
def test_without_a_clock_a_closing_pass_asks_for_everything_and_for_what_may_ever_have_left(
    since: datetime | None,
) -> None:
    parameters = build_changes_query(ChangesQuery(limit=100, since=since), bounds=BOUNDS)

    assert parameters["where[or][0][updatedAt][greater_than_equal]"] == "2025-09-01T00:00:00.000Z"
    assert parameters["where[or][1][updatedAt][greater_than_equal]"] == "2025-10-17T00:00:00.000Z"
