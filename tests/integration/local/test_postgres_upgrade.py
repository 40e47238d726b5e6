"""Data that another major version of PostgreSQL has made: what a start says, and the one command that copies it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from estimatesync_contract.names import START_PATH, SYNCS_PATH
from estimatesync_demo.server_process import ServerProcess, build_sample_settings
from estimatesync_local.adapters.accounts import build_process_options, find_postgres_account
from estimatesync_local.adapters.file_lock import locked
from estimatesync_local.adapters.postgres import EmbeddedPostgres
from estimatesync_local.adapters.postgres_folder import find_programs, read_data_major
from estimatesync_local.core.errors import PostgresError
from estimatesync_postgres_server import NEWEST, OLDEST, OLDEST_PROGRAMS
from estimatesync_processes.forked_process import run_program
from sample_attic_tech import RunningSample, SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import Receiver

RECORDS = 130
KEY = "made-up-key-of-this-test"
needs_oldest = pytest.mark.skipif(
    not (OLDEST_PROGRAMS / "postgres").exists(),
    reason=f"PostgreSQL {OLDEST} is not installed: apt install postgresql-{OLDEST} (make oldest-postgres)",
)


@pytest.fixture
def sample() -> Iterator[RunningSample]:
    with running_sample(SampleConfig(records=build_records(RECORDS, 7, datetime.now(UTC)))) as running:
        yield running


@pytest.fixture
def place(open_directory: Path) -> Path:
    """The directory of a PostgreSQL without data."""
    place = open_directory / ".local" / "postgres"
    for directory in (place.parent, place):
        directory.mkdir(mode=0o711)
    return place


@pytest.fixture
def server(open_directory: Path, sample: RunningSample, receiver: Receiver) -> Iterator[ServerProcess]:
    settings = build_sample_settings(source_url=sample.url, callback_url=f"{receiver.url}/hook")
    server = ServerProcess(open_directory, {**settings, "API_KEYS": f"test:{KEY}"})
    yield server
    server.end()
    EmbeddedPostgres(open_directory / ".local" / "postgres").stop()


def create_old_server(place: Path) -> EmbeddedPostgres:
    """Make data as the oldest version does, which does not know all options of a newer one."""
    data = place / "data"
    account = find_postgres_account(data)
    data.mkdir(mode=0o700)
    if account is not None:
        os.chown(data, account.user, account.group)
    initdb = [OLDEST_PROGRAMS / "initdb", "-D", data, "--encoding=UTF8", "--locale=C", "--username=estimatesync"]
    subprocess.run([*initdb, "--no-sync"], check=True, capture_output=True, cwd="/", **build_process_options(account))
    return EmbeddedPostgres(place, programs=OLDEST_PROGRAMS)


def ask(url: str, question: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def run_sync(server: ServerProcess) -> dict[str, Any]:
    with httpx.Client(base_url=server.url, headers={"X-API-KEY": KEY}, trust_env=False) as client:
        sync_id = client.post(START_PATH).json()["sync_id"]

        def get() -> dict[str, Any]:
            return dict(client.get(f"{SYNCS_PATH}/{sync_id}").json())

        server.until(lambda: (get()["callback"] or {}).get("state") == "delivered")
        return get()


def upgrade(directory: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "estimatesync_local", f"--directory={directory}", "--upgrade-postgres", *more]
    return run_program(command, cwd=directory, env={"PATH": os.environ["PATH"]}, timeout=120)


def write_version(place: Path, major: int) -> None:
    (place / "data").mkdir()
    (place / "data" / "PG_VERSION").write_text(f"{major}\n")


@needs_oldest
def test_what_the_oldest_version_has_made_is_copied_whole_and_kept(
    server: ServerProcess, place: Path, open_directory: Path
) -> None:
    old = create_old_server(place)
    old.start()
    server.start(DATABASE_URL=old.url)
    first = run_sync(server)
    server.stop()
    with psycopg.connect(old.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE reader NOLOGIN; GRANT USAGE ON SCHEMA botzilla TO reader")
        connection.execute("CREATE TABLE botzilla.own_notes AS SELECT 'Dachstühle 🏠' AS note")
        connection.execute("CREATE DATABASE odd")
    with psycopg.connect(old.build_url("odd")) as connection:
        # What no newer version takes.
        connection.execute("""CREATE FUNCTION is_old(integer) RETURNS boolean LANGUAGE sql AS
            'SELECT current_setting(''server_version_num'')::integer < 160000'""")
        connection.execute("CREATE TABLE refused (number integer CHECK (is_old(number)))")
        connection.execute("INSERT INTO refused VALUES (1)")
    old.stop()

    with pytest.raises(RuntimeError) as refused:
        server.start()
    failed = upgrade(open_directory / ".local")
    assert read_data_major(place / "data") == OLDEST
    assert not place.with_name("postgres.new").exists()
    old.start()
    with psycopg.connect(old.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE odd")
    # It may be running when the command is given, as after a server that was killed.
    done = upgrade(open_directory / ".local")
    server.start()
    second = run_sync(server)

    said = f"is PostgreSQL {OLDEST}'s, and this version of EstimateSync brings {NEWEST}, which cannot open it."
    assert said in str(refused.value)
    assert f"estimatesync-server --directory={open_directory}/.local --upgrade-postgres" in str(refused.value)
    assert (failed.returncode, done.returncode) == (1, 0), failed.stderr + done.stderr
    assert "The copy of the database odd failed, and was not taken" in failed.stderr
    assert f"The data of PostgreSQL {OLDEST} is kept in {place}-{OLDEST}." in done.stdout
    assert (first["results"]["new_estimates"], second["results"]["new_estimates"]) == (RECORDS, 0)
    assert second["results"]["unchanged_estimates"] == RECORDS
    url = EmbeddedPostgres(place).url
    assert ask(url, "SHOW server_version_num")[:2] == str(NEWEST)
    assert ask(url, "SELECT note FROM botzilla.own_notes") == "Dachstühle 🏠"
    assert ask(url, "SELECT has_schema_privilege('reader', 'botzilla', 'USAGE')") is True
    assert ask(url, "SELECT count(*) FROM estimatesync_local.sync") == 2
    assert read_data_major(Path(f"{place}-{OLDEST}") / "data") == OLDEST


def test_data_of_a_newer_version_is_left_alone(place: Path) -> None:
    write_version(place, 99)

    with pytest.raises(PostgresError, match=r"is PostgreSQL 99's, .* start the version of EstimateSync that made it"):
        EmbeddedPostgres(place).start()
    ended = upgrade(place.parent)

    assert ended.returncode == 1
    assert "is PostgreSQL 99's, which is newer than" in ended.stderr


def test_programs_of_another_version_are_refused(place: Path) -> None:
    write_version(place, 14)

    ended = upgrade(place.parent, f"--old-postgres={find_programs()}")

    assert ended.returncode == 1
    assert f"holds PostgreSQL {NEWEST}, but the data is PostgreSQL 14's" in ended.stderr


def test_a_sync_that_is_still_at_work_is_waited_for(place: Path) -> None:
    write_version(place, 14)
    run = place.parent / "jobs" / "estimatesync-est-1" / "runs" / "1"
    run.mkdir(parents=True)

    with locked(run / "lock"):
        ended = upgrade(place.parent)

    assert ended.returncode == 1
    assert "A sync of an earlier server still runs" in ended.stderr
    assert read_data_major(place / "data") == 14


def test_there_may_be_nothing_to_do(place: Path, open_directory: Path) -> None:
    write_version(place, NEWEST)

    assert f"There is nothing to do: {place} holds data of PostgreSQL {NEWEST}." in upgrade(place.parent).stdout
    assert "has no PostgreSQL" in upgrade(open_directory).stdout
