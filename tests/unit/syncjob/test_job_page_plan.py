"""Which pages are asked for, and how large they are."""

import pytest
from estimatesync_job.core.page_plan import PagePlan, build_plan, next_plan
from estimatesync_job.core.pages import FetchedPage
from estimatesync_job.core.queries import PageQuery
from estimatesync_job.core.rows import Row, map_record, pack_rows
from msgspec import Raw

ROW = map_record(Raw(b'{"id":5}'))
assert isinstance(ROW, Row)


def build_page(
    number: int = 1,
    *,
    total_pages: int | None = None,
    has_more: bool = False,
    records: int = 100,
    record_bytes: int = 450,
    seconds: float = 0.05,
) -> FetchedPage:
    return FetchedPage(
        page=number,
        limit=100,
        total_pages=total_pages,
        has_more=has_more,
        size_bytes=records * record_bytes,
        seconds=seconds,
        rows=pack_rows((ROW,) * records),
        problems=(),
        first=5,
        last=5,
    )


def plan_after(plan: PagePlan, page: FetchedPage) -> PagePlan:
    return next_plan(plan, page, edge=None)


def list_sizes(plan: PagePlan) -> list[tuple[int, int]]:
    """The sizes in order, each with how many pages have it."""
    return [(series.limit, series.pages) for series in plan.series]


def test_some_pages_are_asked_for_before_their_number_is_known() -> None:
    plan = build_plan(page_size=None, ahead=8)

    assert plan.total_pages == 8
    assert plan.build_query(8) == PageQuery(page=8, number=8, limit=100)


@pytest.mark.parametrize(
    ("announced", "total"),
    [
        pytest.param(17, 17, id="more-than-asked-for"),
        pytest.param(3, 3, id="fewer-than-asked-for"),
        pytest.param(0, 1, id="none"),
    ],
)
def test_the_first_page_fixes_the_number_of_pages(announced: int, total: int) -> None:
    plan = plan_after(build_plan(page_size=None, ahead=8), build_page(total_pages=announced))

    assert (plan.total_pages, plan.is_settled) == (total, True)
    assert plan_after(plan, build_page(2, total_pages=99, has_more=True)) == plan


def test_a_server_that_gives_fewer_records_than_it_is_asked_for_is_asked_for_no_more() -> None:
    page = build_page(records=25, total_pages=400, has_more=True)

    plan = plan_after(build_plan(page_size=None, ahead=8), page)

    assert list_sizes(plan) == [(100, 8), (100, 392)]
    assert plan_after(plan, build_page(2, records=25, seconds=0.0, has_more=True)) == plan


def test_without_a_total_there_are_pages_as_long_as_pages_say_so() -> None:
    plan = plan_after(build_plan(page_size=None, ahead=4), build_page(1, has_more=True))

    more, no_more = plan_after(plan, build_page(2, has_more=True)), plan_after(plan, build_page(2))

    assert (plan.total_pages, more.total_pages, no_more.total_pages) == (5, 6, 2)


@pytest.mark.parametrize(
    ("first", "sizes"),
    [
        pytest.param(build_page(total_pages=40), [(100, 8), (100, 32)], id="few-pages-stay-as-they-are"),
        pytest.param(build_page(total_pages=200), [(100, 8), (800, 24)], id="many-small-records"),
        pytest.param(build_page(total_pages=200, has_more=True), [(100, 8), (800, 24)], id="a-full-page-of-many"),
        pytest.param(build_page(total_pages=201), [(100, 8), (800, 25)], id="the-last-one-need-not-be-full"),
        pytest.param(build_page(total_pages=200, record_bytes=1_250), [(100, 8), (800, 24)], id="just-light-enough"),
        pytest.param(build_page(total_pages=200, record_bytes=2_000), [(100, 8), (400, 48)], id="middling-records"),
        pytest.param(build_page(total_pages=200, record_bytes=45_000), [(100, 8), (100, 192)], id="heavy-records"),
        pytest.param(build_page(total_pages=17, record_bytes=300_000), [(100, 8), (10, 90)], id="too-heavy-by-far"),
        pytest.param(build_page(total_pages=17, record_bytes=600_000), [(100, 8), (10, 90)], id="not-even-ten-fit"),
        pytest.param(build_page(total_pages=200, seconds=0.4), [(100, 8), (200, 96)], id="a-slow-server"),
        pytest.param(build_page(total_pages=200, records=0), [(100, 8), (100, 192)], id="nothing-to-judge-by"),
    ],
)
def test_sizes_suit_the_records_and_the_server(first: FetchedPage, sizes: list[tuple[int, int]]) -> None:
    assert list_sizes(plan_after(build_plan(page_size=None, ahead=8), first)) == sizes


