"""What readers of the tables rely on: two views, the record of failed runs, and how a customer is erased."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from estimatesync_contract.causes import Reason
from sample_attic_tech import RunningSample

Fill = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[Any]]
PAGE = (Path(__file__).parents[3] / "docs" / "tables.md").read_text()
MONEY, TIME = "numeric(12,2)", "timestamp with time zone"
PROMISED = {
    "estimates": {
        "attic_tech_estimate_id": "bigint", "name": "text", "status": "text", "branch": "text", "sales_person": "text",
        "customer_name": "text", "customer_email": "text", "customer_phone": "text", "customer_address": "text",
        "price": MONEY, "retail_cost": MONEY, "final_price": MONEY, "sub_service_retail_cost": MONEY,
        "discount": MONEY, "final_price_after_taxes": MONEY, "attic_tech_hours": "numeric", "crew_notes": "text",
        "payment_method": "text", "at_created_date": TIME, "at_updated_date": TIME, "first_synced_at": TIME,
        "last_synced_at": TIME, "deleted_at": TIME,
    },
    "sync_runs": {
        "uid": "text", "sync_name": "text", "outcome": "text", "reason": "text", "message": "text",
        "start_date": "date", "end_date": "date", "ended_at": TIME, "complete_as_of": TIME, "total_fetched": "bigint",
        "new_estimates": "bigint", "updated_estimates": "bigint", "unchanged_estimates": "bigint",
        "skipped_estimates": "bigint", "unshown_estimates": "bigint", "total_processed": "bigint",
        "deleted_estimates": "bigint", "previous_total_fetched": "bigint",
    },
}  # fmt: skip
"""The first version of the contract: a column that is in here is never renamed, never removed, and keeps its type."""
COLUMNS = """
    SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum
"""
ERASED = """
    SELECT count(*) FROM botzilla.estimates
    WHERE name = 'erased' AND num_nulls(customer_name, customer_email, customer_phone, customer_address, crew_notes) = 5
