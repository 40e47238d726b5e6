"""The embedded server on its own: started, adopted, found again after every kind of end."""

import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from estimatesync_local.adapters.postgres import EmbeddedPostgres, choose_socket_directory
from estimatesync_local.core.errors import PostgresError

WAIT_SECONDS = 60.0


@pytest.fixture
def postgres(open_directory: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(open_directory / "postgres")
    server.start()
    yield server
    server.stop()


def read_pid(directory: Path) -> int:
    return int((directory / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])


def ask(server: EmbeddedPostgres, question: str) -> str:
    with psycopg.connect(server.url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return str(row[0])


def test_it_is_reached_by_its_socket_alone(postgres: EmbeddedPostgres, open_directory: Path) -> None:
    assert ask(postgres, "SHOW listen_addresses") == ""
    assert ask(postgres, "SHOW server_encoding") == "UTF8"
    assert ask(postgres, "SELECT current_database()") == "estimatesync"
    for directory in ("postgres", "postgres/data", "postgres/socket"):
        assert stat.S_IMODE((open_directory / directory).stat().st_mode) == 0o700


def test_a_running_server_is_adopted(postgres: EmbeddedPostgres, open_directory: Path) -> None:
    before = read_pid(open_directory)

    another = EmbeddedPostgres(open_directory / "postgres")
    another.start()

    assert read_pid(open_directory) == before
    assert another.url == postgres.url
    another.stop()
    assert not postgres.is_running()


def test_data_outlives_a_stop_and_a_kill(postgres: EmbeddedPostgres, open_directory: Path) -> None:
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'still here' AS word")

    postgres.stop()
    postgres.start()
    os.kill(read_pid(open_directory), signal.SIGKILL)
    # What the killed server left behind may take a moment to end; starting waits for it.
    postgres.start()

    assert ask(postgres, "SELECT word FROM kept") == "still here"


def test_a_process_id_that_now_belongs_to_another_program_does_not_prevent_the_start(
    postgres: EmbeddedPostgres, open_directory: Path
) -> None:
    pid_file = open_directory / "postgres" / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    os.kill(read_pid(open_directory), signal.SIGKILL)
    deadline = time.monotonic() + WAIT_SECONDS
    while postgres.is_running():
        assert time.monotonic() < deadline, "the killed server runs on"
        time.sleep(0.05)
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]))

    postgres.start()

    assert ask(postgres, "SELECT 1") == "1"


def test_a_start_that_was_interrupted_is_repeated(open_directory: Path) -> None:
    half_made = open_directory / "postgres" / "data.new"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(open_directory / "postgres")

    server.start()

    assert ask(server, "SELECT 1") == "1"
    server.stop()


def test_a_server_that_does_not_start_shows_the_end_of_its_log(
    postgres: EmbeddedPostgres, open_directory: Path
) -> None:
    postgres.stop()
    configuration = open_directory / "postgres" / "data" / "postgresql.conf"
    good = configuration.read_text()
    configuration.write_text("no_such_setting = 1\n")

    with pytest.raises(PostgresError, match="no_such_setting"):
        postgres.start()

    configuration.write_text(good)


def test_stopping_what_does_not_run_is_fine(open_directory: Path) -> None:
    EmbeddedPostgres(open_directory / "postgres").stop()

    assert not (open_directory / "postgres").exists()


def test_a_directory_too_deep_for_a_socket_gets_one_elsewhere(open_directory: Path) -> None:
    deep = open_directory / ("d" * 100) / "postgres"
    server = EmbeddedPostgres(deep)

    server.start()

    assert ask(server, "SELECT 1") == "1"
    assert not choose_socket_directory(deep).is_relative_to(open_directory)
    server.stop()
    assert not choose_socket_directory(deep).exists()
