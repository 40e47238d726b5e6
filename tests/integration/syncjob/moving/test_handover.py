"""The SQL for an administrator: other tables point at our estimates, and readers of the old table read ours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from estimatesync_job.core.rows import Row
from sample_attic_tech import Record, RunningSample

Query = Callable[..., list[Any]]
Run = Callable[..., Any]

READ = (
    'SELECT "id", "name", "branchId", "statusId", "trueCost", "finalPrice", "colour of the roof" FROM crm."estimates"'
)


@pytest.mark.parametrize("options", [pytest.param(["--keep-ids"], id="kept-ids"), pytest.param([], id="new-ids")])
def test_tables_and_readers_of_the_old_one_continue(
    options: list[str],
    database_url: str,
    sample: RunningSample,
    fill: Callable[..., list[Record]],
    camel_case: Callable[[list[Record]], list[Row]],
    mapping_file: Callable[..., Path],
    run_import: Run,
    jobs: Any,
    query: Query,
) -> None:
    camel_case(fill(30)[:20])
    query("""UPDATE crm."estimates" SET "id" = "id" + 500, "colour of the roof" = 'red ' || "id" """)
    query("""INSERT INTO crm."visits" ("estimateId", "note") SELECT "id", "atticTechId"::text FROM crm."estimates" """)
    before = query(f'{READ} ORDER BY "atticTechId"')
    mapping = str(mapping_file())
    run_import("run", "--mapping", mapping, *options)
    jobs.run(sample)

    script = run_import("handover", "--mapping", mapping)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(script.stdout.encode())

    assert script.returncode == 0, script.stderr
    noted = '"atticTechId" IN (SELECT "note"::int FROM crm."visits")'
    after = query(f'{READ} WHERE {noted} ORDER BY "atticTechId"')
    assert [row[1:] for row in after] == [row[1:] for row in before]
    assert [row[0] for row in after] == [row[0] for row in before] or not options
    assert query('SELECT count(*) FROM crm."estimates"') == [30]
    assert query(
        'SELECT count(*) FROM crm."visits" JOIN botzilla.estimate ON estimate.id = "estimateId"'
        ' WHERE attic_tech_estimate_id = "note"::int'
    ) == [20]
    query('DELETE FROM botzilla.estimate WHERE attic_tech_estimate_id = (SELECT min("note"::int) FROM crm."visits")')
    assert query('SELECT count(*) FROM crm."visits"') == [19]
    assert query('SELECT count(*) FROM crm."estimates_before_estimatesync"') == [20]


def test_rows_that_point_at_a_surplus_row_of_an_estimate_are_led_to_the_estimate(
    database_url: str, mapping_file: Callable[..., Path], run_import: Run, query: Query
) -> None:
    query("CREATE TABLE estimates (id int PRIMARY KEY, attic_tech_id int, note text)")
    query("CREATE TABLE visits (estimate_id int REFERENCES estimates ON DELETE SET NULL)")
    query("INSERT INTO estimates VALUES (10, 1, 'a'), (11, 1, 'b'), (12, 2, 'c')")
    query("INSERT INTO visits VALUES (10), (11), (12), (NULL)")
    mapping = str(mapping_file())
    run_import("run", "--mapping", mapping, "--keep-ids")

    script = run_import("handover", "--mapping", mapping)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(script.stdout.encode())

    assert query("SELECT id, attic_tech_id FROM estimates ORDER BY 1") == [(11, 1), (12, 2)]
    assert query("SELECT estimate_id FROM visits ORDER BY 1") == [11, 11, 12, None]


def test_ids_that_are_not_numbers_cannot_be_handed_over(
    mapping_file: Callable[..., Path], run_import: Run, query: Query
) -> None:
    query("CREATE TABLE estimates (id uuid PRIMARY KEY, attic_tech_id int)")

    done = run_import("handover", "--mapping", str(mapping_file()))

    assert done.returncode == 2
    assert "public.estimates.id is not a number" in done.stderr


def test_between_two_databases_there_is_nothing_to_write(run_import: Run) -> None:
    done = run_import("handover", "--mapping", "-", OLD_DATABASE_URL="postgresql://127.0.0.1:1/elsewhere")

    assert done.returncode == 2
    assert "The old table is in another database" in done.stderr