"""


def read_columns(view: str) -> dict[str, str]:
    """Read the table of a view on the page."""
    section = PAGE.partition(f"## `{view}`\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", section, re.MULTILINE))


@pytest.mark.parametrize("view", PROMISED)
def test_a_view_keeps_its_columns_and_the_page_lists_all_of_them(
    jobs: Any, sample: RunningSample, query: Query, view: str
) -> None:
    jobs.run(sample)

    columns = dict(query(COLUMNS, f"botzilla.{view}"))

    assert columns.items() >= PROMISED[view].items()
    assert list(columns)[: len(PROMISED[view])] == list(PROMISED[view])
    assert read_columns(view) == columns


def test_an_estimate_is_one_row_with_the_names_of_what_it_refers_to(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    one, other, *_ = (record["id"] for record in fill(30))
    there = {"status": "Sold", "branch": {"id": 1, "name": "Austin"}, "user": {"id": 2, "name": "Sam"}}
    sample.store.update(one, there)
    sample.store.update(other, {"status": "Lost", "branch": None, "user": None})

    jobs.run(sample)

    columns = "attic_tech_estimate_id, status, branch, sales_person, deleted_at"
    rows = query(f"SELECT {columns} FROM botzilla.estimates WHERE attic_tech_estimate_id = ANY(%s)", [one, other])  # noqa: S608 - no input
    assert {*rows} == {(one, "Sold", "Austin", "Sam", None), (other, "Lost", None, None, None)}
    assert query("SELECT count(*) FROM botzilla.estimates") == [30]


def test_a_run_that_fails_is_on_record_and_its_successor_is_not_taken_for_done(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    fill(30)
    uid = {"SYNC_UID": "uid-a"}
    failed = jobs.run(sample, **uid, SYNC_MIN_ESTIMATES="31")
    before = query("SELECT count(*) FROM botzilla.estimate")

    jobs.run(sample, **uid)

    assert before == [0]
    error = failed.result.error
    runs = query("SELECT uid, outcome, reason, message, total_fetched FROM botzilla.sync_runs ORDER BY ended_at")
    assert runs == [
        ("uid-a", "Failed", Reason.SOURCE_EMPTY.value, error.message, 0),
        ("uid-a", "Succeeded", None, None, 30),
    ]


def test_a_failure_that_cannot_be_recorded_is_the_same_failure(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    fill(30)
    jobs.run(sample)
    query("ALTER TABLE botzilla.failed_run ADD CHECK (reason = 'none is good enough')")

    job = jobs.run(sample, SYNC_MIN_ESTIMATES="31")

    assert (job.process.returncode, job.result.error.reason) == (20, Reason.SOURCE_EMPTY)
    assert query("SELECT outcome FROM botzilla.sync_runs") == ["Succeeded"]


@pytest.mark.parametrize("newest", [pytest.param({}, id="good"), pytest.param({"SYNC_MIN_ESTIMATES": "1"}, id="bad")])
def test_a_run_removes_what_is_older_than_400_days_of_the_records_of_runs(
    jobs: Any, sample: RunningSample, query: Query, newest: dict[str, str]
) -> None:
    for number in range(2):
        jobs.run(sample, SYNC_ID=f"good-{number}")
        jobs.run(sample, SYNC_ID=f"bad-{number}", SYNC_MIN_ESTIMATES="1")
    for number, days in enumerate((399, 401)):
        query(
            "UPDATE botzilla.sync_run SET committed_at = now() - %s WHERE sync_name = %s",
            timedelta(days),
            f"good-{number}",
        )
        query(
            "UPDATE botzilla.failed_run SET failed_at = now() - %s WHERE sync_name = %s",
            timedelta(days),
            f"bad-{number}",
        )

    jobs.run(sample, SYNC_ID="newest", **newest)

    assert sorted(query("SELECT sync_name FROM botzilla.sync_runs")) == ["bad-0", "good-0", "newest"]


REFERS = "CREATE TABLE public.notes (uid text REFERENCES botzilla.sync_run {}); INSERT INTO public.notes VALUES ('old')"
REFUSES = (
    "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'kept'; END$$;"
    " CREATE TRIGGER keep BEFORE DELETE ON botzilla.{} FOR EACH ROW EXECUTE FUNCTION keep()"
)


@pytest.mark.parametrize(
    "obstacle",
    [
        pytest.param(REFERS.format(""), id="a reference"),
        pytest.param(REFERS.format("DEFERRABLE INITIALLY DEFERRED"), id="a reference that is looked at on commit"),
        pytest.param(REFUSES.format("sync_run"), id="a trigger on good runs"),
        pytest.param(REFUSES.format("failed_run"), id="a trigger on bad runs"),
    ],
)
def test_old_runs_that_somebody_keeps_hinder_no_sync(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, obstacle: str
) -> None:
    fill(30)
    jobs.run(sample, SYNC_UID="old")
    jobs.run(sample, SYNC_UID="old-bad", SYNC_MIN_ESTIMATES="31")
    query("UPDATE botzilla.sync_run SET committed_at = now() - interval '401 days'")
    query("UPDATE botzilla.failed_run SET failed_at = now() - interval '401 days'")
    query(obstacle)

    bad = jobs.run(sample, SYNC_UID="bad", SYNC_MIN_ESTIMATES="31")
    good = jobs.run(sample, SYNC_UID="good")

    assert (bad.result.error.reason, good.process.returncode) == (Reason.SOURCE_EMPTY, 0), good.output
    assert sorted(query("SELECT uid FROM botzilla.sync_runs")) == ["bad", "good", "old", "old-bad"]


@pytest.mark.usefixtures("no_tables")
def test_a_table_of_another_program_keeps_its_name_until_it_gives_way(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    fill(30)
    query("CREATE SCHEMA botzilla")
    query("CREATE TABLE botzilla.estimates (theirs text)")

    jobs.run(sample)

    assert dict(query(COLUMNS, "botzilla.estimates")) == {"theirs": "text"}
    assert query("SELECT total_fetched FROM botzilla.sync_runs") == [30]
    query("ALTER TABLE botzilla.estimates RENAME TO old_estimates")
    statement = re.search(r"`(DELETE FROM botzilla.sync_schema_version .*?)`", PAGE)
    assert statement
    query(statement[1])
    jobs.run(sample)
    assert query("SELECT count(*) FROM botzilla.estimates") == [30]
    assert [dict(query(COLUMNS, f"botzilla.{view}")) for view in PROMISED] == [read_columns(view) for view in PROMISED]


def test_no_migration_can_take_a_column_from_a_view(jobs: Any, sample: RunningSample, query: Query) -> None:
    jobs.run(sample)

    for change in ("DROP COLUMN discount", "ALTER COLUMN discount TYPE double precision"):
        with pytest.raises((psycopg.errors.DependentObjectsStillExist, psycopg.errors.FeatureNotSupported)):
            query(f"ALTER TABLE botzilla.estimate {change}")


def test_a_customer_who_is_erased_as_the_page_says_stays_erased_if_attic_tech_has_erased_him_too(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    fill(30)
    statement = re.search(r"```sql\n(.*?);\n```", PAGE, re.DOTALL)
    assert statement
    jobs.run(sample)
    (email,) = query("SELECT min(customer_email) FROM botzilla.estimates")
    ids = query("SELECT attic_tech_estimate_id FROM botzilla.estimates WHERE customer_email = %s", email)
    erase = statement[1].replace("sam@example.com", email.upper())

    query(erase)
    assert query(ERASED) == [len(ids)]
    jobs.run(sample)
    assert query(ERASED) == [0]

    for record in ids:
        sample.store.update(record, {"name": "erased", "crew_notes": None, "client": None, "property": None})
    query(erase)
    jobs.run(sample)
    assert query(ERASED) == [len(ids)]


def test_a_sync_that_read_a_customer_before_brings_him_back_so_the_page_lets_it_end_first(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, database_url: str, eventually: Callable[..., None]
) -> None:
    fill(30)
    statement = re.search(r"```sql\n(.*?);\n```", PAGE, re.DOTALL)
    assert statement
    jobs.run(sample)
    (email,) = query("SELECT min(customer_email) FROM botzilla.estimates")
    ids = query("SELECT attic_tech_estimate_id FROM botzilla.estimates WHERE customer_email = %s", email)
    erase = statement[1].replace("sam@example.com", email)
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

    with psycopg.connect(database_url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('estimatesync merge botzilla', 0))")
        job = jobs.start(sample)
        eventually(lambda: query(waiting) == [1])
        for record in ids:
            sample.store.update(record, {"name": "erased", "crew_notes": None, "client": None, "property": None})
        query(erase)
    assert job.wait() == 0
    assert query(ERASED) == [0]

    assert PAGE.index("Then wait until every sync has ended that began before you did") < PAGE.index(statement[0])
    query(erase)
    jobs.run(sample, SYNC_END_DATE="2099-01-01")
    assert query(ERASED) == [len(ids)]
