"""What stands in the way of an import is named all at once, with the rows, and nothing is half done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sample_attic_tech import Record, RunningSample

Query = Callable[..., list[Any]]
MappingFile = Callable[..., Path]
Run = Callable[..., Any]

GOOD = {"attic_tech_id": "1", "estimate_name": "Attic", "final_price": "10"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param({"final_price": "NaN"}, "'final_price' cannot be imported: it is not a number", id="not-a-number"),
        pytest.param(
            {"final_price": "Infinity"}, "'final_price' cannot be imported: it is not a number", id="infinity"
        ),
        pytest.param({"final_price": "12,50"}, "'final_price' cannot be imported: it is not a number", id="comma"),
        pytest.param({"final_price": "1e10"}, "'final_price' cannot be imported: it is too large", id="out-of-range"),
        pytest.param({"labor_hours": "two"}, "'labor_hours' cannot be imported: it is not a number", id="word"),
        pytest.param({"attic_tech_id": "A-7"}, "'attic_tech_id' cannot be imported: it is not an integer", id="id"),
        pytest.param(
            {"attic_tech_id": "9" * 20}, "'attic_tech_id' cannot be imported: it is not an integer", id="big-id"
        ),
        pytest.param(
            {"at_updated_at": "16/10/2025"}, "'at_updated_at' cannot be imported: it is not a date", id="date"
        ),
        pytest.param(
            {"at_updated_at": "infinity"}, "'at_updated_at' cannot be imported: it is not a date", id="infinity"
        ),
    ],
)
def test_a_broken_value_stops_the_run_and_is_named_by_its_row_but_not_shown(
    values: dict[str, str],
    words: str,
    snake_case: Callable[..., None],
    mapping_file: MappingFile,
    run_import: Run,
    query: Query,
) -> None:
    snake_case(GOOD, {"attic_tech_id": "2", "client_name": "Zoë Quill"} | values)
    mapping = str(mapping_file())

    stopped = run_import("run", "--mapping", mapping)
    skipping = run_import("run", "--mapping", mapping, "--skip-broken")

    assert (stopped.returncode, skipping.returncode) == (1, 0)
    assert words in stopped.stdout
    assert "Old ids: 2." in stopped.stdout
    assert "Zoë" not in stopped.stdout
    assert stopped.stdout.splitlines()[-1].startswith("Nothing was imported: 1 row broken.")
    assert skipping.stdout.splitlines()[-1].endswith("1 broken row skipped.")
    assert query("SELECT attic_tech_estimate_id FROM botzilla.estimate") == [1]


def test_signs_around_a_number_can_be_stripped(
    snake_case: Callable[..., None], mapping_file: MappingFile, run_import: Run, query: Query
) -> None:
    snake_case(GOOD | {"final_price": "$ 1,234.50"})
    mapping = mapping_file(correct={'column = "final_price"': 'column = "final_price", strip = "$, "'})

    run_import("run", "--mapping", str(mapping))

    assert query("SELECT final_price::text FROM botzilla.estimate") == ["1234.50"]


def test_rows_without_an_id_of_attic_tech_are_left_out_and_counted(
    snake_case: Callable[..., None], mapping_file: MappingFile, run_import: Run, query: Query
) -> None:
    snake_case(GOOD, {"estimate_name": "Typed in"}, {"attic_tech_id": " "})

    done = run_import("run", "--mapping", str(mapping_file()))

    assert done.returncode == 0
    assert "- 2 rows without an id of Attic Tech: left out. Old ids: 2, 3." in done.stdout
    assert query("SELECT count(*) FROM botzilla.estimate") == [1]


def test_of_several_rows_for_one_estimate_the_newest_counts_and_all_are_mapped(
    snake_case: Callable[..., None], mapping_file: MappingFile, run_import: Run, query: Query
) -> None:
    snake_case(
        GOOD | {"estimate_name": "old", "at_updated_at": "2025-10-01"},
        GOOD | {"estimate_name": "new", "at_updated_at": "2025-10-02T00:00:00+00:00"},
        GOOD | {"estimate_name": "undated"},
    )

    done = run_import("run", "--mapping", str(mapping_file()))

    assert "1 estimate in more than one row: the newest counts, 2 rows besides." in done.stdout
    assert "Attic Tech id 1: rows 2, 1, 3" in done.stdout
    assert query("SELECT name FROM botzilla.estimate") == ["new"]
    assert query("SELECT count(*), count(DISTINCT estimate_id) FROM botzilla.imported_estimate") == [(3, 1)]


def test_times_that_lie_ahead_are_pointed_out(
    snake_case: Callable[..., None], mapping_file: MappingFile, run_import: Run
) -> None:
    snake_case(GOOD | {"at_updated_at": "2999-01-01"})

    plan = run_import("plan", "--mapping", str(mapping_file()))

    assert "- 1 row with an at_updated_date that lies ahead" in plan.stdout


def test_names_that_need_quotes_are_imported(mapping_file: MappingFile, run_import: Run, query: Query) -> None:
    table = r'"the old; one"."est ""100%"""'
    columns = '"№" uuid PRIMARY KEY, "Attic_Tech_ID" bigint, "Name" text'
    row = "'00000000-0000-0000-0000-000000000001', 7, 'Attic %s'"
    query(f'CREATE SCHEMA "the old; one"; CREATE TABLE {table} ({columns})')
    query(f"INSERT INTO {table} VALUES ({row})")  # noqa: S608 - the two lines above

    done = run_import("run", "--mapping", str(mapping_file("--table", 'the old; one.est "100%"')))

    assert done.returncode == 0, done.stderr
    assert query("SELECT attic_tech_estimate_id, name FROM botzilla.estimate") == [(7, "Attic %s")]
    assert query("SELECT old_id FROM botzilla.imported_estimate") == ["00000000-0000-0000-0000-000000000001"]


