"""An answer becomes rows, and says what it proves."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from estimatesync_job.core.errors import SourceInvalidError
from estimatesync_job.core.pages import (
    FetchedPage,
    PageBody,
    compute_later,
    find_differences,
    format_problem,
    map_page,
)

NOON = datetime(2025, 10, 16, 12, tzinfo=UTC)


def map_body(body: bytes, *, page: int = 2, limit: int = 100) -> FetchedPage:
    answer = msgspec.json.decode(body, type=PageBody[msgspec.Raw])
    return map_page(answer, page=page, limit=limit, size_bytes=len(body), seconds=0.1, end=NOON)


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
    ("says", "asked", "given", "has_more"),
    [
        pytest.param(b"true", 9, b"9", True, id="it-says-so"),
        pytest.param(b"false", 9, b"9", False, id="it-says-not"),
        pytest.param(b"false", 1, b"1", True, id="it-says-not-but-is-full"),
        pytest.param(b"false", 9, b"1", True, id="it-says-not-but-is-as-full-as-it-may-be"),
        pytest.param(b"null", 9, b"9", False, id="nothing-said"),
        pytest.param(b"null", 1, b"1", True, id="nothing-said-but-full"),
        pytest.param(b"false", 9, b"0", False, id="no-limit"),
        pytest.param(b"false", 9, b'"9"', False, id="no-number-as-a-limit"),
    ],
)
def test_more_may_follow_by_the_more_cautious_of_two_signs(
    says: bytes, asked: int, given: bytes, has_more: bool  # noqa: FBT001 - a table's column
) -> None:  # fmt: skip
    page = map_body(b'{"docs":[{"id":1}],"limit":%s,"hasNextPage":%s}' % (given, says), limit=asked)

    assert page.has_more is has_more


@pytest.mark.parametrize(
    ("stamps", "newest"),
    [
        pytest.param(["2025-10-16T11:00:00Z", "2025-10-16T10:00:00Z"], NOON - timedelta(hours=1), id="the-newest"),
        pytest.param(
            ["2025-10-16T12:00:01Z", "2025-10-16T10:00:00Z"], NOON - timedelta(hours=2), id="not-beyond-the-end"
        ),
        pytest.param([None], None, id="none"),
    ],
)
def test_the_newest_stamp_is_that_of_the_range(stamps: list[str | None], newest: datetime | None) -> None:
    docs = [{"id": 9 - number, "updatedAt": stamp} for number, stamp in enumerate(stamps)]

    assert map_body(msgspec.json.encode({"docs": docs})).newest == newest


def test_time_never_goes_back() -> None:
    assert compute_later(NOON, NOON - timedelta(hours=1), None) == NOON
    assert compute_later(None) is None


def build_response(*records: str) -> FetchedPage:
    return map_page(
        PageBody(docs=tuple(msgspec.Raw(record.encode()) for record in records)),
        page=1, limit=9, size_bytes=1, seconds=0.1, end=NOON,
    )  # fmt: skip


STAMPED = '{"id": 7, "updatedAt": "2025-10-16T12:00:00Z", %s}'


@pytest.mark.parametrize(
    ("one", "other", "differences"),
    [
        pytest.param('"name": "A"', '"name": "A", "items": [1]', set(), id="the-same-row"),
        pytest.param('"name": "A", "true_cost": 0', '"name": "B", "true_cost": 5', {"name", "price"}, id="values"),
        pytest.param('"branch": 3', '"branch": {"name": null}', {"branch_name"}, id="shown-once-though-null"),
        pytest.param('"true_cost": "x"', '"true_cost": 5', {"true_cost"}, id="no-row-with-fields"),
        pytest.param('"true_cost": 5', '"true_cost": "x"', {"true_cost"}, id="no-row-as-a-whole"),
        pytest.param('"name": "A"', '"name": "B", "updatedAt": "2025-10-16T12:00:01Z"', None, id="edited-meanwhile"),
    ],
)
def test_two_responses_differ_in_what_they_show_of_one_version(
    one: str, other: str, differences: set[str] | None
) -> None:
    assert find_differences(build_response(STAMPED % one), build_response(STAMPED % other)) == differences


def test_responses_without_an_estimate_in_common_cannot_be_compared() -> None:
    assert find_differences(build_response('{"id": 7}'), build_response('{"id": 8}')) is None
    assert find_differences(build_response(), build_response()) is None
