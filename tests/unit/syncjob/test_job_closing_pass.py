"""How the closing pass cuts the ids into segments, continues them, and when it is a proof."""

import math
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_job.core.closing_pass import (
    GAPS_PER_QUERY,
    MIN_LIMIT,
    PassPolicy,
    PassResult,
    compute_limit,
    compute_pause,
    is_proof,
    next_result,
    plan_continuations,
    plan_pass,
)
from estimatesync_job.core.coverage import FetchState
from estimatesync_job.core.errors import SourceInvalidError
from estimatesync_job.core.page_plan import MAX_PAGE_BYTES, build_plan
from estimatesync_job.core.pages import CLOSING_PAGE, FetchedPage
from estimatesync_job.core.queries import OVERLAP, ChangesQuery, DayBounds, Gap, build_changes_query
from estimatesync_job.core.rows import RecordId, Row, map_record, pack_rows
from msgspec import Raw

NOON = datetime(2025, 10, 16, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ROW = map_record(Raw(b'{"id":5}'))
assert isinstance(ROW, Row)


def build_response(
    first: RecordId | None = 90,
    last: RecordId | None = 81,
    *,
    records: int = 10,
    has_more: bool = True,
    total_pages: int | None = None,
    size_bytes: int = 2,
    asked_at: datetime | None = NOON,
    newest: datetime | None = None,
) -> FetchedPage:
    return FetchedPage(
        page=CLOSING_PAGE,
        limit=10,
        total_pages=total_pages,
        has_more=has_more,
        size_bytes=size_bytes,
        seconds=0.1,
        rows=pack_rows((ROW,) * records),
        problems=(),
        first=first,
        last=last,
        asked_at=asked_at,
        answered_at=NOON,
        newest=newest,
    )


def list_segments(queries: tuple[ChangesQuery, ...]) -> list[tuple[RecordId | None, RecordId | None]]:
    return [(query.below, query.above) for query in queries]


def test_few_gaps_are_one_request_over_all_ids() -> None:
    gaps = (Gap(below=None, above=90), Gap(below=50, above=40), Gap(below=9, above=None))

    queries = plan_pass(gaps, clock=NOON, limit=5, is_numbered=True)

    assert queries == (ChangesQuery(limit=5, since=NOON - OVERLAP, gaps=gaps),)


@pytest.mark.parametrize(
    ("page_size", "pages", "record_bytes", "limit"),
    [
        pytest.param(100, 16, 450, 200, id="the-last-page-and-as-many-that-have-changed"),
        pytest.param(100, 17, 450, 100, id="no-page-is-to-come"),
        pytest.param(10, 17, 450, MIN_LIMIT, id="tiny-pages"),
        pytest.param(100, 16, 45_000, 111, id="heavy-records"),
        pytest.param(10, 16, 300_000, 16, id="heavy-records-on-tiny-pages"),
        pytest.param(100, 16, 300_000, 111, id="the-last-page-fits-at-least"),
        pytest.param(100, 16, 0, 200, id="no-size"),
    ],
)
def test_a_pass_asks_for_what_fits_into_memory(page_size: int, pages: int, record_bytes: int, limit: int) -> None:
    plan = msgspec.structs.replace(build_plan(page_size=page_size, ahead=17), heaviest=record_bytes)
    state = FetchState(plan=plan, pages=pages, records=50)

    assert compute_limit(state) == limit


def test_many_gaps_are_segments_that_join_and_each_asks_for_what_has_changed_or_left_among_its_ids() -> None:
    gaps = [Gap(below=number, above=number - 2) for number in range(1000, 0, -5)]

    queries = plan_pass(
        (Gap(below=None, above=1005), *gaps, Gap(below=3, above=None)), clock=NOON, limit=500, is_numbered=True
    )

    assert {(query.since, query.limit) for query in queries} == {(NOON - OVERLAP, 500)}
    assert [gap for query in queries for gap in query.gaps] == [
        Gap(below=None, above=1005),
        *gaps,
        Gap(below=3, above=None),
    ]
    assert max(len(query.gaps) for query in queries) == GAPS_PER_QUERY
    segments = list_segments(queries)
    assert (segments[0][0], segments[-1][1]) == (None, None)
    assert [above + 1 for _, above in segments[:-1] if isinstance(above, int)] == [below for below, _ in segments[1:]]
    for query in queries:
        assert all(query.below is None or (gap.below or math.inf) <= query.below for gap in query.gaps)
        assert all(query.above is None or (gap.above or -1) >= query.above for gap in query.gaps)


def test_no_list_of_conditions_is_longer_than_a_query_string_may_have() -> None:
    """qs, which reads Payload's query strings, makes a list of the numbers up to 20 alone, and an object of others."""
    gaps = [Gap(below=number, above=number - 2) for number in range(1000, 0, -5)]
    bounds = DayBounds(start=NOON - timedelta(days=30), end=NOON + timedelta(days=1))

    queries = plan_pass(gaps, clock=NOON, limit=500, is_numbered=True)

    conditions = [
        {name.split("]")[1] for name in build_changes_query(query, bounds=bounds) if name.startswith("where[or][")}
        for query in queries
    ]
    assert max(map(len, conditions)) == 20


@pytest.mark.parametrize(
    ("gaps", "merged"),
    [
        pytest.param([(None, 100), (121, 120)], [(None, 100)], id="a-page-shifted-above-the-first"),
        pytest.param([(50, 40), (45, 30)], [(50, 30)], id="overlapping"),
        pytest.param([(50, 40), (41, 30)], [(50, 30)], id="without-a-number-between"),
        pytest.param([(50, 40), (40, 30)], [(50, 40), (40, 30)], id="with-one"),
        pytest.param([(9, None), (50, 5)], [(50, None)], id="open-at-the-bottom"),
        pytest.param([(9, None), (50, 20)], [(50, 20), (9, None)], id="in-order"),
        pytest.param([(None, None)], [(None, None)], id="an-empty-range"),
    ],
)
def test_gaps_are_put_in_order_and_together(
    gaps: list[tuple[int | None, int | None]], merged: list[tuple[int | None, int | None]]
) -> None:
    given = [Gap(below=below, above=above) for below, above in gaps]

    (query,) = plan_pass(given, clock=NOON, limit=100, is_numbered=True)

    assert [(gap.below, gap.above) for gap in query.gaps] == merged


@pytest.mark.parametrize("is_numbered", [True, False])
def test_without_a_clock_everything_is_asked_for_at_once(is_numbered: bool) -> None:  # noqa: FBT001 - a table's column
    gaps = [Gap(below=number, above=number - 2) for number in range(1000, 0, -5)]

    assert plan_pass(gaps, clock=None, limit=500, is_numbered=is_numbered) == (ChangesQuery(limit=500, since=None),)


def test_texts_are_not_cut_into_segments() -> None:
    gaps = [Gap(below=f"a{number}", above=f"b{number}") for number in range(GAPS_PER_QUERY + 1)]

    queries = plan_pass(gaps, clock=NOON, limit=500, is_numbered=False)

    assert list_segments(queries) == [(None, None)] * 2
    assert [gap for query in queries for gap in query.gaps] == gaps
    assert {query.since for query in queries} == {NOON - OVERLAP}
    assert plan_pass((), clock=NOON, limit=500, is_numbered=False) == (ChangesQuery(limit=500, since=NOON - OVERLAP),)


QUERY = ChangesQuery(limit=10, since=NOON, gaps=(Gap(below=95, above=85), Gap(below=40, above=30)), below=100, above=20)


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(build_response(None, None, records=0), id="empty-whatever-it-says"),
        pytest.param(build_response(records=3, has_more=False), id="short-and-says-no-more"),
    ],
)
def test_a_segment_ends(response: FetchedPage) -> None:
    assert plan_continuations(QUERY, response, cuts=()) == ()


