"""Old tables become our estimates: all of it or nothing, as often as wanted, and the next sync knows them."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from estimatesync_job.adapters.migrations import read_sql
from estimatesync_job.core.rows import Row
from sample_attic_tech import Record, RunningSample

Query = Callable[..., list[Any]]
MappingFile = Callable[..., Path]
Run = Callable[..., Any]

OURS = (
    "SELECT attic_tech_estimate_id, name, final_price, at_updated_date, last_sync_uid FROM botzilla.estimate ORDER BY 1"
)


def test_the_first_sync_after_an_import_knows_its_estimates(
    sample: RunningSample,
    fill: Callable[..., list[Record]],
    camel_case: Callable[[list[Record]], list[Row]],
    mapping_file: MappingFile,
    run_import: Run,
    jobs: Any,
    query: Query,
) -> None:
    camel_case(fill(1609)[:1564])
    mapping = str(mapping_file())

    imported = run_import("run", "--mapping", mapping)
    synced = jobs.run(sample)

    assert (imported.returncode, imported.stdout.splitlines()[1].split()) == (0, ["1,564", "new"])
    assert synced.lines[-1] == "✅ Background synchronization finished. New: 45, Updated: 1564."
    assert query("SELECT count(*) FROM botzilla.estimate WHERE last_sync_uid LIKE 'import:%'") == [0]


def test_values_arrive_as_a_sync_would_have_stored_them(
    fill: Callable[..., list[Record]],
    camel_case: Callable[[list[Record]], list[Row]],
    mapping_file: MappingFile,
    run_import: Run,
    query: Query,
) -> None:
    rows = camel_case(fill(100))

    run_import("run", "--mapping", str(mapping_file()))

    columns = "attic_tech_estimate_id, customer_name, retail_cost, final_price, at_updated_date"
    names = "branch.name, sales_person.name, estimate_status.name"
    stored = query(
        f"SELECT {columns}, {names} FROM botzilla.estimate"  # noqa: S608 - the columns above
        " LEFT JOIN botzilla.branch ON branch.id = branch_id"
        " LEFT JOIN botzilla.sales_person ON sales_person.id = sales_person_id"
        " LEFT JOIN botzilla.estimate_status ON estimate_status.id = status_id ORDER BY 1"
    )
    expected = [
        (
            *(row.attic_tech_estimate_id, row.customer_name, row.retail_cost, row.final_price, row.at_updated_date),
            *(row.branch_name, row.sales_person_name, row.status_name),
        )
        for row in sorted(rows)
    ]
    assert stored == expected


def test_a_second_run_finds_everything_unchanged(
    fill: Callable[..., list[Record]],
    camel_case: Callable[[list[Record]], list[Row]],
    mapping_file: MappingFile,
    run_import: Run,
    query: Query,
) -> None:
    camel_case(fill(50))
    mapping = str(mapping_file())
    run_import("run", "--mapping", mapping)
    before = query("SELECT * FROM botzilla.estimate ORDER BY id")

    again = run_import("run", "--mapping", mapping)

    assert "50 unchanged" in again.stdout
    assert query("SELECT * FROM botzilla.estimate ORDER BY id") == before
    assert query("SELECT count(*), count(DISTINCT estimate_id) FROM botzilla.imported_estimate") == [(50, 50)]


def test_a_corrected_mapping_corrects_what_was_imported_before(
    snake_case: Callable[..., None], mapping_file: MappingFile, run_import: Run, query: Query
) -> None:
    snake_case({"attic_tech_id": "7", "discount": 1250})
    mapping = mapping_file()
    run_import("run", "--mapping", str(mapping))

    text = mapping.read_text().replace('column = "discount", round = 0', 'column = "discount", divide_by = 100')
    again = run_import("run", "--mapping", "-", stdin=text)

    assert "1 changed" in again.stdout
    assert query("SELECT discount::text FROM botzilla.estimate") == ["12.50"]


@pytest.mark.parametrize(
    ("theirs", "ours", "writer", "final_price"),
    [
        pytest.param("2025-10-02", "2025-10-01", "a sync", "5.00", id="theirs-is-newer"),
        pytest.param("2025-10-01", "2025-10-02", "a sync", "9.00", id="ours-is-newer"),
        pytest.param("2025-10-01", "2025-10-01", "a sync", "9.00", id="as-new-and-ours-is-from-attic-tech-itself"),
        pytest.param("2025-10-01", "2025-10-01", "import:public.other", "5.00", id="as-new-and-ours-was-imported"),
        pytest.param("2025-10-01", "2025-10-02", "import:public.other", "9.00", id="ours-was-imported-and-is-newer"),
        pytest.param(None, "2025-10-01", "a sync", "9.00", id="theirs-has-no-date"),
    ],
)
def test_the_newer_version_stays(
    theirs: str | None,
    ours: str,
    writer: str,
    final_price: str,
    snake_case: Callable[..., None],
    mapping_file: MappingFile,
    run_import: Run,
    query: Query,
) -> None:
    row = {"attic_tech_id": "7", "estimate_name": "Attic", "final_price": "5", "status": "sold"}
    snake_case(row | {"at_updated_at": theirs})
    mapping = str(mapping_file("--table", "public.estimate"))
    run_import("run", "--mapping", mapping)
    query("UPDATE botzilla.estimate SET final_price = 9, at_updated_date = %s, last_sync_uid = %s", ours, writer)

    run_import("run", "--mapping", mapping)

    assert query("SELECT final_price::text FROM botzilla.estimate") == [final_price]


def test_a_sync_corrects_what_an_import_has_dated_wrongly(
    sample: RunningSample,
    fill: Callable[..., list[Record]],
    camel_case: Callable[[list[Record]], list[Row]],
    mapping_file: MappingFile,
    run_import: Run,
    jobs: Any,
    query: Query,
) -> None:
    rows = camel_case(fill(20))
    wrong_zone = {'time_zone = "UTC"': 'time_zone = "America/Los_Angeles"'}
    run_import("run", "--mapping", str(mapping_file(correct=wrong_zone)))

    jobs.run(sample)

    dates = query("SELECT attic_tech_estimate_id, at_updated_date FROM botzilla.estimate ORDER BY 1")
    assert dates == sorted((row.attic_tech_estimate_id, row.at_updated_date) for row in rows)


def test_columns_that_are_not_mapped_keep_what_a_sync_has_put_there(
    snake_case: Callable[..., None], mapping_file: MappingFile, run_import: Run, query: Query
) -> None:
    snake_case({"attic_tech_id": "7", "final_price": "5", "at_updated_at": "2025-10-02"})
    mapping = str(mapping_file("--table", "public.estimate"))
    run_import("run", "--mapping", mapping)
    query(
        "UPDATE botzilla.estimate SET crew_notes = 'Mind the dog', final_price = 1, at_updated_date = '2025-10-01',"
        " last_sync_uid = 'a sync'"
    )

    run_import("run", "--mapping", mapping)

    assert query("SELECT crew_notes, final_price::text FROM botzilla.estimate") == [("Mind the dog", "5.00")]


def test_ids_can_be_kept_so_that_other_tables_still_point_at_the_right_estimate(
    sample: RunningSample,
    fill: Callable[..., list[Record]],
    camel_case: Callable[[list[Record]], list[Row]],
    mapping_file: MappingFile,
    run_import: Run,
    jobs: Any,
    query: Query,
) -> None:
    camel_case(fill(30)[:20])
    query('UPDATE crm."estimates" SET "id" = "id" + 1000')

    kept = run_import("run", "--keep-ids", "--mapping", str(mapping_file()))
    jobs.run(sample)

    assert kept.stdout.splitlines()[-1] == "Imported. Each has the id of its old row."
    assert query(
        'SELECT count(*) FROM botzilla.estimate JOIN crm."estimates" AS old USING (id)'
        ' WHERE attic_tech_estimate_id = "atticTechId"'
    ) == [20]
    assert query("SELECT min(id) FROM botzilla.estimate WHERE first_sync_uid NOT LIKE 'import:%'") == [1021]


def test_ids_that_are_taken_are_not_kept_and_nothing_is_imported(
    sample: RunningSample,
    fill: Callable[..., list[Record]],
    camel_case: Callable[[list[Record]], list[Row]],
    mapping_file: MappingFile,
    run_import: Run,
    jobs: Any,
    query: Query,
) -> None:
    camel_case(fill(20))
    jobs.run(sample)
    query("DELETE FROM botzilla.estimate WHERE id <= 10")
    before = query(OURS)
    taken = query(
        'SELECT count(*) FROM crm."estimates" JOIN botzilla.estimate USING (id)'
        ' WHERE "atticTechId" NOT IN (SELECT attic_tech_estimate_id FROM botzilla.estimate)'
    )

    refused = run_import("run", "--keep-ids", "--mapping", str(mapping_file("--table", "crm.estimates")))

    assert refused.returncode == 2
    assert taken != [0]
    assert f"{taken[0]} old ids cannot be kept" in refused.stderr
    assert query(OURS) == before


def test_a_plan_says_what_the_run_will_do_and_leaves_no_trace(
    fill: Callable[..., list[Record]],
    camel_case: Callable[[list[Record]], list[Row]],
    mapping_file: MappingFile,
    run_import: Run,
    query: Query,
) -> None:
    camel_case(fill(10))
    mapping = str(mapping_file())

    plan = run_import("plan", "--mapping", mapping)

    assert plan.returncode == 0
    assert plan.stdout.splitlines()[1].split() == ["10", "new"]
    assert plan.stdout.splitlines()[-1] == "A plan: nothing was imported."
    assert query("SELECT count(*) FROM pg_namespace WHERE nspname = 'botzilla'") == [0]


def test_an_import_killed_in_the_middle_has_changed_nothing(
    database_url: str,
    fill: Callable[..., list[Record]],
    camel_case: Callable[[list[Record]], list[Row]],
    mapping_file: MappingFile,
    run_import: Run,
    query: Query,
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    camel_case(fill(20))
    mapping = str(mapping_file())
    query('CREATE TABLE crm.later AS SELECT * FROM crm."estimates"; DELETE FROM crm."estimates" WHERE "id" > 5')
    run_import("run", "--mapping", mapping)
    query('INSERT INTO crm."estimates" SELECT * FROM crm.later WHERE "id" > 5')
    before = query(OURS)

    # The map of the ids comes after the estimates: a wait for it comes after their insert.
    with psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE botzilla.imported_estimate IN EXCLUSIVE MODE")
        process = subprocess.Popen(
            [sys.executable, "-m", "estimatesync_import", "run", "--mapping", mapping],
            env={"PATH": os.environ["PATH"], "DATABASE_URL": database_url},
        )
        eventually(lambda: query("SELECT count(*) FROM pg_locks WHERE NOT granted") != [0])
        process.send_signal(signal.SIGKILL)
        process.wait(60)

    eventually(lambda: query("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%import'") == [0])
    assert query(OURS) == before
    assert len(before) == 5


def test_an_import_waits_for_the_merge_of_a_sync_and_sees_what_it_has_stored(
    database_url: str,
    snake_case: Callable[..., None],
    mapping_file: MappingFile,
    run_import: Run,
    query: Query,
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    snake_case({"attic_tech_id": "1", "estimate_name": "Attic"})
    mapping = str(mapping_file())
    run_import("run", "--mapping", mapping)
    query("INSERT INTO estimate (id, attic_tech_id, estimate_name) VALUES (2, '2', 'old name')")

    with psycopg.connect(database_url) as sync:
        sync.execute("SET search_path TO botzilla")
        sync.execute(read_sql("lock_merge"))
        sync.execute(
            "INSERT INTO estimate (attic_tech_estimate_id, name, status_id, first_synced_at, last_synced_at,"
            " first_sync_uid, last_sync_uid)"
            " SELECT 2, 'new name', status_id, now(), now(), 'a sync', 'a sync' FROM estimate"
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "estimatesync_import", "run", "--mapping", mapping],
            env={"PATH": os.environ["PATH"], "DATABASE_URL": database_url},
            stdout=subprocess.PIPE,
            text=True,
        )
        eventually(lambda: query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == [1])
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert [line.split()[0] for line in output.splitlines()[1:5]] == ["0", "0", "1", "1"]
    assert query("SELECT name FROM botzilla.estimate ORDER BY attic_tech_estimate_id") == ["Attic", "new name"]


def test_a_sync_of_changes_after_an_import_reads_everything(
    sample: RunningSample,
    fill: Callable[..., list[Record]],
    camel_case: Callable[[list[Record]], list[Row]],
    mapping_file: MappingFile,
    run_import: Run,
    jobs: Any,
) -> None:
    """What the import has got wrong has not changed at Attic Tech."""
    camel_case(fill(60))
    mapping = str(mapping_file())
    jobs.run(sample)

    imported = run_import("run", "--mapping", mapping)
    synced = [jobs.run(sample, SYNC_MODE="Changes").result for _ in range(2)]

    assert imported.returncode == 0
    assert "an import has written rows since" in synced[0].whole_because
    assert synced[1].whole_because is None
