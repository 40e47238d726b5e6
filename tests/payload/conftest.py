"""A real Payload CMS, filled once for all tests, and the sync program as its real process against it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from estimatesync_contract.log_lines import ASKING_FOR_CHANGES
from estimatesync_contract.result import SyncResult, parse_result
from estimatesync_job.core.queries import OVERLAP
from estimatesync_payload.client import PayloadClient
from estimatesync_payload.comparison import Related, SyncSpan, find_faults, read_related, read_stored
from estimatesync_payload.content import fill
from estimatesync_payload.history import kept_history, read_history
from estimatesync_payload.installation import Version
from estimatesync_payload.people import Work
from estimatesync_payload.server import RunningPayload, User, running_payload
from psycopg import sql
from sample_attic_tech import build_records

ESTIMATES = 300
NOW = datetime(2025, 10, 16, 14, tzinfo=UTC)
FIRST_DAY = date(2025, 1, 1)
DEADLINE_SECONDS = 600.0
SYNC_USER = User(email="sync@attic-tech.example", password="made-up-password", name="Sync")
CLUMSY_USER = User(email="clumsy@attic-tech.example", password="made-up-password", name="Clumsy")
WORKER = User(email="worker@attic-tech.example", password="made-up-password", name="Worker")
USERS = (SYNC_USER, CLUMSY_USER, WORKER)

Serve = Callable[..., RunningPayload]


@contextmanager
def created_database(server_url: str, name: str) -> Iterator[str]:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def payload(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPayload]:
    """Payload 3 with some hundred estimates, whose database keeps every version of each; syncs read here."""
    with (
        filled_payload(Version.NEWEST, postgres_url, tmp_path_factory, ESTIMATES) as served,
        kept_history(served.database_url),
    ):
        yield served


@pytest.fixture(scope="session")
def payload_2(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPayload]:
    """The last Payload 2, with fewer estimates."""
    with filled_payload(Version.LAST_OF_2, postgres_url, tmp_path_factory, ESTIMATES // 2) as served:
        yield served


@contextmanager
def filled_payload(
    version: Version, server_url: str, directories: pytest.TempPathFactory, estimates: int
) -> Iterator[RunningPayload]:
    name = f"payload_{version}"
    with (
        created_database(server_url, name) as url,
        running_payload(version, database_url=url, directory=directories.mktemp(name), users=USERS) as served,
    ):
        with PayloadClient(served, WORKER) as client:
            fill(client, build_records(estimates, 7, NOW))
        yield served


@pytest.fixture(scope="session")
def workplace(payload: RunningPayload, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPayload]:
    """A second server on the same database, where people work: one alone is busy with sixty changes a second."""
    directory = tmp_path_factory.mktemp("workplace")
    with running_payload(
        payload.version, database_url=payload.database_url, directory=directory, users=USERS
    ) as served:
        yield served


@pytest.fixture
def worker(workplace: RunningPayload) -> Iterator[PayloadClient]:
    """Someone who works in Payload."""
    with PayloadClient(workplace, WORKER) as client:
        yield client


@pytest.fixture(scope="session")
def related(payload: RunningPayload) -> Related:
    """What estimates may be related to."""
    with PayloadClient(payload, WORKER) as client:
        return read_related(client)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A sync that has ended; its tables are in a schema of their own."""

    exit_code: int
    output: str
    result: SyncResult
    schema: str
    began_at: datetime
    ended_at: datetime
    last_day: date

    @property
    def closing_requests(self) -> int:
        return self.output.count(ASKING_FOR_CHANGES)


class Syncs:
    """Runs the sync program; what a test does not say has a working value."""

    def __init__(self, database_url: str, directory: Path) -> None:
        self.database_url = database_url
        self._directory = directory
        self._count = 0

    def run(
        self, served: RunningPayload, *, last_day: date | None = None, schema: str | None = None, **changes: str
    ) -> Run:
        """Run it once, in a schema of its own or in that of another run."""
        self._count += 1
        uid, result_path, began_at = str(uuid4()), self._directory / f"result_{self._count}", datetime.now(UTC)
        schema = schema or f"sync_{self._count}"
        # Tomorrow, so that what people change now is in the range.
        last_day = last_day or began_at.date() + timedelta(days=1)
        environment = {
            "PATH": os.environ["PATH"],
            "SYNC_ID": "est-20251016-140900000-k3x9q",
            "SYNC_UID": uid,
            "SYNC_START_DATE": str(FIRST_DAY),
            "SYNC_END_DATE": str(last_day),
            "ATTIC_TECH_URL": served.url,
            "ATTIC_TECH_EMAIL": SYNC_USER.email,
            "ATTIC_TECH_PASSWORD": SYNC_USER.password,
            "DATABASE_URL": self.database_url,
            "DATABASE_SCHEMA": schema,
            "DATABASE_WAIT_SECONDS": "1",
            "TERMINATION_MESSAGE_PATH": str(result_path),
        }
        process = subprocess.run(
            [sys.executable, "-m", "estimatesync_job"],
            env=environment | changes,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        return Run(
            exit_code=process.returncode,
            output=process.stdout,
            result=parse_result(result_path.read_text(), sync_uid=uid),
            schema=schema,
            began_at=began_at,
            ended_at=datetime.now(UTC),
            last_day=last_day,
        )


@pytest.fixture
def syncs(database_url: str, tmp_path: Path) -> Syncs:
    return Syncs(database_url, tmp_path)


@pytest.fixture
def check(payload: RunningPayload, related: Related, syncs: Syncs) -> Callable[..., None]:
    """Compare the tables after a sync with Payload's own as of its `completeAsOf`."""

    def compare(run: Run, *, first: Run | None = None) -> None:
        """Compare after the first run of its tables, or after one that came later."""
        assert run.exit_code == 0, run.output
        assert run.result.complete_as_of, run.output
        span = SyncSpan(
            # A sync deletes nothing, so that what an earlier one has stored may be gone.
            began_at=(first or run).began_at,
            complete_as_of=run.result.complete_as_of,
            ended_at=run.ended_at,
            start=datetime.combine(FIRST_DAY, time.min, tzinfo=UTC),
            end=datetime.combine(run.last_day, time(23, 59, 59, 999_000), tzinfo=UTC),
        )
        stored = read_stored(syncs.database_url, run.schema)
        assert find_faults(stored, read_history(payload.database_url), related, span) == []
        assert first or len(stored) == run.result.results.new_estimates

    return compare


@pytest.fixture
def count_changed(payload: RunningPayload) -> Callable[[Run], int]:
    """Count the estimates that a closing pass may meet again: changed since shortly before the sync began."""

    def count(run: Run) -> int:
        versions = read_history(payload.database_url).values()
        return sum(any(run.began_at - OVERLAP <= one.since <= run.ended_at for one in each) for each in versions)

    return count


RATES = pytest.StashKey[list[str]]()


@pytest.fixture
def note_rate(request: pytest.FixtureRequest) -> Callable[[Work, list[Run]], None]:
    """Keep, for the end of the output, how many requests the closing passes took while people worked so fast."""

    def note(work: Work, runs: list[Run]) -> None:
        taken = ", ".join(f"{run.closing_requests} after {run.result.pages} pages" for run in runs)
        request.config.stash.setdefault(RATES, []).append(
            f"at {work.per_second:g} changes a second ({work.achieved_per_second:.1f} made), closing requests: {taken}"
        )

    return note


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what reading a source that changes costs."""
    if rates := config.stash.get(RATES, []):
        terminalreporter.section("Payload, changed while it was read")
        for line in rates:
            terminalreporter.line(line)