def test_a_short_response_that_says_more_is_continued_with_what_is_left_of_its_gaps() -> None:
    (following,) = plan_continuations(QUERY, build_response(90, 88, records=3), cuts=(90, 50))

    assert list_segments((following,)) == [(88, 20)]
    assert following.gaps == (Gap(below=88, above=85), Gap(below=40, above=30))
    (following,) = plan_continuations(following, build_response(80, 32, records=3), cuts=(90, 50))
    assert following.gaps == (Gap(below=32, above=30),)
    (following,) = plan_continuations(following, build_response(31, 31, records=1), cuts=(90, 50))
    assert following.gaps == ()


@pytest.mark.parametrize(
    ("size_bytes", "limit"),
    [
        pytest.param(MAX_PAGE_BYTES, 10, id="it-just-fits"),
        pytest.param(2 * MAX_PAGE_BYTES, 5, id="half-of-it-fits"),
        pytest.param(100 * MAX_PAGE_BYTES, 1, id="not-one-record-fits"),
    ],
)
def test_a_response_that_is_too_heavy_is_continued_with_as_many_records_as_fit(size_bytes: int, limit: int) -> None:
    (following,) = plan_continuations(QUERY, build_response(size_bytes=size_bytes), cuts=())

    assert following.limit == limit


@pytest.mark.parametrize(
    ("response", "message"),
    [
        pytest.param(build_response(100, 90, has_more=False), "keep to the ids", id="not-below"),
        pytest.param(build_response(90, 20, has_more=False), "keep to the ids", id="not-above"),
        pytest.param(build_response(None, None), "does not continue", id="no-id-to-go-on-from"),
    ],
)
def test_a_server_that_gives_other_ids_than_it_is_asked_for_is_refused(response: FetchedPage, message: str) -> None:
    with pytest.raises(SourceInvalidError, match=message):
        plan_continuations(QUERY, response, cuts=())


