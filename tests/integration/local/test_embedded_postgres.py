"""The embedded server on its own: started, adopted, found again after every kind of end."""

import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from estimatesync_local.adapters.postgres import EmbeddedPostgres
from estimatesync_local.core.errors import PostgresError

WAIT_SECONDS = 60.0


@pytest.fixture
def postgres(open_directory: Path, lay_postgres: Callable[[Path], EmbeddedPostgres]) -> Iterator[EmbeddedPostgres]:
    server = lay_postgres(open_directory / "postgres")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def new_postgres(open_directory: Path) -> Iterator[EmbeddedPostgres]:
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


def read_mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_reached_by_its_socket_alone(new_postgres: EmbeddedPostgres, open_directory: Path) -> None:
    assert ask(new_postgres, "SHOW listen_addresses") == ""
    assert ask(new_postgres, "SHOW server_encoding") == "UTF8"
    assert ask(new_postgres, "SELECT current_database()") == "estimatesync"
    place = open_directory / "postgres"
    assert {read_mode(place / name) for name in ("data", "socket")} == {0o700}
    assert {read_mode(place / name) for name in ("lock", "log")} == {0o600}


def test_the_system_vouches_for_who_connects(postgres: EmbeddedPostgres) -> None:
    rules = ask(postgres, "SELECT array_agg(type || ' ' || auth_method) FROM pg_hba_file_rules")

    assert rules == "['local peer']"


def test_a_running_server_is_adopted(postgres: EmbeddedPostgres, open_directory: Path) -> None:
    before = read_pid(open_directory)

    another = EmbeddedPostgres(open_directory / "postgres")
    another.start()

    assert read_pid(open_directory) == before
    assert another.url == postgres.url
    another.stop()
    assert not postgres.is_running()


def test_a_running_server_of_another_version_is_stopped_and_refused(
    postgres: EmbeddedPostgres, open_directory: Path
) -> None:
    # What an upgrade that was killed leaves behind: the old version's own server, at work on its data.
    (open_directory / "postgres" / "data" / "PG_VERSION").write_text("15\n")

    with pytest.raises(PostgresError, match=r"is PostgreSQL 15's, .* which cannot open it"):
        EmbeddedPostgres(open_directory / "postgres").start()

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


@pytest.fixture
def deep(open_directory: Path, lay_postgres: Callable[[Path], EmbeddedPostgres]) -> Iterator[EmbeddedPostgres]:
    """A server whose directory is too deep for a socket."""
    server = lay_postgres(open_directory / ("d" * 100) / "postgres")
    yield server
    server.stop()


def find_socket(server: EmbeddedPostgres) -> Path:
    return Path(parse_qs(urlsplit(server.url).query)["host"][0])


def test_a_directory_too_deep_for_a_socket_gets_one_elsewhere(deep: EmbeddedPostgres, open_directory: Path) -> None:
    deep.start()
    first = find_socket(deep)
    again = EmbeddedPostgres(open_directory / ("d" * 100) / "postgres")

    assert ask(deep, "SELECT 1") == "1"
    assert not first.is_relative_to(open_directory)
    assert read_mode(first) == 0o700
    assert again.url == deep.url

    deep.stop()
    assert not first.exists()
    deep.start()
    # Nobody can have made it beforehand.
    assert find_socket(deep) != first


@pytest.mark.parametrize("planted", ["directory", "link"])
def test_what_others_made_where_a_socket_was_is_not_used(deep: EmbeddedPostgres, tmp_path: Path, planted: str) -> None:
    deep.start()
    was = find_socket(deep)
    deep.stop()
    if planted == "link":
        was.symlink_to(tmp_path)
    else:
        was.mkdir(mode=0o777)

    deep.start()

    assert find_socket(deep) != was
    assert ask(deep, "SELECT 1") == "1"
    assert not list(tmp_path.iterdir())
    was.unlink() if was.is_symlink() else was.rmdir()


@pytest.mark.parametrize("name", ["a b+c%d\"e'f$g`hä\\n", "a,b"])
def test_it_works_wherever_it_lies(open_directory: Path, name: str) -> None:
    server = EmbeddedPostgres(open_directory / name / "postgres")

    server.start()

    assert ask(server, "SELECT 1") == "1"
    server.stop()


def test_its_processes_know_no_secret_of_ours(
    open_directory: Path, lay_postgres: Callable[[Path], EmbeddedPostgres], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTIC_TECH_PASSWORD", "made-up-password")
    server = lay_postgres(open_directory / "postgres")
    server.start()

    environment = Path(f"/proc/{read_pid(open_directory)}/environ")
    server_knows = environment.read_text() if environment.exists() else ""
    server.stop()

    assert "made-up-password" not in server_knows