def test_a_mapping_that_names_what_does_not_exist_gets_all_its_faults_at_once(
    snake_case: Callable[..., None], run_import: Run
) -> None:
    snake_case(GOOD)
    mapping = """
        old = {schema = "public", table = "estimate", id = "number"}
        columns.attic_tech_estimate_id = {column = "attic_tech_id"}
        columns.name = {column = "title"}
        columns.branch_name = {column = "branch", table = "branches"}
        columns.status_name = {column = "status", table = "estimate", key = "id", value = "label"}
    """

    done = run_import("plan", "--mapping", "-", stdin=mapping)

    assert done.returncode == 2
    assert [line.strip() for line in done.stderr.splitlines()] == [
        "The mapping cannot be used:",
        "- old.id: public.estimate has no column number",
        "- columns.name: public.estimate has no column title",
        "- columns.branch_name: there is no table public.branches",
        "- columns.status_name: public.estimate has no column label",
    ]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        pytest.param("SELECT", "no table is called estimate or estimates", id="none"),
        pytest.param(
            "CREATE TABLE estimate (id int PRIMARY KEY); CREATE TABLE estimates (id int PRIMARY KEY)",
            "more than one table may be meant: public.estimate, public.estimates",
            id="two",
        ),
        pytest.param("CREATE TABLE estimates (number int)", "neither a primary key of one column nor", id="no-key"),
    ],
)
def test_a_table_that_cannot_be_found_out_has_to_be_named(
    statement: str, words: str, run_import: Run, query: Query
) -> None:
    query(statement)

    done = run_import("inspect")

    assert done.returncode == 2
    assert words in done.stderr