def test_a_text_is_continued_below_itself_and_never_twice() -> None:
    query = ChangesQuery(limit=10, since=NOON, below="8")

    assert list_segments(plan_continuations(query, build_response("7", "6", total_pages=9), cuts=(9, 5))) == [
        ("6", None)
    ]
    with pytest.raises(SourceInvalidError, match="does not continue") as raised:
        plan_continuations(query, build_response("9", "8"), cuts=())
    assert raised.value.cause is SpecificCause.LIST_NOT_CONTINUED


def test_numbers_after_a_text_are_continued_without_a_cut() -> None:
    query = ChangesQuery(limit=200, since=NOON, gaps=(Gap(below="x", above=None),), below="draft-7")
    response = build_response(2000, 1801, records=200, total_pages=10)

    (following,) = plan_continuations(query, response, cuts=PAGES_OF_100)

    assert (following.below, following.gaps) == (1801, query.gaps)


@pytest.mark.parametrize(
    ("above", "total_pages", "segments"),
    [
        pytest.param(None, 5, [859, 829, 799, 769, 739, 709], id="a-little-shorter-than-what-came"),
        pytest.param(800, 5, [859, 829], id="within-the-segment"),
        pytest.param(None, 10**9, list(range(859, 0, -30)), id="no-more-than-there-are-numbers"),
        pytest.param(None, 3, [], id="few-are-left"),
    ],
)
def test_much_that_is_left_below_all_pages_is_cut_evenly(
    above: int | None, total_pages: int, segments: list[int]
) -> None:
    query = ChangesQuery(limit=100, since=NOON, above=above)
    response = build_response(928, 889, records=10, total_pages=total_pages)

    following = plan_continuations(query, response, cuts=(2000, 1000))

    assert [segment.above for segment in following[:-1]] == segments
    assert (following[0].below, following[-1].above) == (889, above)


