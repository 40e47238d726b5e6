"""One broken record is one skipped record, never more: whatever its bytes are, the others of its page are rows."""

from contextlib import nullcontext
from datetime import UTC, datetime

import msgspec
import pytest
from estimatesync_job.core.errors import RecordInvalidError, TransientSourceError
from estimatesync_job.core.invalid_records import InvalidRecords
from estimatesync_job.core.pages import FetchedPage, map_page
from estimatesync_job.core.record_split import find_id, split_page
from estimatesync_job.core.responses import Response, parse_page_response
from estimatesync_job.core.rows import Row, map_record

NOON = datetime(2025, 10, 16, 12, tzinfo=UTC)
# Python 3.12 and newer read some thousands of levels, and 3.11 one thousand; none reads these.
DEEP = b"[" * 20_000 + b"]" * 20_000
DEEP_OBJECT = b'{"a":' * 20_000 + b"1" + b"}" * 20_000


def read_page(*records: bytes) -> FetchedPage:
    body = b'{"totalPages":1,"docs":[' + b", ".join(records) + b'],"page":1}'
    response = Response(status=200, headers={"content-type": "application/json"}, body=body)
    content = parse_page_response(response, number=1)
    return map_page(content, page=1, limit=9, size_bytes=len(body), seconds=0.1, end=NOON)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(rb'{"id":5,"name":"\ud83d"}', id="half-a-character"),
        pytest.param(rb'{"id":5,"name":"\ud83d","crew_notes":"x"}', id="half-a-character-and-more"),
        pytest.param(rb'{"id":5,"name":"\udc00x"}', id="second-half-of-a-character"),
        pytest.param(rb'{"id":5,"unread":"\ud83d"}', id="half-a-character-that-nobody-reads"),
        pytest.param(rb'{"id":5,"\ud83d":1}', id="half-a-character-as-a-name"),
        pytest.param(rb'{"id":5,"name":{"deep":["\ud83d"]}}', id="half-a-character-in-a-list"),
        pytest.param(b'{"id":5,"name":"\xff\xfe"}', id="not-utf-8"),
        pytest.param(b'{"id":5,"name":"\xed\xa0\x80"}', id="half-a-character-as-utf-8"),
        pytest.param(b'{"id":5,"name":"\xc0\xaf"}', id="utf-8-that-is-too-long"),
        pytest.param(b'{"id":5,"branch":{"name":"\xff"}}', id="not-utf-8-in-a-relation"),
        pytest.param(b'{"id":5,"true_cost":1e99999999999999999999}', id="number-beyond-all-bounds"),
        pytest.param(b'{"id":5,"name":1e99999999999999999999}', id="number-beyond-all-bounds-as-text"),
        pytest.param(b'{"id":5,"branch":1e99999999999999999999}', id="number-beyond-all-bounds-as-relation"),
        pytest.param(b'{"id":5,"true_cost":' + b"9" * 5000 + b"}", id="five-thousand-digits"),
        pytest.param(b'{"id":5,"true_cost":Infinity}', id="infinity"),
        pytest.param(b'{"id":5,"unread":NaN}', id="nan-that-nobody-reads"),
        pytest.param(b'{"id":5,"unread":01}', id="octal"),
        pytest.param(b'{"id":5,"unread":' + DEEP + b"}", id="deep-lists-that-nobody-reads"),
        pytest.param(b'{"unread":' + DEEP_OBJECT + b',"id":5}', id="deep-objects-that-nobody-reads"),
        pytest.param(b'{"id":5,"crew_notes":' + DEEP + b"}", id="deep-lists"),
        pytest.param(b'{"id":5,"branch":' + DEEP_OBJECT + b"}", id="deep-objects-as-relation"),
        pytest.param(rb'{"id":5,"unread":"\q"}', id="unknown-escape"),
        pytest.param(b'{"id":5,"name":"a\x01\n"}', id="bare-control-characters"),
        pytest.param(b'{"id":5,}', id="comma-at-the-end"),
        pytest.param(b'{"id":5 "name":"x"}', id="no-comma"),
        pytest.param(b'{"id":5,"unread":tru}', id="half-a-word"),
    ],
)
def test_one_broken_record_is_skipped_by_its_id_and_the_others_are_rows(record: bytes) -> None:
    page = read_page(b'{"id":9,"name":"[{"}', record, b'{"id":1,"name":"\\"]}"}')

    assert [row.attic_tech_estimate_id for row in page.rows] == [9, 1]
    assert [(placed.problem.record_id, placed.position) for placed in page.problems] == [("5", 2)]
    assert (page.first, page.last, page.total_pages) == (9, 1, 1)
    assert page.problems[0].problem.problem.isprintable()


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(DEEP, id="deep-lists"),
        pytest.param(b"{'id':5}", id="other-quotes"),
        pytest.param(rb'{"id":"\ud83d"}', id="half-a-character-as-id"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"undefined", id="a-word"),
    ],
)
def test_a_broken_record_without_an_id_is_skipped_by_its_place(record: bytes) -> None:
    page = read_page(b'{"id":9}', record, b'{"id":1}')

    assert [row.attic_tech_estimate_id for row in page.rows] == [9, 1]
    assert [(placed.problem.has_id, placed.position) for placed in page.problems] == [(False, 2)]


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(b'\xef\xbb\xbf{"id":5}', id="byte-order-mark"),
        pytest.param(b'{"id":5,"name":"\xef\xbb\xbf"}', id="byte-order-mark-in-a-text"),
        pytest.param(b'{"id":5,"unread":"\xff"}', id="not-utf-8-that-nobody-reads"),
        pytest.param(b'{"id":5,"unread":1e99999999999999999999}', id="number-that-nobody-reads"),
        pytest.param(b'{"id":5,"true_cost":0e9999999999}', id="a-zero-like-any-other"),
        pytest.param(rb'{"id":5,"name":"\ud83c\udfe0"}', id="both-halves-of-a-character"),
    ],
)
def test_what_is_only_odd_is_a_row(record: bytes) -> None:
    page = read_page(b'{"id":9}', record, b'{"id":1}')

    assert [row.attic_tech_estimate_id for row in page.rows] == [9, 5, 1]


