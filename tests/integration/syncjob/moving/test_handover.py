"""The SQL for an administrator: other tables point at our estimates, and readers of the old table read ours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from estimatesync_job.rows import Row
from sample_attic_tech import Record, RunningSample

Query = Callable[..., list[Any]]
Run = Callable[..., Any]

READ = (
    'SELECT "id", "name", "branchId", "statusId", "trueCost", "finalPrice", "colour of the roof" FROM crm."estimates"'
)


@pytest.mark.parametrize("options", [pytest.param(["--keep-ids"], id="kept-ids"), pytest.param([], id="new-ids")])
def test_tables_and_readers_of_the_old_one_go_on(
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

    script = run_import("handover", "--mapping", mapping, *(["--kept-ids"] if options else []))
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


def test_between_two_databases_there_is_nothing_to_write(run_import: Run) -> None:
    done = run_import("handover", "--mapping", "-", OLD_DATABASE_URL="postgresql://127.0.0.1:1/elsewhere")

    assert done.returncode == 2
    assert "No foreign key and no view reaches from one database into another" in done.stderr
