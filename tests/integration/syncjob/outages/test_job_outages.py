"""The database server itself stops, freezes or fills up in the middle of a sync, and comes back: nothing is lost."""

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.status import Results
from sample_attic_tech import RunningSample, SampleConfig, running_sample

Eventually = Callable[[Callable[[], bool]], None]
Fill = Callable[..., list[dict[str, Any]]]
OUTAGE_SECONDS = 30.0
FIRST_PAGE_WAIT_SECONDS = 90.0
DATE_RANGE = {"SYNC_PAGE_SIZE": "10", "SYNC_CONCURRENCY": "1"}
SLOW_MERGE = """
    CREATE FUNCTION {schema}.dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3); RETURN NEW; END';
    CREATE TRIGGER dawdle BEFORE INSERT ON {schema}.sync_run FOR EACH ROW EXECUTE FUNCTION {schema}.dawdle()
"""
NOISE = random.Random(7)  # noqa: S311 - no secret: what cannot be compressed fills a disk with few records

MERGING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND application_name = 'estimatesync'"


@pytest.fixture
def slow_sample(sample: RunningSample, fill: Fill) -> Iterator[RunningSample]:
    """60 records; 10 on a page, which takes its time, make a sync of seconds."""
    fill(60)
    config = SampleConfig(records=sample.store.read_all(), page_delay_seconds=0.5)
    with running_sample(config) as served:
        yield served


@pytest.fixture
def two_at_work(
    start_job: Any, own_server: Any, sample: RunningSample, slow_sample: RunningSample, eventually: Eventually
) -> list[Any]:
    """One sync that reads pages and another that merges, each in a schema with tables and no estimate."""
    for schema in ("reading", "merging"):
        empty = {"SYNC_START_DATE": "2001-01-01", "SYNC_END_DATE": "2001-01-01"}
        assert start_job(sample, DATABASE_SCHEMA=schema, **empty).wait() == 0
    own_server.query(SLOW_MERGE.format(schema="merging"))
    merging = start_job(sample, DATABASE_SCHEMA="merging", **DATE_RANGE)
    reading = start_job(slow_sample, DATABASE_SCHEMA="reading", **DATE_RANGE)
    reading.wait_for("Page 1 complete")
    eventually(lambda: own_server.query(MERGING) == [(1,)])
    return [reading, merging]


def test_a_server_that_stops_while_one_sync_reads_and_another_merges_undoes_both_and_their_successors_wait_for_it(
    start_job: Any, own_server: Any, slow_sample: RunningSample, two_at_work: list[Any]
) -> None:
    own_server.stop()

    stopped = time.monotonic()
    assert [job.wait() for job in two_at_work] == [10, 10]
    assert {job.result.error.reason for job in two_at_work} == {Reason.DATABASE_UNAVAILABLE}
    assert {job.result.results for job in two_at_work} == {Results()}
    successors = [
        start_job(slow_sample, DATABASE_SCHEMA=schema, SYNC_UID=job.uid, DATABASE_WAIT_SECONDS="60", **DATE_RANGE)
        for schema, job in zip(("reading", "merging"), two_at_work, strict=True)
    ]
    for job in successors:
        job.wait_for("Starting estimate fetch process")
    time.sleep(max(0.0, stopped + OUTAGE_SECONDS - time.monotonic()))
    own_server.start()

    assert [job.process.wait(FIRST_PAGE_WAIT_SECONDS) for job in successors] == [0, 0]
    assert [job.result.results.new_estimates for job in successors] == [60, 60]
    both = "SELECT (SELECT count(*) FROM reading.estimate), (SELECT count(*) FROM merging.estimate)"
    assert own_server.query(both) == [(60, 60)]


def test_a_server_that_freezes_for_half_a_minute_while_one_sync_reads_and_another_merges_ends_neither(
    own_server: Any, two_at_work: list[Any]
) -> None:
    with own_server.frozen():
        time.sleep(OUTAGE_SECONDS)
        assert [job.process.poll() for job in two_at_work] == [None, None]

    assert [job.process.wait(FIRST_PAGE_WAIT_SECONDS) for job in two_at_work] == [0, 0]
    assert [job.result.results.new_estimates for job in two_at_work] == [60, 60]


def can_mount() -> bool:
    """Return whether a disk of the test's own can be mounted; without that right, only the other ways are tested."""
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0


WAYS = [
    pytest.param("file_limit", "", "File too large", id="files may not grow"),
    *(
        pytest.param("small_disk", setting, "No space left on device", id=f"the disk of {setting} is full")
        for setting in ("temp_tablespaces", "default_tablespace")
        if can_mount()
    ),
]


@pytest.fixture
def out_of_space(own_server: Any, request: pytest.FixtureRequest) -> Callable[[str, str], AbstractContextManager[None]]:
    """Prepare a lack of disk space for one block, in the way that a test names: on a disk, for what `setting` says."""

    def prepare(way: str, setting: str) -> AbstractContextManager[None]:
        if way == "file_limit":
            limit: AbstractContextManager[None] = own_server.file_limit(1_000_000)
            return limit
        disk: Path = request.getfixturevalue("small_disk")
        own_server.query(f"ALTER DATABASE postgres SET {setting} = 'small'")
        return filled(disk)

    return prepare


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    filler = disk / "filler"
    filler.write_bytes(bytes(8_000_000))
    yield
    filler.unlink()


@pytest.mark.parametrize(("way", "setting", "words"), WAYS)
def test_a_server_out_of_disk_space_is_retryable_changes_no_row_and_recovers(
    start_job: Any,
    own_server: Any,
    sample: RunningSample,
    fill: Fill,
    out_of_space: Any,
    way: str,
    setting: str,
    words: str,
) -> None:
    records = fill(500)
    for record in records:
        sample.store.update(record["id"], {"crew_notes": NOISE.randbytes(3000).hex()})
    shortage = out_of_space(way, setting)
    start_job(sample, SYNC_START_DATE="2001-01-01", SYNC_END_DATE="2001-01-01").wait()

    with shortage:
        job = start_job(sample)
        assert job.wait() == 10

    assert job.result.error.reason is Reason.DATABASE_UNAVAILABLE
    assert "lacks disk space or memory" in job.result.error.message
    assert words in job.result.error.message
    assert own_server.query("SELECT count(*) FROM botzilla.estimate") == [(0,)]
    successor = start_job(sample, SYNC_UID=job.uid)
    assert successor.wait() == 0
    assert successor.result.results.new_estimates == len(records)