def test_an_error_names_the_database_that_has_it(
    database_url: str, snake_case: Callable[..., None], mapping_file: MappingFile, run_import: Run, query: Query
) -> None:
    snake_case(GOOD)
    mapping = str(mapping_file())
    run_import("run", "--mapping", mapping)
    query("ALTER TABLE botzilla.estimate ADD CHECK (attic_tech_estimate_id <> 3)")
    query("INSERT INTO estimate (id, attic_tech_id) VALUES (3, '3')")
    # The same database by another URL.
    old_url = f"{database_url}&application_name=old"

    ours = run_import("run", "--mapping", mapping, OLD_DATABASE_URL=old_url)
    query("ALTER TABLE estimate ALTER branch TYPE int USING 1")
    text = (
        Path(mapping)
        .read_text()
        .replace('"branch"', '"branch", table = "estimate", value = "estimate_name", key = "status"')
    )
    theirs = run_import("run", "--mapping", "-", stdin=text, OLD_DATABASE_URL=old_url)

    assert ours.stderr == (
        "The database in DATABASE_URL refuses: a value in it cannot be used, code 23514 "
        "(estimate, estimate_attic_tech_estimate_id_check).\n"
    )
    assert theirs.stderr.startswith("The database in OLD_DATABASE_URL refuses: operator does not exist")


def test_a_view_can_be_imported(mapping_file: MappingFile, run_import: Run, query: Query) -> None:
    query("CREATE VIEW estimates AS SELECT 5 AS id, 7 AS attic_tech_id")
    mapping = mapping_file()

    done = run_import("run", "--mapping", str(mapping))

    assert "# no primary key: check that id is different in each row" in mapping.read_text()
    assert done.returncode == 0, done.stderr
    assert query("SELECT old_id FROM botzilla.imported_estimate") == ["5"]


@pytest.mark.parametrize(
    ("select", "words"),
    [
        pytest.param(
            "SELECT 1 AS id, 7 AS attic_tech_id, note::int::text AS name FROM notes",
            "refuses: a value in it cannot be used, code 22P02.",
            id="a value that the view itself cannot read",
        ),
        pytest.param(
            "SELECT NULL::int AS id, 7 AS attic_tech_id, note AS name FROM notes",
            "old.id: id is empty in some rows of public.estimates",
            id="no id",
        ),
        pytest.param(
            "SELECT NULL::int AS id, NULL::int AS attic_tech_id, note AS name FROM notes",
            "old.id: id is empty in some rows of public.estimates",
            id="neither id",
        ),
    ],
)
def test_a_view_that_cannot_be_read_is_reported_without_its_values(
    select: str, words: str, mapping_file: MappingFile, run_import: Run, query: Query
) -> None:
    query("CREATE TABLE notes (note text); INSERT INTO notes VALUES ('Zoë Quill')")
    query(f"CREATE VIEW estimates AS {select}")

    done = run_import("run", "--mapping", str(mapping_file()))

    assert done.returncode == 2
    assert words in done.stderr
    assert "Zoë" not in done.stderr + done.stdout


def test_an_import_never_writes_into_old_tables_that_have_the_names_of_ours(
    mapping_file: MappingFile, run_import: Run, query: Query
) -> None:
    query("CREATE SCHEMA botzilla; CREATE TABLE botzilla.branch (id int)")
    query("CREATE TABLE botzilla.estimate (id int PRIMARY KEY, attic_tech_estimate_id int)")

    done = run_import("run", "--mapping", str(mapping_file()))

    assert done.returncode == 2
    assert done.stderr == (
        "DATABASE_SCHEMA names the schema of another program's tables (botzilla.branch, botzilla.estimate):"
        " choose a different one.\n"
    )


def test_a_proposal_without_the_id_of_attic_tech_is_written_but_not_called_done(run_import: Run, query: Query) -> None:
    query("CREATE TABLE estimates (id int PRIMARY KEY, name text, price text)")

    done = run_import("inspect")

    assert done.returncode == 1
    assert (
        '# required: the id that Attic Tech gave the estimate\n#attic_tech_estimate_id = { column = "" }' in done.stdout
    )


