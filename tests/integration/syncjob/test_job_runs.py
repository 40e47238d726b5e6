"""The sync program from its environment to rows, log, result and exit code."""

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.status import Results
from estimatesync_contract.timestamps import format_timestamp
from estimatesync_job.core.rows import Row, map_record
from sample_attic_tech import Request, RunningSample, build_older_version

Fill = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[Any]]


def test_1609_estimates_of_which_1564_are_known_in_older_versions(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    records = fill(1609)
    for record in records[:1564]:
        sample.store.update(record["id"], build_older_version(record))
    for record in records[1564:]:
        sample.store.delete(record["id"])
    first = jobs.run(sample)
    for record in records[:1564]:
        sample.store.update(record["id"], record)
    for record in records[1564:]:
        sample.store.insert(record)

    job = jobs.run(sample)

    assert (first.process.returncode, job.process.returncode) == (0, 0)
    assert job.result.results == Results(
        total_fetched=1609,
        new_estimates=45,
        updated_estimates=1564,
        unchanged_estimates=0,
        total_processed=1609,
        previous_total_fetched=1564,
    )
    assert job.result.error is None
    assert job.lines[-1] == "✅ Background synchronization finished. New: 45, Updated: 1564."
    assert len(sample.requests) == 2 * (1 + 17 + 1) - 1
    prices = dict(query("SELECT attic_tech_estimate_id, final_price FROM botzilla.estimate"))
    assert prices == {
        record["id"]: None if record.get("final_price") is None else Decimal(str(record["final_price"]))
        for record in records
    }
    assert query("SELECT count(*) FROM botzilla.estimate WHERE first_sync_uid = %s", job.uid) == [45]


def test_a_second_sync_of_the_same_rewrites_no_row(jobs: Any, sample: RunningSample, fill: Fill, query: Query) -> None:
    fill(250)
    jobs.run(sample)
    versions = "SELECT id, xmin::text, ctid::text FROM botzilla.estimate ORDER BY id"
    before = query(versions)

    job = jobs.run(sample)

    assert job.result.results == Results(
        total_fetched=250,
        new_estimates=0,
        updated_estimates=250,
        unchanged_estimates=250,
        total_processed=250,
        previous_total_fetched=250,
    )
    assert query(versions) == before


def test_the_same_sync_again_reports_what_it_committed_and_asks_for_no_page(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    fill(120)
    first = jobs.run(sample)
    sample.requests.clear()

    again = jobs.run(sample, SYNC_UID=first.uid, ATTIC_TECH_PASSWORD="changed meanwhile")

    assert again.process.returncode == 0
    assert again.result.results == first.result.results
    assert [request.path for request in sample.requests if request.method == "GET"] == []
    assert query("SELECT uid, total_processed FROM botzilla.sync_run") == [(first.uid, 120)]


def test_the_log_reports_the_pages_in_order(jobs: Any, sample: RunningSample, fill: Fill) -> None:
    fill(25)

    job = jobs.run(sample, SYNC_PAGE_SIZE="10")

    assert job.lines[:4] == [
        "🔍 [SYNC] Starting estimate fetch process",
        "🔑 [SYNC] Logging in to Attic Tech...",
        "✅ [SYNC] Successfully logged in to Attic Tech",
        "🔍 [SYNC] Fetching page 1...",
    ]
    assert [line for line in job.lines if "complete. Total" in line] == [
        "✅ [SYNC] Page 1 complete. Total so far: 10",
        "✅ [SYNC] Page 2 complete. Total so far: 20",
        "✅ [SYNC] Page 3 complete. Total so far: 25",
    ]
    *_, as_of, _, _, _ = job.lines
    assert as_of.startswith("🔒 [SYNC] Nothing is missing up to 20")
    asking = "🔍 [SYNC] Asking what has changed meanwhile..."
    assert job.lines.count(asking) == 1
    # Responses to pages that were asked for beside the first one, in case there are so many, may come at any time.
    beside = (asking, "🔍 [SYNC] Response received for page")
    assert [line for line in job.lines if not line.startswith(beside)][-7:] == [
        "🔍 [SYNC] Page 3/3: 5 estimates",
        "🏁 [SYNC] Last page reached (5 < 10)",
        "✅ [SYNC] Page 3 complete. Total so far: 25",
        as_of,
        "🎉 [SYNC] Fetch complete! Total: 25 estimates",
        "💾 Saving estimates to the database...",
        "✅ Background synchronization finished. New: 25, Updated: 0.",
    ]
    for page in (1, 2, 3):
        story = [line for line in job.lines if f"page {page}" in line.lower()]
        assert [line.split("] ")[1].split(" ")[0] for line in story] == ["Fetching", "Response", "Page", "Page"]


def test_json_lines_carry_the_same_sentences(
    jobs: Any, sample: RunningSample, fill: Fill, decode: Callable[[str], Any]
) -> None:
    fill(5)

    job = jobs.run(sample, LOG_FORMAT="json", SYNC_CONCURRENCY="1")

    lines = [decode(line) for line in job.lines]
    assert lines[-1]["message"] == "✅ Background synchronization finished. New: 5, Updated: 0."
    assert {line["sync_id"] for line in lines} == {"est-20251016-140900000-k3x9q"}
    assert [line["action"] for line in lines] == [
        "starting", "logging_in", "logged_in", "fetching_page", "page_received", "page", "last_page",
        "asking_for_changes", "page_complete", "complete_as_of", "fetch_complete", "saving", "finished",
    ]  # fmt: skip


def test_only_the_range_is_asked_for_in_the_zone_of_the_user(jobs: Any, sample: RunningSample, query: Query) -> None:
    for number, updated_at in enumerate(
        ("2025-10-15T06:59:59.999Z", "2025-10-15T07:00:00.000Z", "2025-10-16T06:59:59.999Z", "2025-10-16T07:00:00.000Z")
    ):
        sample.store.insert({"id": number, "createdAt": "2025-01-01T00:00:00.000Z", "updatedAt": updated_at})

    job = jobs.run(
        sample, SYNC_START_DATE="2025-10-15", SYNC_END_DATE="2025-10-15", SYNC_TIME_ZONE="America/Los_Angeles"
    )

    assert job.process.returncode == 0
    assert query("SELECT attic_tech_estimate_id FROM botzilla.estimate ORDER BY 1") == [1, 2]


def test_a_range_without_estimates_is_a_success(jobs: Any, sample: RunningSample) -> None:
    job = jobs.run(sample)

    assert job.process.returncode == 0
    assert "🏁 [SYNC] Last page reached (0 < 100)" in job.lines
    assert job.result.results == Results()


def test_a_record_of_nulls_is_saved(jobs: Any, sample: RunningSample, fill: Fill, query: Query) -> None:
    (record,) = fill(1)
    sample.store.update(
        record["id"], {name: None for name in record if name not in {"id", "updatedAt"}} | {"branch": 7, "client": "6f"}
    )

    job = jobs.run(sample)

    assert job.process.returncode == 0
    assert query(
        "SELECT e.name, s.name, price, branch_id, customer_name FROM botzilla.estimate e"
        " JOIN botzilla.estimate_status s ON s.id = status_id"
    ) == [("Unnamed Estimate", "pending", None, None, None)]


def test_no_text_is_too_long_and_nul_is_dropped(jobs: Any, sample: RunningSample, fill: Fill, query: Query) -> None:
    (record,) = fill(1)
    # Hexadecimal digits of hashes do not compress: a B-tree index would refuse the name.
    endless = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(200))
    relation = {"id": 1, "name": endless}
    sample.store.update(
        record["id"],
        {"name": endless, "crew_notes": "a\0b\t\\N\n", "status": endless, "branch": relation, "user": relation},
    )

    first, second = jobs.run(sample), jobs.run(sample)

    assert (first.process.returncode, second.process.returncode) == (0, 0)
    assert second.result.results.unchanged_estimates == 1
    assert query(
        "SELECT e.name, crew_notes, b.name, p.name FROM botzilla.estimate e JOIN botzilla.branch b ON b.id = branch_id"
        " JOIN botzilla.sales_person p ON p.id = sales_person_id"
    ) == [(endless, "ab\t\\N", endless, endless)]


def test_what_postgresql_reads_is_what_the_mapping_has_read(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    values = [
        {
            "crew_notes": "\\N",
            "payment_method": "\\.",
            "true_cost": 1.005,
            "labor_hours": 0.000001,
            "client": {"phone": "{}"},
        },
        {"crew_notes": "a\r\n\tb\\", "true_cost": -1.005, "final_price": 999999999.995, "name": "NULL", "client": None},
        {"crew_notes": '"', "true_cost": 0, "retail_cost": "12.345", "labor_hours": 1e-7, "discount_provided": 1e9},
        {"crew_notes": "\b\v\f 🏠", "updatedAt": "2025-10-16T02:00:00+02:00", "createdAt": "2025-09-01", "name": None},
    ]
    records = [record | changed for record, changed in zip(fill(len(values)), values, strict=True)]
    for record in records:
        sample.store.update(record["id"], record)

    job = jobs.run(sample)

    assert job.process.returncode == 0
    rows = [map_record(msgspec.Raw(msgspec.json.encode(record))) for record in records]
    columns = [name for name in Row._fields if not name.endswith("_name") or name == "customer_name"]
    assert query(f"SELECT {', '.join(columns)} FROM botzilla.estimate ORDER BY attic_tech_estimate_id") == sorted(  # noqa: S608 - our own names
        tuple(getattr(row, column) for column in columns) for row in rows
    )


def test_of_an_estimate_that_comes_twice_the_newest_version_counts_once(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, read_clock: Callable[[], datetime]
) -> None:
    """It is edited when its page is asked for, and again when the closing pass asks what has changed."""
    edited = fill(30)[15]["id"]
    edits = {"2": "with its page", "of a pass": "with the pass"}

    def edit(request: Request) -> None:
        page = "of a pass" if "%5Bor%5D" in request.query_string else request.parameters.get("page", "")
        if name := edits.pop(page, None):
            sample.store.update(edited, {"name": name, "updatedAt": format_timestamp(read_clock())})

    sample.on_request = edit
    job = jobs.run(sample, SYNC_PAGE_SIZE="10")

    results = job.result.results
    assert (results.new_estimates, results.total_processed) == (30, 30)
    assert query("SELECT count(*), count(DISTINCT attic_tech_estimate_id) FROM botzilla.estimate") == [(30, 30)]
    assert query("SELECT name FROM botzilla.estimate WHERE attic_tech_estimate_id = %s", edited) == ["with the pass"]


def test_memory_does_not_grow_with_the_number_of_estimates(jobs: Any, sample: RunningSample, fill: Fill) -> None:
    peaks = []
    for count in (100, 2000):
        for record in sample.store.read_all():
            sample.store.delete(record["id"])
        fill(count, padding_bytes=20_000)
        job = jobs.start_fresh(sample, SYNC_PAGE_SIZE="20")
        _, status, usage = os.wait4(job.process.pid, 0)
        job.process.returncode = os.waitstatus_to_exitcode(status)
        peaks.append(usage.ru_maxrss / 1024)

    assert [job.process.returncode for job in jobs.started] == [0, 0]
    assert peaks[1] - peaks[0] < 12, peaks


def test_the_result_says_how_long_it_took_and_for_which_days(jobs: Any, sample: RunningSample) -> None:
    job = jobs.run(sample)

    assert job.result.seconds > 0
    assert (job.result.date_range.start.isoformat(), job.result.date_range.end.isoformat()) == (
        "2025-01-01",
        "2025-10-16",
    )


@pytest.mark.parametrize("path", ["/proc/no/such/directory/result", "/"])
def test_a_result_that_cannot_be_written_is_said_and_changes_nothing_else(
    jobs: Any, sample: RunningSample, fill: Fill, path: str
) -> None:
    fill(3)

    job = jobs.run(sample, TERMINATION_MESSAGE_PATH=path)

    assert job.process.returncode == 0
    assert job.lines[-2] == "✅ Background synchronization finished. New: 3, Updated: 0."
    assert f"The result cannot be written to {path}" in job.lines[-1]


def test_wrong_credentials_end_it_at_once(jobs: Any, sample: RunningSample, fill: Fill, query: Query) -> None:
    fill(3)

    job = jobs.run(sample, ATTIC_TECH_PASSWORD="not-this-one")

    assert job.process.returncode == 20
    assert job.lines[-1] == "❌ [SYNC] Login to Attic Tech failed: Invalid credentials"
    assert job.result.error.reason is Reason.LOGIN_FAILED
    assert job.result.error.message == "Login to Attic Tech failed: Invalid credentials"
    assert (job.result.error.retryable, job.result.results) == (False, Results())
    assert query("SELECT count(*) FROM botzilla.estimate") == [0]
    assert len(sample.requests) == 1


def test_a_record_that_cannot_be_stored_stores_nothing_at_all(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    fill(30)
    jobs.run(sample)
    before = query("SELECT attic_tech_estimate_id, name FROM botzilla.estimate ORDER BY 1")
    for record in sample.store.read_all():
        sample.store.update(record["id"], {"name": "changed"})
    # Created last, so it stands last.
    sample.store.insert(
        {"id": 99, "final_price": "a lot", "createdAt": "2025-10-16T14:00:00Z", "updatedAt": "2025-10-16T14:00:00Z"}
    )

    job = jobs.run(sample, SYNC_PAGE_SIZE="10")

    assert job.process.returncode == 20
    assert job.result.error.reason is Reason.RECORD_INVALID
    assert job.result.error.message == (
        "Record 1 on page 4 (id 99) cannot be stored: final_price is not a number."
        " Nothing was stored; correct the record in Attic Tech and sync again."
    )
    assert query("SELECT attic_tech_estimate_id, name FROM botzilla.estimate ORDER BY 1") == before


def test_missing_settings_are_all_named_and_nothing_is_asked(jobs: Any, sample: RunningSample) -> None:
    job = jobs.run(sample, ATTIC_TECH_EMAIL="", DATABASE_URL="", SYNC_TIME_ZONE="Mars/Olympus")

    assert job.process.returncode == 20
    assert job.result.error.reason is Reason.CONFIGURATION_INVALID
    for name in ("ATTIC_TECH_EMAIL", "DATABASE_URL", "SYNC_TIME_ZONE"):
        assert name in job.result.error.message
        assert name in job.lines[-1]
    assert sample.requests == []


def test_without_a_range_the_fault_is_in_the_log_and_no_result_is_made_up(jobs: Any, sample: RunningSample) -> None:
    job = jobs.run(sample, SYNC_START_DATE="")

    assert job.process.returncode == 20
    assert job.lines == [
        "❌ [SYNC] The sync cannot start: SYNC_START_DATE is not set: the program that starts the sync sets it."
    ]
    assert job.result is None


def test_an_edit_of_every_kind_is_found(jobs: Any, sample: RunningSample, query: Query) -> None:
    record = {
        "id": 1, "name": "a", "status": "sent", "createdAt": "2025-10-01T00:00:00Z",
        "updatedAt": "2025-10-01T00:00:00Z", "true_cost": 1,
        "retail_cost": 1, "final_price": 1, "sub_services_retail_cost": 1, "discount_provided": 1,
        "labor_hours": 1, "crew_notes": "a", "payment_method": "a", "tax_details": {"final_price_after_taxes": 1},
        "branch": {"name": "a"}, "user": {"name": "a"}, "property": {"address": "a", "client": None},
        "client": {"fullName": "a", "email": "a", "phone": "a"},
    }  # fmt: skip
    edits: list[dict[str, Any]] = [
        {"name": "b"}, {"status": "won"}, {"createdAt": "2025-10-02T00:00:00Z"}, {"updatedAt": "2025-10-02T00:00:00Z"},
        {"true_cost": 2}, {"retail_cost": 2}, {"final_price": 2}, {"sub_services_retail_cost": 2},
        {"discount_provided": 2}, {"labor_hours": 2}, {"crew_notes": None}, {"payment_method": "b"},
        {"tax_details": None}, {"branch": {"name": "b"}}, {"user": None},
        {"property": {"address": "b", "client": None}},
        {"client": {"fullName": "b", "email": "a", "phone": "a"}},
        {"client": {"fullName": "a", "email": "b", "phone": "a"}},
        {"client": {"fullName": "a", "email": "a", "phone": "b"}},
    ]  # fmt: skip
    for number in range(len(edits)):
        sample.store.insert(record | {"id": number})
    jobs.run(sample)
    for number, edit in enumerate(edits):
        sample.store.update(number, edit)

    job = jobs.run(sample)

    assert job.result.results.unchanged_estimates == 0
    assert query("SELECT count(*) FROM botzilla.estimate WHERE last_sync_uid = %s", job.uid) == [len(edits)]
    assert query("SELECT at_created_date FROM botzilla.estimate WHERE attic_tech_estimate_id = 2") == [
        datetime(2025, 10, 2, tzinfo=UTC)
    ]


def test_an_older_version_never_replaces_a_newer_one(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, database_url: str
) -> None:
    """Another sync has read later, and merges while this one waits to."""
    (record,) = fill(1)
    jobs.run(sample)
    sample.store.update(record["id"], build_older_version(record) | {"name": "older"})
    with psycopg.connect(database_url, options="-c search_path=botzilla") as another:
        another.execute("SELECT pg_advisory_xact_lock(hashtextextended('estimatesync merge ' || current_schema(), 0))")
        job = jobs.start(sample)
        job.wait_for("Saving estimates to the database")
        another.execute(
            "UPDATE estimate SET name = 'newer', last_synced_at = statement_timestamp(), last_sync_uid = 'x'"
        )
    job.wait()

    assert job.result.results.unchanged_estimates == 1
    assert query("SELECT name FROM botzilla.estimate") == ["newer"]


def test_what_is_read_later_is_stored_though_its_stamp_is_older(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    """The clock of the server where it was edited last is behind, or that of the one before was ahead."""
    (record,) = fill(1)
    jobs.run(sample)
    sample.store.update(record["id"], build_older_version(record) | {"name": "edited later"})

    job = jobs.run(sample)

    assert (job.result.results.updated_estimates, job.result.results.unchanged_estimates) == (1, 0)
    assert query("SELECT name FROM botzilla.estimate") == ["edited later"]