@pytest.mark.parametrize(
    ("hours", "stored"),
    [
        pytest.param(b"0e9999999999", "0.000000", id="zero-with-a-large-exponent"),
        pytest.param(b"0e-9999999999", "0.000000", id="zero-with-a-small-exponent"),
        pytest.param(b"1e3", "1000.000000", id="exponent"),
        pytest.param(b'"0e9999999999"', "0.000000", id="text"),
        pytest.param(b"16.25", "16.25", id="plain"),
    ],
)
def test_hours_are_written_as_postgresql_reads_them(hours: bytes, stored: str) -> None:
    row = map_record(msgspec.Raw(b'{"id":1,"labor_hours":' + hours + b"}"))

    assert isinstance(row, Row)
    assert str(row.attic_tech_hours) == stored


def break_records(*ids: int) -> FetchedPage:
    return read_page(*(b'{"id":%d,"true_cost":"x"}' % number for number in ids))


def test_the_first_ten_are_named_once_each_and_all_are_counted() -> None:
    invalid = InvalidRecords(max_percent=100)

    named = [placed.problem.record_id for placed in invalid.add(break_records(*range(12, 0, -1)))]
    again = invalid.add(break_records(12, 11))

    first = tuple(str(number) for number in range(12, 2, -1))
    assert (tuple(named), again) == (first, ())
    assert (invalid.count, invalid.ids, invalid.numbers) == (12, first, tuple(range(12, 0, -1)))


def test_a_record_that_came_again_as_a_row_is_not_broken_any_more() -> None:
    invalid = InvalidRecords(max_percent=0)
    invalid.add(break_records(9, 8))

    invalid.add(read_page(b'{"id":9}'))
    corrected = invalid.ids
    named = invalid.add(break_records(9))

    assert (corrected, invalid.ids, len(named)) == (("8",), ("8", "9"), 1)


def test_a_record_without_an_id_is_named_by_its_place() -> None:
    invalid = InvalidRecords(max_percent=100)

    invalid.add(read_page(b'{"id":9}', b'{"name":"x"}', b'{"id":"a-b"}'))

    assert (invalid.ids, invalid.numbers) == (("record 2 on page 1", "a-b"), ())


