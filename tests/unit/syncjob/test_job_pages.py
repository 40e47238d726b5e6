"""An answer becomes rows, and says what it proves."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from estimatesync_job.core.errors import SourceInvalidError
from estimatesync_job.core.pages import (
    FetchedPage,
    PageBody,
    SourceTime,
    compute_later,
    compute_stamp,
    format_problem,
    map_page,
)

NOON = datetime(2025, 10, 16, 12, tzinfo=UTC)


def map_body(body: bytes, *, page: int = 2, limit: int = 100) -> FetchedPage:
    answer = msgspec.json.decode(body, type=PageBody)
    return map_page(answer, page=page, limit=limit, size_bytes=len(body), seconds=0.1, asked_at=SourceTime(clock=NOON))


def test_rows_and_problems_of_a_page_are_kept_apart_and_counted_together() -> None:
    page = map_body(b'{"docs":[{"id":9},{"id":8,"true_cost":"x"},{"id":7}]}')

    assert [row.attic_tech_estimate_id for row in page.rows] == [9, 7]
    assert (page.records, page.first, page.last) == (3, 9, 7)
    assert format_problem(page.problems[0]).startswith(
        "Record 2 on page 2 (id 8) cannot be stored: true_cost is not a number. Nothing was stored;"
    )


@pytest.mark.parametrize(
    ("ids", "ends"),
    [
        pytest.param(b'["9","10","8"]', ("9", "8"), id="texts-as-the-server-sorts-them"),
        pytest.param(b"[null,9,8,[]]", (9, 8), id="nearest-to-the-ends"),
        pytest.param(b"[9,9,8]", (9, 8), id="twice-the-same"),
        pytest.param(b"[null]", (None, None), id="none"),
        pytest.param(b"[]", (None, None), id="empty"),
    ],
)
def test_the_ends_of_a_page_are_the_ids_as_sent(ids: bytes, ends: tuple[object, object]) -> None:
    docs = [{"id": number} for number in msgspec.json.decode(ids)]

    page = map_body(msgspec.json.encode({"docs": docs}))

    assert (page.first, page.last) == ends


def test_a_page_in_another_order_is_refused_by_its_number() -> None:
    with pytest.raises(SourceInvalidError, match="did not sort page 2 by id"):
        map_body(b'{"docs":[{"id":7},{"id":8},{"id":6}]}')


@pytest.mark.parametrize(
    ("says", "limit", "has_more"),
    [
        pytest.param(b"true", 9, True, id="it-says-so"),
        pytest.param(b"false", 9, False, id="it-says-not"),
        pytest.param(b"false", 1, True, id="it-says-not-but-is-full"),
        pytest.param(b"null", 9, False, id="nothing-said"),
        pytest.param(b"null", 1, True, id="nothing-said-but-full"),
    ],
)
def test_more_may_follow_by_the_more_cautious_of_two_signs(
    says: bytes, limit: int, has_more: bool  # noqa: FBT001 - a table's column
) -> None:  # fmt: skip
    assert map_body(b'{"docs":[{"id":1}],"hasNextPage":%s}' % says, limit=limit).has_more is has_more


@pytest.mark.parametrize(
    ("clock", "stamp", "expected"),
    [
        pytest.param(None, "2025-10-16T13:00:00Z", NOON + timedelta(hours=1), id="no-clock"),
        pytest.param(NOON, "2025-10-16T11:00:00Z", NOON - timedelta(hours=1), id="behind-the-clock"),
        pytest.param(NOON, "2025-10-16T13:00:00Z", NOON, id="ahead-of-the-clock"),
    ],
)
def test_the_newest_stamp_gives_the_time_unless_it_is_ahead_of_the_clock(
    clock: datetime | None, stamp: str, expected: datetime
) -> None:
    page = map_body(msgspec.json.encode({"docs": [{"id": 2, "updatedAt": stamp}, {"id": 1}]}))

    assert compute_stamp(SourceTime(clock=clock), page) == expected
    assert compute_later(SourceTime(clock=clock), clock=None, page=page) == SourceTime(clock=clock, stamp=expected)


def test_time_never_goes_back() -> None:
    time = SourceTime(clock=NOON, stamp=NOON)

    assert compute_later(time, clock=NOON - timedelta(hours=1), page=map_body(b'{"docs":[]}')) == time
