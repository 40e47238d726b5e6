"""Which pages of the range to ask for: a few before it is known how many there are, then the rest.

The size of a page may be configured. Otherwise pages begin with 100 records and become larger where there are many and
the server is quick: a thousand small records cost hardly more than a hundred, and each request costs both sides. They
become smaller where records are heavy, for the sake of memory. The first page decides, for most are requested soon
after it. Where a later one is quicker, as after a cold start, those that are still to be requested grow; where it is
far too heavy, they shrink. `coverage` keeps the plan with what has been read.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from estimatesync_job.core.pages import FetchedPage, is_below
from estimatesync_job.core.queries import PageQuery

FIRST_SIZE: Final = 100
"""Records of a page as long as nothing is known about them."""

FEW_PAGES: Final = 32
"""Larger pages are worth it only where more than this many are left."""

SIZES: Final = (800, 400, 200, 100, 50, 20, 10)
"""To choose from. Each divides some multiple of every smaller one, so that pages of two sizes join without a seam."""

FIRST_PAGE_WAIT_SECONDS: Final = 0.025
"""How long the first page may take before others are requested in case they exist: a quick server says in time how many
there are, and with a slow one little is lost."""

MAX_LARGER_PAGE_BYTES: Final = 1_000_000
"""What a page that is made larger may weigh; some servers and proxies refuse responses of a few megabytes."""

MAX_PAGE_BYTES: Final = 5_000_000
"""What any page may weigh before it is made smaller: several are in memory at the same time."""

MAX_LARGER_PAGE_SECONDS: Final = 1.0
"""What a page that is made larger may take, were its time all due to its records."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Pages of one size in a row: the first one's number among all, and the records before it."""

    first_page: int
    offset: int
    limit: int
    pages: int


class PagePlan(msgspec.Struct, frozen=True, kw_only=True):
    """The pages to ask for, in order.

    Attributes:
        ahead: how many are requested before their number is known.
        is_adaptive: whether the sync chooses the size.
        is_settled: whether the number is known.
        series: all of them, without a seam in between.
        heaviest: bytes of a record, on average over the page on which that was most.
        sizes, few_pages: SIZES and FEW_PAGES.
        first_page_wait_seconds: how long to wait for the first page before the others are requested.
    """

    ahead: int
    is_adaptive: bool
    is_settled: bool
    series: tuple[Series, ...]
    heaviest: float = 0.0
    sizes: tuple[int, ...] = SIZES
    few_pages: int = FEW_PAGES
    first_page_wait_seconds: float = FIRST_PAGE_WAIT_SECONDS

    @property
    def page_size(self) -> int:
        """Records of a page, to begin with."""
        return self.series[0].limit

    @property
    def max_pending(self) -> int:
        """How many pages may be requested and not taken: as many wait to be stored as are in flight."""
        return 2 * self.ahead

    @property
    def total_pages(self) -> int:
        return sum(series.pages for series in self.series)

    @property
    def total_records(self) -> int:
        """How many records they have room for."""
        last = self.series[-1]
        return last.offset + last.limit * last.pages

    def build_query(self, page: int) -> PageQuery:
        """Build the request for a page by its place among all, from 1."""
        series = next(series for series in reversed(self.series) if series.first_page <= page)
        number = series.offset // series.limit + page - series.first_page + 1
        return PageQuery(page=page, number=number, limit=series.limit)


def build_plan(*, page_size: int | None, ahead: int) -> PagePlan:
    """Plan the first pages; `page_size` is None where none is configured."""
    first = Series(first_page=1, offset=0, limit=page_size or FIRST_SIZE, pages=ahead)
    return PagePlan(ahead=ahead, is_adaptive=page_size is None, is_settled=False, series=(first,))


