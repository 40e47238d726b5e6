"""The oldest supported PostgreSQL, whose messages are not English: the same syncs, and refusals that are understood."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from estimatesync_local.adapters.database import migrate
from estimatesync_postgres.connection import ConnectionFaultError, create_connection, read_fault
from estimatesync_postgres.faults import Fault, Kind
from estimatesync_postgres_server import LANGUAGES, OLDEST, PostgresServer
from psycopg import sql
from sample_attic_tech import SampleConfig, build_records, running_sample

WORDS = {"German": "existiert nicht", "Spanish": "no existe", "French": "existe pas"}


@pytest.fixture(scope="module", params=LANGUAGES)
def server(request: pytest.FixtureRequest, oldest: PostgresServer) -> tuple[PostgresServer, str]:
    """The server in one language after the other."""
    oldest.speak(request.param)
    return oldest, request.param


@pytest.fixture(scope="module")
def locked(oldest: PostgresServer) -> str:
    """URL of a server that refuses users and databases for many reasons."""
    with psycopg.connect(oldest.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE locked LOGIN PASSWORD 'the-right-one'; CREATE ROLE closed NOLOGIN")
        connection.execute("CREATE DATABASE taken CONNECTION LIMIT 0")
        connection.execute("CREATE DATABASE private")
        connection.execute("REVOKE CONNECT ON DATABASE private FROM PUBLIC")
        connection.execute("CREATE DATABASE shut ALLOW_CONNECTIONS false")
    rules = oldest.data / "pg_hba.conf"
    rules.write_text(f"local all locked scram-sha-256\nlocal all rejected reject\n{rules.read_text()}")
    with psycopg.connect(oldest.url, autocommit=True) as connection:
        connection.execute("SELECT pg_reload_conf()")
    return oldest.url


def fail(url: str) -> Fault:
    with pytest.raises(ConnectionFaultError) as raised:
        asyncio.run(create_connection(url))
    return raised.value.fault


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("user", "database", "kind", "cure"),
    [
        pytest.param("locked:wrong", "postgres", Kind.REFUSED, "refuses the user or password", id="password"),
        pytest.param("nobody", "postgres", Kind.REFUSED, "does not exist or may not log in", id="no-user"),
        pytest.param("closed", "postgres", Kind.REFUSED, "does not exist or may not log in", id="no-login"),
        pytest.param("rejected", "postgres", Kind.REFUSED, "pg_hba.conf", id="rejected"),
        pytest.param("postgres", "missing", Kind.REFUSED, "does not exist. Create it", id="no-database"),
        pytest.param("postgres", "shut", Kind.REFUSED, "accepts no connections", id="shut"),
        pytest.param("locked:the-right-one", "private", Kind.REFUSED, "lacks a right", id="no-right"),
        pytest.param("locked:the-right-one", "taken", Kind.UNAVAILABLE, "no free connection", id="full"),
        pytest.param("postgres", "postgres?options=-c%20nonsense%3D1", Kind.SETTING, "such as options", id="options"),
    ],
)
def test_a_refusal_is_understood_in_any_language(locked: str, user: str, database: str, kind: Kind, cure: str) -> None:
    socket_directory = psycopg.conninfo.conninfo_to_dict(locked)["host"]
    more = "&" if "?" in database else "?"

    fault = fail(f"postgresql://{user}@/{database}{more}host={socket_directory}")

    assert fault.kind is kind
    assert cure in fault.text


def test_an_error_of_the_work_quotes_the_server_in_its_language(server: tuple[PostgresServer, str]) -> None:
    running, language = server

    async def ask() -> Fault:
        async with await create_connection(running.url) as connection:
            try:
                await connection.execute("TABLE botzilla.missing")
            except psycopg.Error as error:
                return read_fault(error, schema="botzilla")
        raise AssertionError("it is there")

    fault = asyncio.run(ask())

    assert fault.kind is Kind.REFUSED
    assert "not this program's" in fault.text
    assert WORDS[language] in fault.text


def test_syncs_merge_as_on_the_newest_version(server: tuple[PostgresServer, str], run_job: Callable[..., Any]) -> None:
    running, language = server
    name = f"sync_{language.lower()}"
    with psycopg.connect(running.url, autocommit=True) as connection:
        assert connection.info.server_version // 10_000 == OLDEST
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = running.url.replace("/postgres?", f"/{name}?")
    asyncio.run(migrate(url))
    records = build_records(150, 7, datetime(2025, 10, 16, 14, tzinfo=UTC))
    with running_sample(SampleConfig(records=records)) as sample:
        first = run_job(sample, url)
        sample.store.update(records[0]["id"], {"name": "Dachstühle 🏠"})
        second = run_job(sample, url)

    assert first == {"new": 150, "unchanged": 0}
    assert second == {"new": 0, "unchanged": 149}
    with psycopg.connect(url) as connection:
        count = connection.execute("SELECT count(*) FROM botzilla.estimate WHERE name = 'Dachstühle 🏠'").fetchone()
    assert count == (1,)
