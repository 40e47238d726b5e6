"""Reads the pages of the range: side by side, handed on in order, each with what has been read so far.

`sync` starts it before the database is even reached; `transfer` takes the pages, and more are asked for meanwhile.
"""

from collections.abc import AsyncGenerator

from estimatesync_job.coverage import FetchState, next_state
from estimatesync_job.page_plan import PagePlan
from estimatesync_job.pages import FetchedPage
from estimatesync_job.ports import Source
from estimatesync_job.requests_in_order import requesting

ReadPage = tuple[FetchedPage, FetchState]
"""A page, and how far everything has been read with it."""


async def read_pages(source: Source, plan: PagePlan) -> AsyncGenerator[ReadPage, None]:
    """Log in and read.

    Raises:
        SyncError: A page cannot be read.
    """
    await source.login()
    state = FetchState(plan=plan)
    # Twice as many as may be in flight: while one answer is stored, those that came meanwhile wait here.
    async with requesting(source.fetch_page, most=2 * plan.ahead) as requests:
        requests.make(plan.build_query, last=1)
        if not await requests.is_answered_within(plan.patience_seconds):
            requests.make(plan.build_query, last=plan.total_pages)
        while not state.is_over:
            page = await requests.take()
            state = next_state(state, page)
            if not state.is_over:
                requests.make(state.plan.build_query, last=state.plan.total_pages)
            yield page, state