def test_a_size_that_a_person_has_chosen_stays() -> None:
    plan = plan_after(build_plan(page_size=100, ahead=8), build_page(total_pages=200))

    assert list_sizes(plan) == [(100, 8), (100, 192)]


@pytest.mark.parametrize("ahead", range(1, 33))
def test_pages_of_several_sizes_leave_nothing_out_and_read_nothing_twice(ahead: int) -> None:
    plan = plan_after(build_plan(page_size=None, ahead=ahead), build_page(total_pages=123))

    queries = [plan.build_query(page) for page in range(1, plan.total_pages + 1)]

    offsets = [(query.number - 1) * query.limit for query in queries]
    assert offsets == [sum(query.limit for query in queries[:count]) for count in range(len(queries))]
    assert offsets[-1] < 12_300 <= plan.total_records == offsets[-1] + queries[-1].limit
    assert [query.page for query in queries] == list(range(1, plan.total_pages + 1))
    assert max(query.limit for query in queries) == 800


@pytest.mark.parametrize(
    ("second", "sizes"),
    [
        pytest.param(
            build_page(2, seconds=0.05),
            [(100, 8), (100, 9), (100, 1), (200, 1), (400, 1), (800, 247)],
            id="quicker-so-larger",
        ),
        pytest.param(
            build_page(2, seconds=0.2), [(100, 8), (100, 9), (100, 1), (200, 1), (400, 495)], id="where-pages-join"
        ),
        pytest.param(build_page(2, seconds=2.0), [(100, 8), (100, 1992)], id="as-slow"),
        pytest.param(build_page(2, seconds=0.05, record_bytes=45_000), [(100, 8), (100, 1992)], id="heavy"),
        pytest.param(build_page(1960, seconds=0.05), [(100, 8), (100, 1992)], id="few-are-left"),
        pytest.param(build_page(1999, seconds=0.05), [(100, 8), (100, 1992)], id="none-are-left"),
    ],
)
def test_pages_grow_after_a_cold_start_behind_what_may_have_been_requested(
    second: FetchedPage, sizes: list[tuple[int, int]]
) -> None:
    cold = plan_after(build_plan(page_size=None, ahead=8), build_page(total_pages=2000, seconds=2.0))

    plan = plan_after(cold, second)

    assert list_sizes(plan) == sizes
    assert [plan.build_query(page) for page in range(1, 18)] == [cold.build_query(page) for page in range(1, 18)]
    assert plan_after(plan, build_page(3, seconds=2.0)) == plan


def test_pages_shrink_behind_what_may_have_been_requested_where_records_turn_heavy_and_stay_small() -> None:
    light = plan_after(build_plan(page_size=None, ahead=8), build_page(total_pages=2000))

    plan = plan_after(light, build_page(10, records=800, record_bytes=45_000))

    assert list_sizes(light) == [(100, 8), (800, 249)]
    assert list_sizes(plan) == [(100, 8), (800, 17), (100, 1856)]
    assert plan.total_records == light.total_records
    assert plan_after(plan, build_page(11, records=800)) == plan


def test_one_light_page_among_heavy_ones_lets_no_page_grow() -> None:
    heavy = plan_after(build_plan(page_size=None, ahead=8), build_page(total_pages=2000, record_bytes=45_000))

    assert plan_after(heavy, build_page(3, record_bytes=1_000)) == heavy


def test_a_size_that_a_person_has_chosen_does_not_grow() -> None:
    plan = plan_after(build_plan(page_size=100, ahead=8), build_page(total_pages=2000, seconds=2.0))

    assert plan_after(plan, build_page(2)) == plan


@pytest.mark.parametrize("taken", [2, 3, 5, 40])
@pytest.mark.parametrize("ahead", [1, 3, 8, 32])
def test_pages_that_grow_leave_nothing_out_and_read_nothing_twice(ahead: int, taken: int) -> None:
    plan = plan_after(build_plan(page_size=None, ahead=ahead), build_page(total_pages=323, seconds=2.0))

    plan = plan_after(plan_after(plan, build_page(taken, seconds=0.4)), build_page(taken + 1))

    queries = [plan.build_query(page) for page in range(1, plan.total_pages + 1)]
    offsets = [(query.number - 1) * query.limit for query in queries]
    assert offsets == [sum(query.limit for query in queries[:count]) for count in range(len(queries))]
    assert offsets[-1] < 32_300 <= offsets[-1] + queries[-1].limit
    assert max(query.limit for query in queries) == 800