def next_plan(plan: PagePlan, page: FetchedPage, *, edge: FetchedPage | None) -> PagePlan:
    """Settle the plan by the first page, or without a total go on as long as pages say that there is more.

    A listing that grows is not followed, or one that grows faster than it is read would keep the sync forever: the
    closing pass finds what is shifted behind the last page.

    Args:
        plan: so far.
        page: the one that has been read.
        edge: the newest page before it that had an id.
    """
    if page.records:
        plan = msgspec.structs.replace(plan, heaviest=max(plan.heaviest, page.size_bytes / page.records))
    if plan.is_settled:
        return _resize(plan, page) if plan.is_adaptive else plan
    first = plan.series[0]
    if page.page == 1 and page.total_pages is not None:
        # A server that gives fewer than it is asked for counts in pages of its own size, and gives no larger ones.
        is_capped = page.has_more and page.records < page.limit
        plan = msgspec.structs.replace(plan, is_adaptive=plan.is_adaptive and not is_capped)
        series = tuple(_plan_series(plan, page, total=max(page.total_pages, 1)))
        return msgspec.structs.replace(plan, is_settled=True, series=series)
    pages = page.page + plan.ahead if page.has_more and _reaches_further(edge, page) else page.page
    return msgspec.structs.replace(plan, series=(msgspec.structs.replace(first, pages=pages),))


def _plan_series(plan: PagePlan, page: FetchedPage, *, total: int) -> Iterator[Series]:
    """Keep what was requested, and plan the rest in the size that suits."""
    first = plan.series[0]
    asked = min(plan.ahead, total)
    yield msgspec.structs.replace(first, pages=asked)
    wanted = choose_size(plan, page, pages_left=total - asked) if plan.is_adaptive else first.limit
    yield from _plan_rest(plan, asked + 1, offset=asked * first.limit, end=total * first.limit, wanted=wanted)


def _resize(plan: PagePlan, page: FetchedPage) -> PagePlan:
    """Plan larger pages behind all that may have been requested, if this one says that they suit, or smaller ones.

    Records that are suddenly whole, because fields are refused, weigh many times as much as those before. The size then
    stays: pages that were asked for with fields may still arrive, and are light.
    """
    last = page.page - 1 + plan.max_pending
    kept = [
        msgspec.structs.replace(series, pages=min(series.pages, last - series.first_page + 1))
        for series in plan.series
        if series.first_page <= last
    ]
    offset, end = kept[-1].offset + kept[-1].limit * kept[-1].pages, plan.total_records
    wanted = choose_size(plan, page, pages_left=(end - offset) // plan.page_size)
    is_too_heavy = page.size_bytes > MAX_PAGE_BYTES and wanted < plan.series[-1].limit
    if wanted <= plan.series[-1].limit and not is_too_heavy:
        return plan
    series = (*kept, *_plan_rest(plan, last + 1, offset=offset, end=end, wanted=wanted))
    return msgspec.structs.replace(plan, is_adaptive=not is_too_heavy, series=series)


def _plan_rest(plan: PagePlan, number: int, *, offset: int, end: int, wanted: int) -> Iterator[Series]:
    """Plan pages from an offset on; sizes grow where pages still join."""
    while offset < end:
        fitting = (size for size in plan.sizes if size <= wanted and offset % size == 0)
        limit = wanted if offset % wanted == 0 else next(fitting)
        pages = -(-(end - offset) // limit) if limit == wanted else 1
        yield Series(first_page=number, offset=offset, limit=limit, pages=pages)
        number, offset = number + pages, offset + limit * pages


def _reaches_further(edge: FetchedPage | None, page: FetchedPage) -> bool:
    """Whether to read on: a server that ignores page numbers would never end. The tail gap reads by id what is left."""
    if page.last is None or edge is None:
        return page.last is not None
    return is_below(page.last, edge.last)


def choose_size(plan: PagePlan, page: FetchedPage, *, pages_left: int) -> int:
    """Choose the size of the other pages by the time of this one's records, and the weight of the heaviest so far."""
    if not page.records:
        return plan.page_size
    bytes_each = max(plan.heaviest, page.size_bytes / page.records)
    seconds_each = page.seconds / page.records
    for size in plan.sizes:
        is_larger = size > plan.page_size
        if is_larger and (pages_left <= plan.few_pages or size * seconds_each > MAX_LARGER_PAGE_SECONDS):
            continue
        if size * bytes_each <= (MAX_LARGER_PAGE_BYTES if is_larger else MAX_PAGE_BYTES):
            return size
    return plan.sizes[-1]
