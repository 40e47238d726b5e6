"""Runs the sync program as a process against a sample Attic Tech and a database of its own."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
import psycopg
import pytest
from estimatesync_contract.result import SyncResult, parse_result
from estimatesync_job.adapters.database import begin
from estimatesync_job.adapters.migrations import write_migrations
from estimatesync_postgres_server import created_database
from estimatesync_processes.forked_process import start_program
from sample_attic_tech import Record, RunningSample, SampleConfig, build_records, running_sample

NOW = datetime(2025, 10, 16, 14, tzinfo=UTC)
BEHIND = datetime.now(UTC).replace(microsecond=0) - NOW
WAIT_SECONDS = 60.0
SCHEMA = "botzilla"


@pytest.fixture
def read_clock() -> Callable[[], datetime]:
    """Read the sample's clock, which began to run at NOW: what changes meanwhile is stamped by it."""
    return lambda: datetime.now(UTC) - BEHIND


def wait_until(is_so: Callable[[], bool], *, describe: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"this did not happen within {WAIT_SECONDS:.0f} s. {describe()}"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def migrated_database(postgres_url: str) -> Iterator[str]:
    """Name of a database to copy that has the tables of a sync: making them is most of what a sync costs a server."""

    async def migrate(url: str) -> None:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await begin(connection, SCHEMA)
            await write_migrations(connection, schema=SCHEMA)

    with created_database(postgres_url) as url:
        asyncio.run(migrate(url))
        yield urlsplit(url).path.removeprefix("/")


@pytest.fixture
def database_url(postgres_url: str, migrated_database: str) -> Iterator[str]:
    """URL of a database with empty tables that no other test sees, as its owner."""
    with created_database(postgres_url, template=migrated_database) as url:
        yield url


@pytest.fixture
def no_tables(query: Callable[..., list[Any]]) -> None:
    """For a test of the first sync of all: the database has no tables yet, and no schema for them."""
    query(f"DROP SCHEMA {SCHEMA} CASCADE")


class Job:
    """One process of the sync program."""

    def __init__(self, environment: dict[str, str], directory: Path, start: Callable[..., Any]) -> None:
        self.uid = environment["SYNC_UID"]
        self._result_path = directory / "result"
        self._output_path = directory / "output"
        environment = {"TERMINATION_MESSAGE_PATH": str(self._result_path)} | environment
        with self._output_path.open("wb") as output:
            self.process = start(
                [sys.executable, "-m", "estimatesync_job"], env=environment, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def output(self) -> str:
        return self._output_path.read_text()

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()

    @property
    def result(self) -> SyncResult | None:
        """The result as its readers read it; None when there is none."""
        if not self._result_path.exists():
            return None
        return parse_result(self._result_path.read_text(), sync_uid=self.uid)

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.output or self.process.poll() is not None, describe=lambda: self.output)
        assert text in self.output, f"the program ended without {text!r}:\n{self.output}"

    def wait(self) -> int:
        return self.process.wait(WAIT_SECONDS)


class Jobs:
    """Starts processes of the sync program; what a test does not say has a working value."""

    def __init__(self, database_url: str, directory: Path) -> None:
        self._database_url = database_url
        self._directory = directory
        self.started: list[Job] = []

    def build_environment(self, sample: RunningSample, **changes: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "SYNC_ID": "est-20251016-140900000-k3x9q",
            "SYNC_UID": str(uuid4()),
            "SYNC_START_DATE": "2025-01-01",
            "SYNC_END_DATE": "2025-10-16",
            "ATTIC_TECH_URL": sample.url,
            "ATTIC_TECH_EMAIL": "sync@attic-tech.example",
            "ATTIC_TECH_PASSWORD": "made-up-password",
            "DATABASE_URL": self._database_url,
            "DATABASE_WAIT_SECONDS": "1",
        } | changes

    def start(self, sample: RunningSample, **changes: str) -> Job:
        return self._start(start_program, sample, changes)

    def start_fresh(self, sample: RunningSample, **changes: str) -> Job:
        """Start it in an interpreter of its own, as a child of this process."""
        return self._start(subprocess.Popen, sample, changes)

    def _start(self, start: Callable[..., Any], sample: RunningSample, changes: dict[str, str]) -> Job:
        directory = self._directory / str(len(self.started))
        directory.mkdir()
        job = Job(self.build_environment(sample, **changes), directory, start)
        self.started.append(job)
        return job

    def run(self, sample: RunningSample, **changes: str) -> Job:
        job = self.start(sample, **changes)
        job.wait()
        return job


@pytest.fixture
def jobs(database_url: str, tmp_path: Path) -> Iterator[Jobs]:
    runner = Jobs(database_url, tmp_path)
    yield runner
    for job in runner.started:
        job.process.kill()
        job.process.wait()


@pytest.fixture
def sample(read_clock: Callable[[], datetime]) -> Iterator[RunningSample]:
    """Friendly and empty; tests fill and spoil it."""
    with running_sample(SampleConfig(clock=read_clock)) as served:
        yield served


@pytest.fixture
def fill(sample: RunningSample) -> Callable[..., list[Record]]:
    """Fill the sample with so many records, as `depth=2` shows them."""

    def insert(count: int, **options: Any) -> list[Record]:
        records = build_records(count, 7, NOW, **options)
        for record in records:
            sample.store.insert(record)
        return records

    return insert


@pytest.fixture
def query(database_url: str) -> Iterator[Callable[..., list[Any]]]:
    """Ask the database; rows of one column come as plain values."""
    with psycopg.connect(database_url, autocommit=True) as connection:

        def execute(statement: str, *parameters: object) -> list[Any]:
            cursor = connection.execute(statement.encode(), parameters or None)
            rows = cursor.fetchall() if cursor.description else []
            return [row[0] if len(row) == 1 else row for row in rows]

        yield execute


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait for something to become true."""
    return wait_until


@pytest.fixture
def decode() -> Callable[[str], Any]:
    """Read a JSON line of the log."""
    return msgspec.json.decode
