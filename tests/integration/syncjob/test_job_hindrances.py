"""What others have set or put between a sync and its tables: it changes nothing, or is told as what it is.

The store is used as a sync uses it, within the test's own process: these are matters of the database alone.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import psycopg
import pytest
from estimatesync_job.adapters.database import open_postgres
from estimatesync_job.adapters.migrations import read_migrations, read_sql
from estimatesync_job.core.errors import DatabaseRefusedError
from estimatesync_job.core.ports import StoredRun, Transferred
from estimatesync_job.core.rows import Row, pack_rows
from estimatesync_job.settings import parse_settings
from psycopg import sql

Query = Callable[..., list[Any]]
NOON = datetime(2025, 10, 16, 12, 30, tzinfo=UTC)

FOREIGN = {
    "datestyle": "German",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "timezone": "Pacific/Apia",
    "search_path": "pg_catalog",
    "standard_conforming_strings": "off",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "lock_timeout": "1",
}
ROWS = (("2", "Ñandú 🏠", "Zürich"), ("1", "\\ back'slash", "Wien"))

RAISES = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no' {using}; END$$"
DROPS = "CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$"
NOTES = (
    "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
    " $$BEGIN INSERT INTO public.seen VALUES ('x'); RETURN NEW; END$$"
)
ON_INSERT = "CREATE TRIGGER t BEFORE INSERT ON botzilla.{} FOR EACH ROW EXECUTE FUNCTION {}()"


def build_row(identity: str, name: str, branch: str) -> Row:
    values = dict.fromkeys(Row._fields, None) | {
        "attic_tech_estimate_id": int(identity),
        "name": name,
        "at_updated_date": NOON,
        "branch_name": branch,
        "status_name": "open",
    }
    return Row(**values)  # type: ignore[arg-type] - every field is there


def sync(url: str, *rows: tuple[str, str, str], uid: str = "") -> StoredRun:
    """Stage and merge rows as a sync does, or find what it has stored already."""
    settings = parse_settings(
        {
            "SYNC_ID": "est-1",
            "SYNC_UID": uid or str(uuid4()),
            "SYNC_START_DATE": "2025-01-01",
            "SYNC_END_DATE": "2025-10-16",
            "ATTIC_TECH_EMAIL": "a@b.example",
            "ATTIC_TECH_PASSWORD": "made-up",
            "DATABASE_URL": "postgresql://db/x",
            "DATABASE_WAIT_SECONDS": "0",
        }
    )

    async def run() -> StoredRun:
        async with open_postgres(replace(settings, database_url=url)) as store:
            stored = await store.fetch_committed_run()
            if stored is not None:
                return stored
            await store.write_rows(pack_rows(build_row(*row) for row in rows))
            transferred = Transferred(pages=1, records=len(rows), skipped=0, skipped_ids=(), complete_as_of=NOON)
            return await store.merge(transferred)

    return asyncio.run(run())


@pytest.fixture
def role(query: Query, database_url: str) -> str:
    """A user who may create a schema, and owns nothing yet."""
    name = urlsplit(database_url).path[1:]
    query(f"CREATE ROLE role_{name} LOGIN")
    query(f"GRANT CREATE ON DATABASE {name} TO role_{name}")
    return f"role_{name}"


def of_role(url: str, role: str) -> str:
    return urlsplit(url)._replace(netloc=f"{role}@").geturl()


def check_that_syncs_work(url: str, query: Query) -> None:
    uid = str(uuid4())
    first, again = sync(url, *ROWS, uid=uid), sync(url, *ROWS, uid=uid)
    second = sync(url, *ROWS)

    assert first.results.new_estimates == len(ROWS)
    assert again.complete_as_of == NOON
    assert second.results.unchanged_estimates == len(ROWS)
    query("SET datestyle = 'ISO'; SET timezone = 'UTC'; SET client_encoding = 'UTF8'")
    found = query("SELECT name, at_updated_date FROM botzilla.estimate ORDER BY attic_tech_estimate_id DESC")
    assert found == [(name, NOON) for _, name, _ in ROWS]


@pytest.mark.usefixtures("no_tables")
@pytest.mark.parametrize("target", ["DATABASE {name}", "ROLE {role}", "ROLE {role} IN DATABASE {name}"])
def test_defaults_of_the_server_change_nothing(query: Query, database_url: str, role: str, target: str) -> None:
    changed = target.format(name=urlsplit(database_url).path[1:], role=role)
    for setting, value in FOREIGN.items():
        query(f"ALTER {changed} SET {setting} = '{value}'")

    check_that_syncs_work(of_role(database_url, role), query)


@pytest.mark.usefixtures("no_tables")
def test_parameters_of_the_url_change_nothing(query: Query, database_url: str) -> None:
    options = quote(" ".join(f"-c {name}={value}" for name, value in FOREIGN.items()))

    check_that_syncs_work(f"{database_url}&options={options}&client_encoding=LATIN1", query)


@pytest.mark.usefixtures("no_tables")
def test_variables_of_the_environment_change_nothing(
    query: Query, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGDATESTYLE": "German", "PGTZ": "Pacific/Apia", "PGCLIENTENCODING": "LATIN1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PGOPTIONS", "-c search_path=pg_catalog -c default_transaction_read_only=on")

    check_that_syncs_work(database_url, query)


@pytest.mark.parametrize(
    ("table", "policies"),
    [
        pytest.param("estimate", "", id="no-policy"),
        pytest.param("branch", "CREATE POLICY p ON botzilla.branch USING (false)", id="of-no-row"),
        pytest.param("sync_run", "CREATE POLICY p ON botzilla.sync_run FOR SELECT USING (true)", id="to-read"),
        pytest.param(
            "estimate",
            "CREATE POLICY p ON botzilla.estimate USING (true);"
            "CREATE POLICY r ON botzilla.estimate AS RESTRICTIVE USING (false)",
            id="restricted",
        ),
    ],
)
@pytest.mark.parametrize("row_security", ["on", "off"])
def test_row_level_security_is_named_before_anything_is_lost(
    query: Query, database_url: str, role: str, table: str, policies: str, row_security: str
) -> None:
    sync(database_url, *ROWS)
    grant(query, role)
    query(f"ALTER TABLE botzilla.{table} ENABLE ROW LEVEL SECURITY; {policies}")
    query(f"ALTER ROLE {role} SET row_security = {row_security}")

    with pytest.raises(DatabaseRefusedError, match=f"row-level security may hide rows of {table} in schema botzilla"):
        sync(of_role(database_url, role), *ROWS)


def test_row_level_security_that_hides_nothing_is_no_hindrance(query: Query, database_url: str, role: str) -> None:
    sync(database_url, *ROWS)
    grant(query, role)
    for table in ("estimate", "branch", "sales_person", "estimate_status", "sync_run"):
        query(f"ALTER TABLE botzilla.{table} ENABLE ROW LEVEL SECURITY")
        query(f"CREATE POLICY p ON botzilla.{table} TO {role} USING (true)")

    for url in (database_url, of_role(database_url, role)):
        assert sync(url, *ROWS).results.unchanged_estimates == len(ROWS)


def grant(query: Query, role: str) -> None:
    query(f"GRANT USAGE ON SCHEMA botzilla TO {role}")
    query(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA botzilla TO {role}")


@pytest.mark.parametrize(("kind", "table"), [("VIEW", "estimate"), ("MATERIALIZED VIEW", "branch")])
def test_a_view_in_the_place_of_a_table_is_named(query: Query, database_url: str, kind: str, table: str) -> None:
    sync(database_url, *ROWS)
    query(f"ALTER TABLE botzilla.{table} RENAME TO moved; CREATE {kind} botzilla.{table} AS TABLE botzilla.moved")

    with pytest.raises(DatabaseRefusedError, match=f"{table} in schema botzilla is a view, not a table. Rename it"):
        sync(database_url, *ROWS)


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        pytest.param((RAISES.format(using=""), ON_INSERT.format("estimate", "refuse")), r"\(no\)", id="raises"),
        *(
            pytest.param(
                (RAISES.format(using=f"USING ERRCODE = '{code}'"), ON_INSERT.format(table, "refuse")),
                "a trigger of the tables in schema botzilla refuses. Correct or remove it",
                id=f"raises-{code}",
            )
            for code, table in [("23505", "estimate"), ("55P03", "branch"), ("40001", "sync_run")]
        ),
        pytest.param(
            ("CREATE TABLE public.seen (name text UNIQUE)", NOTES, ON_INSERT.format("estimate", "note")),
            "a trigger of the tables in schema botzilla refuses",
            id="fails-elsewhere",
        ),
        *(
            pytest.param((DROPS, ON_INSERT.format(table, "drop_it")), "keeps them out", id=f"drops-{table}")
            for table in ("estimate", "branch", "sync_run")
        ),
        pytest.param(("CREATE RULE r AS ON INSERT TO botzilla.branch DO INSTEAD NOTHING",), "keeps", id="rule"),
    ],
)  # fmt: skip
def test_a_trigger_that_refuses_or_drops_rows_is_told(
    query: Query, database_url: str, statements: tuple[str, ...], said: str
) -> None:
    sync(database_url)
    for statement in statements:
        query(statement)

    with pytest.raises(DatabaseRefusedError, match=said):
        sync(database_url, *ROWS)

    assert query("SELECT count(*) FROM botzilla.estimate") == [0]


UPPER = (
    "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.name = upper(NEW.name); RETURN NEW; END$$"
)
ON_UPDATE = "CREATE TRIGGER t {when} UPDATE ON botzilla.estimate FOR EACH ROW EXECUTE FUNCTION {function}()"
CHANGED = tuple((identity, f"{name} again", branch) for identity, name, branch in ROWS)


def list_names(rows: Iterable[tuple[str, str, str]]) -> list[str]:
    return [name for _, name, _ in sorted(rows)]


@pytest.mark.parametrize(
    ("statements", "names"),
    [
        pytest.param((DROPS, ON_UPDATE.format(when="BEFORE", function="drop_it")), None, id="dropped"),
        pytest.param(
            (DROPS, ON_UPDATE.format(when="BEFORE INSERT OR", function="drop_it")), None, id="dropped-like-all-else"
        ),
        pytest.param(
            (
                DROPS,
                ON_UPDATE.format(when="BEFORE", function="drop_it"),
                "ALTER TABLE botzilla.estimate DISABLE TRIGGER t",
            ),
            list_names(CHANGED),
            id="a-trigger-that-is-off",
        ),
        pytest.param(
            (DROPS, ON_UPDATE.format(when="AFTER", function="drop_it")),
            list_names(CHANGED),
            id="too-late-to-drop-anything",
        ),
        pytest.param(
            (UPPER, ON_UPDATE.format(when="BEFORE", function="shout")),
            [name.upper() for name in list_names(CHANGED)],
            id="rewritten-as-somebody-wants-it",
        ),
    ],
)
def test_a_trigger_that_drops_changes_without_a_word_is_told(
    query: Query, database_url: str, statements: tuple[str, ...], names: list[str] | None
) -> None:
    sync(database_url, *ROWS)
    for statement in statements:
        query(statement)

    if names is None:
        with pytest.raises(DatabaseRefusedError, match="keeps them out"):
            sync(database_url, *CHANGED)
        names = list_names(ROWS)
    else:
        sync(database_url, *CHANGED)
        sync(database_url, *CHANGED)

    assert query("SELECT name FROM botzilla.estimate ORDER BY attic_tech_estimate_id") == names


@pytest.fixture
def latin_url(postgres_url: str, database_url: str) -> Iterator[str]:
    """URL of an empty database whose encoding is LATIN1."""
    name = f"latin_{urlsplit(database_url).path[1:]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        statement = "CREATE DATABASE {} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
        yield urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_no_new_tables_are_made_in_a_database_that_cannot_hold_every_text(latin_url: str) -> None:
    with pytest.raises(DatabaseRefusedError, match=r"LATIN1, cannot hold every text.*ENCODING 'UTF8'"):
        sync(latin_url)

    with psycopg.connect(latin_url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'botzilla'").fetchone() == (0,)


def test_in_tables_that_are_there_a_text_that_does_not_fit_skips_its_record_alone(
    jobs: Any, sample: Any, fill: Callable[..., list[dict[str, Any]]], latin_url: str
) -> None:
    with psycopg.connect(latin_url) as connection:
        connection.execute("CREATE SCHEMA botzilla; SET search_path = botzilla")
        connection.execute(read_sql("create_version_table"))
        for migration in read_migrations():
            connection.execute(migration.sql)
            connection.execute(read_sql("insert_version"), {"version": migration.version, "name": migration.name})
    plain = dict.fromkeys(("client", "property", "user", "branch", "crew_notes"))
    _, second, *_ = [sample.store.update(record["id"], {**plain, "name": "Dach für Ñandú"}) for record in fill(150)]
    sample.store.update(second["id"], {"crew_notes": "a 🏠 and 12 €"})

    job = jobs.run(sample, DATABASE_URL=latin_url, SYNC_END_DATE="2099-01-01")

    assert job.process.returncode == 0, job.output
    assert job.result.results.skipped_estimates == 1
    assert job.result.skipped_ids == (str(second["id"]),)
    assert "crew_notes holds a character that the database's encoding, LATIN1, lacks" in job.output
    with psycopg.connect(latin_url, client_encoding="UTF8") as connection:
        stored = connection.execute("SELECT count(*), min(name) FROM botzilla.estimate").fetchone()
    assert stored == (149, "Dach für Ñandú")
