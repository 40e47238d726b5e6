"""PostgreSQL refuses, vanishes or is shared: nothing is stored in part, and the cause is reported with its cure."""

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.status import Results
from estimatesync_job.adapters.migrations import read_migrations
from estimatesync_local.adapters.postgres_folder import find_programs as find_wheel_programs
from estimatesync_postgres_server import created_server
from psycopg import sql
from sample_attic_tech import RunningSample, SampleConfig, running_sample

Eventually = Callable[[Callable[[], bool]], None]
Fill = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[Any]]
LOCKED_OUT = "locked_out"


@pytest.fixture
def slow_sample(sample: RunningSample, fill: Fill) -> Iterator[RunningSample]:
    """60 records; 10 on a page, which takes its time, make a sync of seconds."""
    fill(60)
    config = SampleConfig(records=sample.store.read_all(), page_delay_seconds=0.3)
    with running_sample(config) as served:
        yield served


def with_user(url: str, user: str, password: str = "") -> str:
    return urlsplit(url)._replace(netloc=f"{user}:{password}@").geturl()


@pytest.fixture
def role(query: Query) -> str:
    """A user without any right of its own."""
    name = f"user_{uuid4().hex[:12]}"
    query(f"CREATE ROLE {name} LOGIN")
    return name


@pytest.fixture
def locked_out(request: pytest.FixtureRequest, postgres_url: str, postgres_data: Path) -> Iterator[None]:
    """Have one user let in by a method of the test's choice; the embedded server trusts all others."""
    path = postgres_data / "pg_hba.conf"
    rules = path.read_text()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'the-right-one'").format(sql.Identifier(LOCKED_OUT)))
        path.write_text(f"local all {LOCKED_OUT} {request.param}\n{rules}")
        connection.execute("SELECT pg_reload_conf()")
        yield
        path.write_text(rules)
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(LOCKED_OUT)))


@pytest.mark.usefixtures("locked_out")
@pytest.mark.parametrize(
    ("locked_out", "cure"),
    [
        pytest.param("scram-sha-256", "user or password", id="wrong password"),
        pytest.param("reject", "Correct pg_hba.conf", id="rejected"),
    ],
    indirect=["locked_out"],
)
def test_a_user_who_is_not_let_in_is_refused_and_not_shown(
    jobs: Any, sample: RunningSample, database_url: str, cure: str
) -> None:
    job = jobs.run(sample, DATABASE_URL=with_user(database_url, LOCKED_OUT, "a-wrong-one"))

    assert job.process.returncode == 20
    assert job.result.error.reason is Reason.DATABASE_REFUSED
    assert cure in job.result.error.message
    assert not [secret for secret in ("a-wrong-one", LOCKED_OUT) if secret in job.output + str(job.result)]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Accepts every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("change", "exit_code", "reason", "cure"),
    [
        pytest.param({"path": "/no_such_database"}, 20, Reason.DATABASE_REFUSED, "Create it", id="missing-database"),
        pytest.param(
            {"query": "host=127.0.0.1&port=1"}, 10, Reason.DATABASE_UNAVAILABLE, "host and port", id="refused"
        ),
        pytest.param(
            {"query": "host=127.0.0.1&port={silent}&connect_timeout=2"},
            10,
            Reason.DATABASE_UNAVAILABLE,
            "host and port",
            id="silent",
        ),
        pytest.param(
            {"query": "nonsense=1"}, 20, Reason.CONFIGURATION_INVALID, "DATABASE_URL cannot be used", id="broken-url"
        ),
    ],
)
def test_a_database_that_is_not_there(
    jobs: Any,
    sample: RunningSample,
    database_url: str,
    silent_port: int,
    change: dict[str, str],
    exit_code: int,
    reason: Reason,
    cure: str,
) -> None:
    url = urlsplit(database_url)._replace(**change).geturl().replace("{silent}", str(silent_port))

    job = jobs.run(sample, DATABASE_URL=url)

    assert job.process.returncode == exit_code
    assert job.result.error.reason is reason
    assert cure in job.result.error.message
    assert job.result.results == Results()


@pytest.mark.usefixtures("no_tables")
def test_a_user_without_rights_gets_an_error_that_names_the_missing_one(
    jobs: Any, sample: RunningSample, database_url: str, role: str
) -> None:
    job = jobs.run(sample, DATABASE_URL=with_user(database_url, role))

    assert job.process.returncode == 20
    assert job.result.error.reason is Reason.DATABASE_REFUSED
    assert "lacks a right. Grant it (permission denied for database" in job.result.error.message


