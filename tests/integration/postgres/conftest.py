"""A server of the oldest supported version, whose messages are not English where a test wants that."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from estimatesync_contract.result import parse_result
from estimatesync_postgres_server import OLDEST, OLDEST_PROGRAMS, PostgresServer, created_server
from estimatesync_processes.forked_process import run_program
from sample_attic_tech import RunningSample, SampleConfig


@pytest.fixture(scope="module")
def oldest() -> Iterator[PostgresServer]:
    """A server of the oldest version; skipped where Debian's package is not installed."""
    if not (OLDEST_PROGRAMS / "postgres").exists():
        pytest.skip(f"PostgreSQL {OLDEST} is not installed: apt install postgresql-{OLDEST} (make oldest-postgres)")
    with created_server(OLDEST_PROGRAMS) as server:
        server.start()
        yield server


@pytest.fixture
def run_job(tmp_path: Path) -> Callable[[RunningSample, str], dict[str, int]]:
    """Run the sync program over all days, and return what it counted."""

    def run(sample: RunningSample, url: str) -> dict[str, int]:
        uid, path = str(uuid4()), tmp_path / "result"
        environment = {
            "PATH": os.environ["PATH"],
            "SYNC_ID": "est-1",
            "SYNC_UID": uid,
            "SYNC_START_DATE": "2025-01-01",
            "SYNC_END_DATE": "2099-01-01",
            "ATTIC_TECH_URL": sample.url,
            "ATTIC_TECH_EMAIL": SampleConfig().email,
            "ATTIC_TECH_PASSWORD": SampleConfig().password,
            "DATABASE_URL": url,
            "TERMINATION_MESSAGE_PATH": str(path),
        }
        program = [sys.executable, "-m", "estimatesync_job"]
        ended = run_program(program, env=environment)
        assert ended.returncode == 0, ended.stdout
        results = parse_result(path.read_text(), sync_uid=uid).results
        return {"new": results.new_estimates, "unchanged": results.unchanged_estimates}

    return run
