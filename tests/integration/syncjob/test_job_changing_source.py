"""Attic Tech changes between any two requests, and nothing is missing in PostgreSQL afterwards."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from estimatesync_contract.causes import Reason
from sample_attic_tech import Record, Request, Response, RunningSample, SampleConfig, running_sample

Fill = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[Any]]
START = datetime(2025, 1, 1, tzinfo=UTC)
END = datetime(2025, 10, 16, 23, 59, 59, 999_000, tzinfo=UTC)
STORED = "SELECT attic_tech_estimate_id, name FROM botzilla.estimate"


def format_time(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Clock:
    """The sample's clock, which a test moves on; shortly before the range ends."""

    def __init__(self) -> None:
        self.now = datetime(2025, 10, 16, 23, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sample(clock: Clock) -> Iterator[RunningSample]:
    with running_sample(SampleConfig(clock=clock)) as served:
        yield served


class Restless:
    """Edits, inserts, deletes and lets in and out of the range a few records before each answer."""

    def __init__(self, sample: RunningSample, clock: Clock, *, seed: int, answers: int) -> None:
        self.rng = Random(seed)  # noqa: S311 - a script, not a secret
        self.sample = sample
        self.answers = answers
        self.clock = clock
        self.deleted: set[int] = set()
        self.versions = {record["id"]: [record.get("name")] for record in sample.store.read_all()}
        self.at_closing: dict[int, str | None] = {}
        sample.on_request = self.act

    def act(self, request: Request) -> None:
        if request.method == "GET" and len(self.sample.requests) < self.answers:
            self.clock.now += self.rng.choice((timedelta(0), timedelta(milliseconds=1), timedelta(seconds=90)))
            for kind in self.rng.choices(("edit", "insert", "delete", "enter"), k=3):
                self.change(kind, self.rng.choice(self.sample.store.read_all()))
        if "[or]" in unquote(request.query_string) and not self.at_closing:
            self.at_closing = list_range(self.sample)

    def change(self, kind: str, record: Record) -> None:
        now, identity = format_time(self.clock.now), record["id"]
        version = {"name": f"version of {self.clock.now} {self.rng.random()}"}
        if kind == "insert":
            identity = max(record["id"] for record in self.sample.store.read_all()) + 1
            self.sample.store.insert({"id": identity, "createdAt": now, "updatedAt": now, **version})
        elif kind == "delete":
            self.sample.store.delete(identity)
            self.deleted.add(identity)
        else:
            self.sample.store.update(identity, {"updatedAt": now, **version})
        self.versions.setdefault(identity, []).append(version["name"])


def list_range(sample: RunningSample) -> dict[int, str | None]:
    records = sample.store.read_all()
    return {
        record["id"]: record.get("name")
        for record in records
        if START <= datetime.fromisoformat(record["updatedAt"]) <= END
    }


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_missing_whatever_changes_while_it_is_read(
    jobs: Any, sample: RunningSample, clock: Clock, fill: Fill, query: Query, seed: int
) -> None:
    for record in fill(90)[::4]:
        sample.store.update(record["id"], {"updatedAt": "2024-06-01T00:00:00.000Z"})
    at_start = list_range(sample)
    page_size, concurrency = Random(seed).choice([(1, 32), (3, 8), (10, 4), (1000, 1)])  # noqa: S311 - a choice
    source = Restless(sample, clock, seed=seed, answers=60)

    job = jobs.run(sample, SYNC_PAGE_SIZE=str(page_size), SYNC_CONCURRENCY=str(concurrency))

    stored = dict(query(STORED))
    assert job.process.returncode == 0
    assert at_start.keys() - source.deleted - stored.keys() == set()
    now = {number: name for number, name in source.at_closing.items() if name and name.strip()}
    assert now
    for number in now.keys() - source.deleted:
        versions = [name and name.strip() for name in source.versions[number]]
        assert stored[number] in versions[versions.index(now[number].strip()) :]
    counts = job.result.results
    assert counts.new_estimates == counts.total_processed == len(stored)


def test_the_end_of_the_closing_pass_is_recorded_and_a_successor_reports_it(
    jobs: Any, sample: RunningSample, clock: Clock, fill: Fill, query: Query
) -> None:
    fill(3)

    first = jobs.run(sample)
    again = jobs.run(sample, SYNC_UID=first.uid)

    assert first.result.complete_as_of == clock.now
    assert query("SELECT complete_as_of FROM botzilla.sync_run") == [first.result.complete_as_of]
    assert again.result.complete_as_of == first.result.complete_as_of
    assert f"Nothing is missing up to {format_time(first.result.complete_as_of)}" in first.output


def test_of_two_versions_the_one_that_was_asked_for_last_is_stored_though_its_stamp_is_older(
    jobs: Any, sample: RunningSample, clock: Clock, fill: Fill, query: Query
) -> None:
    newest = max(record["id"] for record in fill(50))

    def edit(request: Request) -> None:
        """Let two servers edit an estimate, whose clocks differ: before its page, and before the closing pass."""
        late = timedelta(minutes=4) if "[or]" in unquote(request.query_string) else timedelta(minutes=-4)
        version = {"name": f"asked for with {late}", "updatedAt": format_time(clock.now - late)}
        sample.store.update(newest, version)

    sample.on_request = edit
    jobs.run(sample, SYNC_PAGE_SIZE="10", SYNC_CONCURRENCY="1")

    assert (newest, "asked for with 0:04:00") in query(STORED)


def test_a_source_that_never_rests_is_complete_as_of_the_beginning_of_its_one_closing_pass(
    jobs: Any, sample: RunningSample, clock: Clock, fill: Fill, query: Query
) -> None:
    records = fill(250)

    def edit_all(_: Request) -> None:
        clock.now += timedelta(seconds=1)
        for record in records:
            sample.store.update(record["id"], {"updatedAt": format_time(clock.now)})

    sample.on_request = edit_all
    job = jobs.run(sample, SYNC_PAGE_SIZE="100", SYNC_CONCURRENCY="1")

    pages, closing = (
        [
            request
            for request in sample.requests
            if request.method == "GET" and ("[or]" in unquote(request.query_string)) is kind
        ]
        for kind in (False, True)
    )
    assert (job.process.returncode, query("SELECT count(*) FROM botzilla.estimate")) == (0, [250])
    assert (len(pages), len(closing)) == (3, 2)


def test_all_edited_at_one_moment_some_minutes_ago_are_not_read_twice(
    jobs: Any, sample: RunningSample, clock: Clock, fill: Fill
) -> None:
    for record in fill(250):
        sample.store.update(record["id"], {"updatedAt": format_time(clock.now - timedelta(minutes=6))})

    job = jobs.run(sample, SYNC_PAGE_SIZE="100")

    assert job.result.results.new_estimates == 250
    assert sum(request.method == "GET" and "[or]" in unquote(request.query_string) for request in sample.requests) == 1


def test_ids_that_are_no_numbers_and_change_until_the_syncs_time_is_over_change_no_row_and_may_be_retried(
    jobs: Any, sample: RunningSample, query: Query
) -> None:
    def answer(request: Request) -> Response | None:
        if request.method != "GET":
            return None
        asked = unquote(request.query_string)
        numbers = () if "where[id][less_than]" in asked else range(300, 200, -1) if "[or]" in asked else (2, 1)
        docs = [{"id": str(number), "crew_notes": str(len(sample.requests))} for number in numbers]
        page = {"docs": docs, "totalPages": 1, "page": 1, "hasNextPage": len(docs) > 2}
        return Response(headers={"Content-Type": "application/json"}, body=msgspec.json.encode(page))

    sample.on_request = answer
    job = jobs.run(sample, SYNC_TIMEOUT_SECONDS="1")

    assert job.process.returncode == 10
    assert (job.result.error.reason, job.result.error.retryable) == (Reason.SOURCE_CHANGING, True)
    assert "in a quieter hour" in job.result.error.message
    assert query("SELECT count(*) FROM botzilla.estimate") == [0]