def test_a_user_who_owns_the_schema_needs_no_right_on_the_database(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, database_url: str, role: str
) -> None:
    fill(3)
    query(f'CREATE SCHEMA "Estimates" AUTHORIZATION {role}')

    job = jobs.run(sample, DATABASE_URL=with_user(database_url, role), DATABASE_SCHEMA="Estimates")

    assert job.process.returncode == 0
    assert query('SELECT count(*) FROM "Estimates".estimate') == [3]


def test_a_user_who_may_only_write_can_sync_once_the_tables_are_there(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, database_url: str, role: str
) -> None:
    fill(3)
    jobs.run(sample)
    query(f"GRANT USAGE ON SCHEMA botzilla TO {role}")
    query(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA botzilla TO {role}")

    job = jobs.run(sample, DATABASE_URL=with_user(database_url, role))

    assert job.process.returncode == 0
    assert job.result.results.unchanged_estimates == 3


@pytest.mark.usefixtures("no_tables")
def test_tables_of_another_program_are_left_alone(jobs: Any, sample: RunningSample, query: Query) -> None:
    query("CREATE SCHEMA botzilla")
    query("CREATE TABLE botzilla.estimate (id integer)")

    job = jobs.run(sample)

    assert job.process.returncode == 20
    assert job.result.error.reason is Reason.DATABASE_REFUSED
    assert "Choose another DATABASE_SCHEMA" in job.result.error.message
    assert query("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'botzilla'") == [1]


def test_a_database_without_a_free_connection_is_retryable(
    jobs: Any, sample: RunningSample, query: Query, database_url: str, role: str
) -> None:
    (statement,) = query("SELECT format('ALTER DATABASE %I CONNECTION LIMIT 0', current_database())")
    query(statement)

    job = jobs.run(sample, DATABASE_URL=with_user(database_url, role))

    assert job.process.returncode == 10
    assert job.result.error.reason is Reason.DATABASE_UNAVAILABLE
    assert "no free connection" in job.result.error.message


def test_a_standby_is_refused(jobs: Any, sample: RunningSample) -> None:
    with created_server(find_wheel_programs()) as server:
        server.start()
        server.become_standby()

        job = jobs.run(sample, DATABASE_URL=server.url)

    assert job.process.returncode == 20
    assert "primary server" in job.result.error.message


def test_a_connection_that_the_server_ends_half_way_is_retryable(
    jobs: Any, slow_sample: RunningSample, query: Query
) -> None:
    job = jobs.start(slow_sample, SYNC_PAGE_SIZE="10")
    job.wait_for("Page 2 complete")

    query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'estimatesync'")

    assert job.wait() == 10
    assert job.result.error.reason is Reason.DATABASE_UNAVAILABLE
    assert query("SELECT count(*) FROM botzilla.estimate") == [0]


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [
        pytest.param(signal.SIGTERM, 10, id="SIGTERM"),
        pytest.param(signal.SIGINT, 10, id="SIGINT"),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, id="SIGKILL"),
    ],
)
def test_a_sync_that_is_stopped_half_way_stores_nothing_and_another_process_completes_it(
    jobs: Any, slow_sample: RunningSample, query: Query, number: signal.Signals, exit_code: int
) -> None:
    job = jobs.start(slow_sample, SYNC_PAGE_SIZE="10")
    job.wait_for("Page 2 complete")

    job.process.send_signal(number)

    assert job.wait() == exit_code
    assert query("SELECT count(*) FROM botzilla.estimate") == [0]
    if number is signal.SIGKILL:
        assert job.result is None
    else:
        assert job.result.error.reason is Reason.INTERRUPTED
        assert job.result.error.retryable
    second = jobs.run(slow_sample, SYNC_UID=job.uid)
    assert second.result.results.new_estimates == 60


def test_a_pod_that_fails_after_another_of_the_same_sync_has_committed_leaves_its_success_on_record(
    jobs: Any, slow_sample: RunningSample, query: Query
) -> None:
    job = jobs.start(slow_sample, SYNC_PAGE_SIZE="10", SYNC_MIN_ESTIMATES="61")
    job.wait_for("Page 2 complete")
    job.process.send_signal(signal.SIGSTOP)
    other = jobs.run(slow_sample, SYNC_UID=job.uid)

    job.process.send_signal(signal.SIGCONT)

    assert job.wait() == 20
    assert job.result.error.reason is Reason.SOURCE_EMPTY
    assert other.result.results.new_estimates == 60
    assert query("SELECT outcome FROM botzilla.sync_runs") == ["Succeeded"]