EVERYTHING = ChangesQuery(limit=200, since=NOON)
PAGES_OF_100 = tuple(range(2000, 0, -100))
"""The highest ids of pages, where no number is free."""


@pytest.mark.parametrize(
    ("last", "total_pages", "segments"),
    [
        pytest.param(1801, 10, list(range(1700, 0, -100)), id="all-have-changed-so-each-page-is-one"),
        pytest.param(1801, 4, [1700, 1600, 1500, 1400, 1300, 1200], id="only-as-many-as-are-announced"),
        pytest.param(1401, 5, [1000, 600, 200], id="a-few-of-each-page"),
        pytest.param(1801, 3, [], id="few-are-left"),
        pytest.param(1801, None, [], id="nothing-is-announced"),
        pytest.param(1801, 10**9, list(range(1700, 0, -100)), id="no-more-than-pages-whatever-is-announced"),
    ],
)
def test_much_that_is_left_is_cut_at_known_ids(last: int, total_pages: int | None, segments: list[int]) -> None:
    response = build_response(2000, last, records=200, total_pages=total_pages)

    following = plan_continuations(EVERYTHING, response, cuts=PAGES_OF_100)

    assert list_segments(following) == list(
        zip([last, *(above + 1 for above in segments)], [*segments, None], strict=True)
    )


def test_an_import_above_all_known_ids_is_read_on_without_a_cut() -> None:
    response = build_response(9000, 8801, records=200, total_pages=10)

    assert list_segments(plan_continuations(EVERYTHING, response, cuts=PAGES_OF_100)) == [(8801, None)]


@pytest.mark.parametrize(
    ("result", "new_or_changed", "proves"),
    [
        pytest.param(PassResult(queries=3, since=NOON, responses=9), 5, True, id="numbers"),
        pytest.param(PassResult(queries=1, since=NOON, is_clock_contradicted=True), 0, False, id="by-a-wrong-clock"),
        pytest.param(PassResult(queries=1, since=None, is_clock_contradicted=True), 5, True, id="by-no-clock"),
        pytest.param(PassResult(queries=1, since=NOON, responses=1, is_numbered=False), 5, True, id="one-instant"),
        pytest.param(PassResult(queries=1, since=NOON, responses=2, is_numbered=False), 0, True, id="nothing-new"),
        pytest.param(PassResult(queries=1, since=NOON, responses=2, is_numbered=False), 1, False, id="something-new"),
        pytest.param(PassResult(queries=2, since=NOON, responses=2, is_numbered=False), 0, False, id="gaps-apart"),
    ],
)
def test_what_proves_that_nothing_is_missing(
    result: PassResult, new_or_changed: int, proves: bool  # noqa: FBT001 - a table's column
) -> None:  # fmt: skip
    assert is_proof(result, new_or_changed=new_or_changed) is proves


def test_a_pass_is_complete_as_of_the_earliest_of_its_requests() -> None:
    result = PassResult(queries=1, since=None)
    responses = (
        build_response(asked_at=NOON),
        build_response("b", "a", asked_at=NOON - MINUTE),
        build_response(newest=NOON + OVERLAP + MINUTE),
    )

    results = [result := next_result(result, response) for response in responses]

    assert [result.began_at for result in results] == [NOON, NOON - MINUTE, NOON - MINUTE]
    assert [result.is_numbered for result in results] == [True, False, False]
    assert [result.is_clock_contradicted for result in results] == [False, False, True]
    assert (result.responses, result.records) == (3, 30)
    assert next_result(result, build_response(asked_at=None)).began_at is None


def test_pauses_between_passes_grow_and_end_with_the_syncs_own_time() -> None:
    policy = PassPolicy(first_pause=1.0, longest_pause=60.0)

    pauses = [compute_pause(policy, passes=passes, remaining=math.inf) for passes in (1, 2, 3, 7, 99)]

    assert pauses == [1.0, 2.0, 4.0, 60.0, 60.0]
    assert compute_pause(policy, passes=3, remaining=4.0) is None