def test_an_old_database_elsewhere_is_only_read(
    database_url: str, run_import: Run, mapping_file: MappingFile, query: Query
) -> None:
    reader = f"reader_{urlsplit(database_url).path[-12:]}"
    query("CREATE TABLE estimates (id int PRIMARY KEY, attic_tech_id int); INSERT INTO estimates VALUES (1, 7)")
    query(f"CREATE ROLE {reader} LOGIN; GRANT USAGE ON SCHEMA public TO {reader}")
    old_url = urlsplit(database_url)._replace(query=f"{urlsplit(database_url).query}&user={reader}").geturl()
    database = f"ours_{urlsplit(database_url).path[-12:]}"

    refused = run_import("inspect", OLD_DATABASE_URL=old_url)
    query(f"GRANT SELECT ON estimates TO {reader}")
    query(f"CREATE DATABASE {database}")
    ours = urlsplit(database_url)._replace(path=f"/{database}").geturl()
    mapping = str(mapping_file(OLD_DATABASE_URL=old_url, DATABASE_URL=ours))
    done = run_import("run", "--mapping", mapping, OLD_DATABASE_URL=old_url, DATABASE_URL=ours)
    query(f"DROP DATABASE {database} WITH (FORCE)")
    query(f"DROP OWNED BY {reader}; DROP ROLE {reader}")

    assert refused.returncode == 2
    assert "public.estimates cannot be read by this user: grant USAGE on its schema and SELECT on it" in refused.stderr
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].split() == ["1", "new"]
    assert query("SELECT count(*) FROM pg_namespace WHERE nspname = 'botzilla'") == [0]


def test_a_sync_never_writes_into_old_tables_that_have_the_names_of_ours(
    sample: RunningSample, fill: Callable[..., list[Record]], jobs: Any, query: Query
) -> None:
    fill(3)
    query("""
        CREATE SCHEMA botzilla;
        CREATE TABLE botzilla.branch (id serial PRIMARY KEY, name text, address text);
        CREATE TABLE botzilla.estimate (id serial PRIMARY KEY, attic_tech_estimate_id int, name text, branch_id int);
    """)

    job = jobs.run(sample)
    other = jobs.run(sample, DATABASE_SCHEMA="estimatesync")

    assert job.result.error.message.startswith(
        "PostgreSQL refuses the sync: the tables in schema botzilla are not this program's."
    )
    assert "Choose another DATABASE_SCHEMA" in job.result.error.message
    assert query("SELECT count(*) FROM botzilla.branch UNION ALL SELECT count(*) FROM botzilla.estimate") == [0, 0]
    assert query("SELECT relname FROM pg_class WHERE relnamespace = 'botzilla'::regnamespace AND relkind = 'r'") == [
        "branch",
        "estimate",
    ]
    assert other.lines[-1] == "✅ Background synchronization finished. New: 3, Updated: 0."


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        pytest.param({"DATABASE_URL": ""}, "DATABASE_URL is not set", id="missing"),
        pytest.param({"DATABASE_URL": "mysql://u:hunter2@h/d"}, "DATABASE_URL must start with", id="other"),
        pytest.param(
            {"OLD_DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/d"},
            "The database in OLD_DATABASE_URL cannot be used: it cannot be reached",
            id="unreachable",
        ),
        pytest.param(
            {"OLD_DATABASE_URL": "postgresql://u:hunter2@h/d?oops=1"},
            "OLD_DATABASE_URL cannot be used: parameter 1 after the ? is none",
            id="malformed",
        ),
        pytest.param(
            {"OLD_DATABASE_URL": "postgresql://u:hunter2@old..test/d"},
            "OLD_DATABASE_URL cannot be used: it names a host that can have no address",
            id="no host",
        ),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(
    environment: dict[str, str], words: str, run_import: Run
) -> None:
    done = run_import("inspect", **environment)

    assert done.returncode == 2
    assert words in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