def test_a_sync_that_waits_for_a_lock_stops_at_once(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, database_url: str, eventually: Eventually
) -> None:
    fill(3)
    jobs.run(sample)
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'estimatesync' AND wait_event_type = 'Lock'"
    )
    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE botzilla.estimate IN ACCESS EXCLUSIVE MODE")
        job = jobs.start(sample)
        eventually(lambda: query(waiting) == [1])

        job.process.send_signal(signal.SIGTERM)

        assert job.wait() == 10
    assert job.result.error.reason is Reason.INTERRUPTED
    assert query("SELECT count(*) FROM botzilla.sync_run") == [1]


def test_to_be_stopped_while_it_commits_is_too_late(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, database_url: str, eventually: Eventually
) -> None:
    record, *_ = fill(3)
    jobs.run(sample)
    sample.store.update(record["id"], {"name": "changed"})
    query(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END'"
    )
    query(
        "CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON botzilla.sync_run DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION hold()"
    )
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event_type = 'Lock'"
    with psycopg.connect(database_url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(42)")
        job = jobs.start(sample)
        eventually(lambda: query(waiting) == [1])
        job.process.send_signal(signal.SIGTERM)

    assert job.wait() == 0
    assert job.result.results.updated_estimates == 3
    assert query("SELECT count(*) FROM botzilla.estimate WHERE name = 'changed'") == [1]


@pytest.mark.usefixtures("no_tables")
@pytest.mark.parametrize("purpose", ["migrate", "merge"])
@pytest.mark.parametrize("is_same_sync", [False, True])
def test_two_at_once_neither_deadlock_nor_count_twice(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, database_url: str, eventually: Eventually,
    purpose: str, is_same_sync: bool,  # noqa: FBT001 - a table's column
) -> None:  # fmt: skip
    fill(150)
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    uids = [str(uuid4())] * 2 if is_same_sync else [str(uuid4()), str(uuid4())]
    with psycopg.connect(database_url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"estimatesync {purpose} botzilla",))
        pair = [jobs.start(sample, SYNC_UID=uid) for uid in uids]
        eventually(lambda: query(waiting) == [2])

    assert [job.wait() for job in pair] == [0, 0]
    counts = sorted(
        (job.result.results.new_estimates, job.result.results.unchanged_estimates, job.result.results.total_processed)
        for job in pair
    )
    assert counts == ([(150, 0, 150)] * 2 if is_same_sync else [(0, 150, 150), (150, 0, 150)])
    assert query("SELECT count(*) FROM botzilla.estimate") == [150]
    assert query("SELECT count(*) FROM botzilla.sync_run") == [len(set(uids))]
    applied = query("SELECT version FROM botzilla.sync_schema_version ORDER BY 1")
    assert applied == [migration.version for migration in read_migrations()]


def test_two_over_overlapping_ranges_at_once_lose_nothing(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, database_url: str, eventually: Eventually
) -> None:
    late = [record["id"] for record in fill(150) if record["updatedAt"] >= "2025-10-01"]
    early = [record["id"] for record in sample.store.read_all() if record["updatedAt"] < "2025-10-10"]
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    jobs.run(sample, SYNC_START_DATE="2025-01-01", SYNC_END_DATE="2025-01-01")
    with psycopg.connect(database_url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('estimatesync merge botzilla', 0))")
        pair = [jobs.start(sample, SYNC_END_DATE="2025-10-09"), jobs.start(sample, SYNC_START_DATE="2025-10-01")]
        eventually(lambda: query(waiting) == [2])

    assert [job.wait() for job in pair] == [0, 0]
    results = [job.result.results for job in pair]
    assert [counts.total_processed for counts in results] == [len(early), len(late)]
    assert sum(counts.new_estimates for counts in results) == 150
    assert sum(counts.updated_estimates for counts in results) == len(set(early) & set(late))
    assert query("SELECT count(*) FROM botzilla.estimate") == [150]


def test_a_migration_that_waits_for_a_running_sync_holds_up_nobody_else(
    jobs: Any, sample: RunningSample, fill: Callable[..., object], query: Callable[..., list[Any]], database_url: str,
    eventually: Callable[[Callable[[], bool]], None],
) -> None:  # fmt: skip
    fill(20)
    jobs.run(sample)
    query("DELETE FROM botzilla.sync_schema_version WHERE version = 9")
    waiting = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"

    with psycopg.connect(database_url) as running, psycopg.connect(database_url) as reader:
        running.execute("SELECT FROM botzilla.sync_run")
        job = jobs.start(sample)
        eventually(lambda: query(waiting) == [1])
        reader.execute("SET lock_timeout = '20s'")
        reader.execute("SELECT FROM botzilla.sync_run")
        reader.rollback()
        eventually(lambda: query(waiting) == [1])

    assert job.wait() == 0, job.output
    assert query("SELECT count(*) FROM botzilla.sync_schema_version WHERE version = 9") == [1]
