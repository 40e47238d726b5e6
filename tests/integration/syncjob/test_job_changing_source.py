"""Attic Tech changes between any two requests, and nothing is missing in PostgreSQL afterwards."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import unquote

import pytest
from estimatesync_contract.causes import Reason
from sample_attic_tech import Record, Request, RunningSample

Fill = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[Any]]
START = datetime(2025, 1, 1, tzinfo=UTC)
END = datetime(2025, 10, 16, 23, 59, 59, 999_000, tzinfo=UTC)
STORED = "SELECT attic_tech_estimate_id, name FROM botzilla.estimate"


def format_time(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Restless:
    """Edits, inserts, deletes and lets in and out of the range a few records before each answer."""

    def __init__(self, sample: RunningSample, *, seed: int, answers: int) -> None:
        self.rng = Random(seed)  # noqa: S311 - a script, not a secret
        self.sample = sample
        self.answers = answers
        self.clock = datetime(2025, 10, 16, 14, tzinfo=UTC)
        self.deleted: set[int] = set()
        self.at_closing: dict[int, str | None] = {}
        sample.on_request = self.act

    def act(self, request: Request) -> None:
        if request.method == "GET" and len(self.sample.requests) < self.answers:
            self.clock += self.rng.choice((timedelta(0), timedelta(milliseconds=1), timedelta(seconds=90)))
            for kind in self.rng.choices(("edit", "insert", "delete", "enter", "leave"), k=3):
                self.change(kind, self.rng.choice(self.sample.store.read_all()))
        if "[or]" in unquote(request.query_string):
            # What a closing pass is about to be answered: a request that was given up may still change things later.
            self.at_closing = list_range(self.sample)

    def change(self, kind: str, record: Record) -> None:
        now = format_time(self.clock)
        version = {"name": f"version of {self.clock} {self.rng.random()}"}
        if kind == "insert":
            newest = max(record["id"] for record in self.sample.store.read_all())
            self.sample.store.insert({"id": newest + 1, "createdAt": now, "updatedAt": now, **version})
        elif kind == "delete":
            self.sample.store.delete(record["id"])
            self.deleted.add(record["id"])
        elif kind == "leave":
            # What leaves does so by the clock of the server, whose Date is the real one.
            self.sample.store.update(record["id"], {"updatedAt": format_time(datetime.now(UTC)), **version})
        elif datetime.fromisoformat(record["updatedAt"]) <= END:
            self.sample.store.update(record["id"], {"updatedAt": now, **version})


def list_range(sample: RunningSample) -> dict[int, str | None]:
    records = sample.store.read_all()
    return {
        record["id"]: record.get("name")
        for record in records
        if START <= datetime.fromisoformat(record["updatedAt"]) <= END
    }


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_missing_whatever_changes_while_it_is_read(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, seed: int
) -> None:
    for record in fill(90)[::4]:
        sample.store.update(record["id"], {"updatedAt": "2024-06-01T00:00:00.000Z"})
    at_start = list_range(sample)
    page_size, concurrency = Random(seed).choice([(1, 32), (3, 8), (10, 4), (1000, 1)])  # noqa: S311 - a choice
    source = Restless(sample, seed=seed, answers=60)

    job = jobs.run(sample, SYNC_PAGE_SIZE=str(page_size), SYNC_CONCURRENCY=str(concurrency))

    stored = dict(query(STORED))
    assert job.process.returncode == 0
    assert at_start.keys() - source.deleted - stored.keys() == set()
    now = {number: name for number, name in source.at_closing.items() if name and name.strip()}
    assert now
    assert {number: stored.get(number) for number in now} == {number: name.strip() for number, name in now.items()}
    counts = job.result.results
    assert counts.new_estimates == counts.total_processed == len(stored)


def test_the_end_of_the_closing_pass_is_recorded_and_a_successor_reports_it(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    fill(3)
    before = datetime.now(UTC).replace(microsecond=0)

    first = jobs.run(sample)
    again = jobs.run(sample, SYNC_UID=first.uid)

    assert before <= first.result.complete_as_of <= datetime.now(UTC)
    assert query("SELECT complete_as_of FROM botzilla.sync_run") == [first.result.complete_as_of]
    assert again.result.complete_as_of == first.result.complete_as_of
    assert f"Nothing is missing up to {format_time(first.result.complete_as_of)}" in first.output


def test_a_source_that_changes_faster_than_it_is_read_changes_no_row_and_may_be_retried(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    records = fill(250)
    clock = datetime(2025, 10, 16, 14, tzinfo=UTC)

    def edit_all(_: Request) -> None:
        stamp = format_time(clock + timedelta(minutes=2 * len(sample.requests)))
        for record in records:
            sample.store.update(record["id"], {"updatedAt": stamp})

    sample.on_request = edit_all
    job = jobs.run(sample)

    assert job.process.returncode == 10
    assert (job.result.error.reason, job.result.error.retryable) == (Reason.SOURCE_CHANGING, True)
    assert "in a quieter hour" in job.result.error.message
    assert query("SELECT count(*) FROM botzilla.estimate") == [0]
