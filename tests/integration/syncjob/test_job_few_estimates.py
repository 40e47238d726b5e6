"""Attic Tech shows fewer estimates than before: that is seen, and where there must be so many it ends the sync."""

from collections.abc import Callable
from typing import Any

import pytest
from estimatesync_contract.causes import Reason
from msgspec import UNSET
from sample_attic_tech import RunningSample

Fill = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[Any]]
ALL = "SELECT * FROM botzilla.estimate ORDER BY id"
RUNS = "SELECT previous_total_fetched FROM botzilla.sync_run ORDER BY committed_at"


def empty(sample: RunningSample) -> None:
    for record in sample.store.read_all():
        sample.store.delete(record["id"])


@pytest.mark.parametrize(("left", "code"), [pytest.param(0, 20, id="none"), pytest.param(30, 0, id="enough")])
def test_too_few_estimates_change_no_row(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, left: int, code: int
) -> None:
    fill(30)
    jobs.run(sample)
    before = query(ALL)
    if not left:
        empty(sample)

    job = jobs.run(sample, SYNC_MIN_ESTIMATES="30")

    assert job.process.returncode == code
    assert query(ALL) == before
    if code:
        assert (job.result.error.reason, job.result.error.retryable) == (Reason.SOURCE_EMPTY, False)
        assert "0 in these days, where there must be at least 30" in job.result.error.message


def test_a_drop_is_seen_by_what_the_run_before_of_as_many_days_had_fetched(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    fill(30)
    a_day_earlier = {"SYNC_START_DATE": "2024-12-31", "SYNC_END_DATE": "2025-10-15"}
    jobs.run(sample, **a_day_earlier)
    jobs.run(sample, SYNC_START_DATE="2025-10-15")
    empty(sample)

    jobs.run(sample)
    job = jobs.run(sample)
    months_later = jobs.run(sample, SYNC_START_DATE="2025-03-01", SYNC_END_DATE="2025-12-14")

    first = query(RUNS)[2]
    assert first
    assert first == query("SELECT total_fetched FROM botzilla.sync_run ORDER BY committed_at")[0]
    assert query(RUNS) == [None, None, first, 0, None]
    assert job.result.results.previous_total_fetched == 0
    assert months_later.result.results.previous_total_fetched is UNSET
