"""Made-up old databases, of several tastes, and the import as a process."""

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import psycopg
import pytest
from estimatesync_import.main import main
from estimatesync_job.core.rows import Row, map_record
from estimatesync_postgres_server import created_database
from psycopg import sql
from sample_attic_tech import Record

CAMEL_CASE = """
CREATE SCHEMA crm;
CREATE TABLE crm."branches" ("id" serial PRIMARY KEY, "name" text NOT NULL);
CREATE TABLE crm."salesPersons" ("id" serial PRIMARY KEY, "fullName" text NOT NULL);
CREATE TABLE crm."statuses" ("id" serial PRIMARY KEY, "name" text NOT NULL);
CREATE TABLE crm."estimates" (
    "id" serial PRIMARY KEY,
    "atticTechId" integer,
    "name" varchar(120) NOT NULL,
    "customerName" text,
    "customerEmail" text,
    "trueCost" integer,
    "retailCost" numeric(10, 2),
    "finalPrice" double precision,
    "branchId" integer REFERENCES crm."branches" ("id"),
    "salesPersonId" integer REFERENCES crm."salesPersons",
    "statusId" integer REFERENCES crm."statuses",
    "sourceUpdatedAt" timestamp without time zone,
    "updatedAt" timestamptz NOT NULL DEFAULT now(),
    "colour of the roof" text
);
CREATE TABLE crm."visits" (
    "id" serial PRIMARY KEY,
    "estimateId" integer NOT NULL REFERENCES crm."estimates" ("id") ON DELETE CASCADE,
    "note" text
);
"""

SNAKE_CASE = """
CREATE TABLE estimate (
    id bigint PRIMARY KEY,
    attic_tech_id text,
    estimate_name text,
    client_name text,
    final_price text,
    discount bigint,
    labor_hours text,
    branch text,
    status text,
    at_updated_at text
);
"""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command has left behind."""

    returncode: int
    stdout: str
    stderr: str


class Import(Protocol):
    """Runs one command of the import."""

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> Done: ...


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """URL of an empty database that no other test sees: what an import finds there decides what it does."""
    with created_database(postgres_url) as url:
        yield url


@pytest.fixture
def run_import(database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Import:
    """Run it in this process, for a new one costs more than most of the tests; the how-to's commands have their own."""

    def run(*arguments: str, stdin: str = "", **environment: str) -> Done:
        with monkeypatch.context() as outside:
            for name, value in ({"DATABASE_URL": database_url} | environment).items():
                outside.setenv(name, value)
            outside.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            capsys.readouterr()
            code = main(arguments)
        printed = capsys.readouterr()
        return Done(returncode=code, stdout=printed.out, stderr=printed.err)

    return run


@pytest.fixture
def mapping_file(run_import: Import, tmp_path: Path) -> Callable[..., Path]:
    """The proposed mapping in a file, with lines replaced as a person would correct it."""

    def propose(*arguments: str, correct: dict[str, str] | None = None, **environment: str) -> Path:
        path = tmp_path / "mapping.toml"
        done = run_import("inspect", "--output", str(path), *arguments, **environment)
        assert path.exists(), done.stderr
        text = path.read_text()
        for old, new in (correct or {}).items():
            assert old in text, text
            text = text.replace(old, new)
        path.write_text(text)
        return path

    return propose


@pytest.fixture
def camel_case(database_url: str) -> Callable[[list[Record]], list[Row]]:
    """Fill an old database of camel case, whole dollars and foreign keys with what the old program would have."""

    def insert(records: list[Record]) -> list[Row]:
        rows = [
            row for record in records if isinstance(row := map_record(msgspec.Raw(msgspec.json.encode(record))), Row)
        ]
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(CAMEL_CASE)
            for table, column, names in (
                ("branches", "name", {row.branch_name for row in rows}),
                ("salesPersons", "fullName", {row.sales_person_name for row in rows}),
                ("statuses", "name", {row.status_name for row in rows}),
            ):
                statement = sql.SQL("INSERT INTO crm.{} ({}) SELECT unnest(%s::text[])")
                values = [name for name in names if name is not None]
                connection.execute(statement.format(sql.Identifier(table), sql.Identifier(column)), [values])
            connection.cursor().executemany(_INSERT, [row._asdict() for row in rows])
        return rows

    return insert


_INSERT = """
INSERT INTO crm."estimates" (
    "atticTechId", "name", "customerName", "customerEmail", "trueCost", "retailCost", "finalPrice",
    "branchId", "salesPersonId", "statusId", "sourceUpdatedAt"
) VALUES (
    %(attic_tech_estimate_id)s, left(%(name)s, 120), %(customer_name)s, %(customer_email)s,
    round(%(price)s), %(retail_cost)s, %(final_price)s,
    (SELECT "id" FROM crm."branches" WHERE "name" = %(branch_name)s),
    (SELECT "id" FROM crm."salesPersons" WHERE "fullName" = %(sales_person_name)s),
    (SELECT "id" FROM crm."statuses" WHERE "name" = %(status_name)s),
    %(at_updated_date)s::timestamptz AT TIME ZONE 'UTC'
)
"""


@pytest.fixture
def snake_case(database_url: str) -> Callable[..., None]:
    """Fill an old table of nothing but texts and big integers; what a row does not say is NULL."""

    def insert(*rows: dict[str, Any]) -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(SNAKE_CASE)
            for number, row in enumerate(rows, start=1):
                values = {"id": number} | row
                connection.execute(
                    sql.SQL("INSERT INTO estimate ({}) VALUES ({})").format(
                        sql.SQL(", ").join(map(sql.Identifier, values)),
                        sql.SQL(", ").join(map(sql.Placeholder, values)),
                    ),
                    values,
                )

    return insert