@pytest.mark.parametrize(
    ("broken", "records", "max_percent", "is_refused"),
    [
        pytest.param(0, 0, 0, False, id="none of none"),
        pytest.param(1, 100, 1, False, id="the whole share"),
        pytest.param(1, 99, 1, True, id="more than the share"),
        pytest.param(1, 1000, 0, True, id="none is allowed"),
        pytest.param(3, 3, 100, False, id="all are allowed"),
    ],
)
def test_so_many_of_a_hundred_may_be_left_out(broken: int, records: int, max_percent: int, *, is_refused: bool) -> None:
    invalid = InvalidRecords(max_percent=max_percent)
    if broken:
        invalid.add(break_records(*range(broken, 0, -1)))

    with pytest.raises(RecordInvalidError) if is_refused else nullcontext():
        invalid.check(records)


@pytest.mark.parametrize(
    ("broken", "more"),
    [
        pytest.param(1, "", id="one"),
        pytest.param(3, " 2 more are broken: 2, 1.", id="three"),
        pytest.param(10, " 9 more are broken: 9, 8, 7, 6, 5, 4, 3, 2, 1.", id="as many as are named"),
        pytest.param(11, " 10 more are broken: 10, 9, 8, 7, 6, 5, 4, 3, 2, ….", id="too many to name"),
    ],
)
def test_too_many_broken_records_end_the_sync_by_name(broken: int, more: str) -> None:
    invalid = InvalidRecords(max_percent=0)
    invalid.add(break_records(*range(broken, 0, -1)))

    with pytest.raises(RecordInvalidError) as raised:
        invalid.check(100)

    assert str(raised.value) == (
        f"Record 1 on page 1 (id {broken}) cannot be stored: true_cost is not a number. Nothing was stored; "
        f"correct the record in Attic Tech and sync again.{more}"
    )


@pytest.mark.parametrize(
    ("body", "elements"),
    [
        pytest.param(b'{"docs":[]}', (), id="empty"),
        pytest.param(b'{"docs": [ ] , "page":1}', (), id="blank"),
        pytest.param(b'{"docs":[1,[2,3],{"a":","}]}', (b"1", b"[2,3]", b'{"a":","}'), id="nested"),
        pytest.param(b'{"x":{"docs":[1]},"docs" : [2]}', (b"2",), id="the-list-of-the-page-itself"),
        pytest.param(b'{"x":["docs"],"y":"\\"docs\\":[","docs":[3]}', (b"3",), id="its-name-within-a-text"),
        pytest.param(b'{"docs":["\\\\",2]}', (b'"\\\\"', b"2"), id="backslash-at-the-end"),
    ],
)
def test_the_elements_are_found_by_their_brackets(body: bytes, elements: tuple[bytes, ...]) -> None:
    found = split_page(body)

    assert found is not None
    assert found[1] == elements
    assert b"docs" in found[0]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"docs":[{"id":1},{"id":', id="cut-short"),
        pytest.param(b'{"docs":[{"id":1}', id="without-its-end"),
        pytest.param(b'{"docs":[{"id":1,"name":"x', id="cut-within-a-text"),
        pytest.param(b"<html>", id="a-web-page"),
        pytest.param(b'{"docs":[{"id":1}],"page":}', id="broken-outside-of-its-records"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_page_that_is_cut_short_is_asked_for_again(body: bytes) -> None:
    response = Response(status=200, headers={"content-type": "application/json"}, body=body)

    with pytest.raises(TransientSourceError):
        parse_page_response(response, number=1)


@pytest.mark.parametrize(
    ("record", "identity"),
    [
        pytest.param(b'{"id":5,', 5, id="number"),
        pytest.param(b'{"x":{"id":4},"id" : -5 }', -5, id="not-that-of-a-relation"),
        pytest.param(b'{"id":"65f1-a"', "65f1-a", id="text"),
        pytest.param(b'{"id":{"id":3}}', None, id="object"),
        pytest.param(b'{"id":1e5}', None, id="not-whole"),
        pytest.param(b'{"name":"id","x":5}', None, id="none"),
    ],
)
def test_the_id_of_a_broken_record_is_found_where_it_is_plain(record: bytes, identity: int | str | None) -> None:
    assert find_id(record) == identity


def test_a_whole_body_may_begin_with_a_byte_order_mark() -> None:
    body = b'\xef\xbb\xbf{"docs":[{"id":1}]}'
    response = Response(status=200, headers={"content-type": "application/json"}, body=body)

    assert len(parse_page_response(response, number=1).docs) == 1


def test_a_text_without_an_end_takes_no_longer_than_others() -> None:
    """Were each quote in it tried as the beginning of another text, this would take minutes."""
    assert split_page(b'{"docs":[{"id":1,"x":"' + rb"a\"" * 200_000) is None
