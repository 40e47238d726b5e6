"""Syncs of changes on real tables: which earlier sync they rest on, what they ask for, and what they say about it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
import pytest
from estimatesync_contract.spec import Mode
from estimatesync_contract.timestamps import format_timestamp
from estimatesync_job.core.base import MAX_PARTIAL
from sample_attic_tech import Request, Response, RunningSample
from sample_attic_tech.listing import parse_find_query

Fill = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[Any]]
BROKEN = {"final_price": "a lot"}


@pytest.fixture
def change(sample: RunningSample, read_clock: Callable[[], datetime]) -> Callable[..., None]:
    """Change an estimate now."""

    def update(record_id: int, **fields: Any) -> None:
        sample.store.update(record_id, {"updatedAt": format_timestamp(read_clock()), **fields})

    return update


@pytest.fixture
def run(jobs: Any, sample: RunningSample) -> Iterator[Callable[..., Any]]:
    """Run a sync of changes; it must succeed."""

    def run_once(**changes: str) -> Any:
        job = jobs.run(sample, **{"SYNC_MODE": "Changes", "SYNC_MAX_SKIPPED_PERCENT": "5"} | changes)
        assert job.process.returncode == 0, job.output
        return job

    return run_once


def count_requests(sample: RunningSample, run: Callable[..., Any], **changes: str) -> tuple[int, Any]:
    before = len(sample.requests)
    job = run(**changes)
    return len(sample.requests) - before, job


def test_a_quiet_night_is_three_requests_and_rewrites_no_row(
    sample: RunningSample, fill: Fill, run: Callable[..., Any], query: Query
) -> None:
    fill(1609)
    first = run()
    versions = "SELECT id, xmin::text, ctid::text FROM botzilla.estimate ORDER BY id"
    before = query(versions)

    requests, job = count_requests(sample, run, SYNC_START_DATE="2025-01-02", SYNC_END_DATE="2025-10-17")

    assert first.result.mode is Mode.WHOLE
    assert first.result.whole_because == "no sync of the last two weeks has read these days from the first one on"
    assert (job.result.mode, job.result.whole_because) == (Mode.CHANGES, None)
    # A few estimates must be shown in any case, and those that are not shown in full may be.
    ((again, witnesses),) = query(
        "SELECT cardinality(ask_again), cardinality(witnesses) FROM botzilla.sync_run WHERE mode = 'Changes'"
    )
    assert (again, witnesses, requests, job.result.pages) == (MAX_PARTIAL, 7, 3, 2)
    assert job.result.results.total_fetched == job.result.results.unchanged_estimates == again + witnesses
    assert job.result.complete_as_of >= first.result.complete_as_of
    assert query(versions) == before
    assert "Asking only for what has changed since" in job.output


def test_changes_are_stored_on_top_through_a_chain(
    fill: Fill, run: Callable[..., Any], change: Callable[..., None], query: Query
) -> None:
    records = fill(300)
    whole = run(SYNC_MODE="Whole")
    (asked,) = query("SELECT witnesses || ask_again FROM botzilla.sync_run")
    records = [record for record in records if record["id"] not in asked]
    bases = [whole.uid]
    for number in range(3):
        change(records[number]["id"], crew_notes=f"changed {number}")

        job = run(SYNC_START_DATE=f"2025-01-0{number + 2}")

        assert job.result.mode is Mode.CHANGES
        # What has changed within the overlap is asked for again.
        assert job.result.results.total_fetched == job.result.results.updated_estimates == len(asked) + number + 1
        assert job.result.results.unchanged_estimates == len(asked) + number
        bases.append(job.uid)

    assert whole.result.mode is None
    assert query("SELECT base_uid FROM botzilla.sync_run ORDER BY complete_as_of, committed_at") == [None, *bases[:-1]]
    assert query("SELECT DISTINCT whole_uid FROM botzilla.sync_run") == [whole.uid]
    assert query("SELECT crew_notes FROM botzilla.estimate WHERE crew_notes LIKE 'changed %' ORDER BY 1") == [
        f"changed {number}" for number in range(3)
    ]


@pytest.mark.parametrize(
    ("statement", "changes", "why"),
    [
        (
            "SELECT",
            {"SYNC_START_DATE": "2024-12-31"},
            "no sync of the last two weeks has read these days from the first one on",
        ),
        ("SELECT", {"SYNC_SELECT_FIELDS": "true"}, "the settings or the version of this program have changed"),
        ("UPDATE botzilla.sync_run SET uid = 'another', whole_uid = 'another'", {}, "the version of this program"),
        (
            "UPDATE botzilla.sync_run SET committed_at = committed_at - interval '6 days 13 hours'",
            {},
            "the last sync of the whole range is a week old",
        ),
        ("UPDATE botzilla.sync_run SET whole_uid = 'gone'", {}, "the last sync of the whole range is a week old"),
        (
            "UPDATE botzilla.sync_run SET no_base_because = 'the ids were no numbers'",
            {},
            "of sync est-20251016-140900000-k3x9q, the ids were no numbers",
        ),
        ("UPDATE botzilla.sync_run SET range_start = NULL", {}, "no sync of the last two weeks has read these days"),
        (
            "UPDATE botzilla.sync_run SET complete_as_of = complete_as_of + interval '1 hour'",
            {},
            "Attic Tech's clock has been set back",
        ),
    ],
    ids=[
        "other-days",
        "other-fields",
        "another-digest",
        "old",
        "without-its-whole-one",
        "obstacle",
        "old-row",
        "clock",
    ],
)
def test_what_cannot_be_rested_on_is_named_and_everything_is_read(
    fill: Fill,
    run: Callable[..., Any],
    query: Query,
    statement: str,
    changes: dict[str, str],
    why: str,
) -> None:
    fill(150)
    run(SYNC_MODE="Whole")
    query(statement)

    job = run(**changes)

    assert job.result.mode is Mode.WHOLE
    assert why in job.result.whole_because
    assert f"Asking for the whole range: {job.result.whole_because}" in job.output
    assert job.result.results.total_fetched == 150
    assert query("SELECT whole_because FROM botzilla.sync_run WHERE uid = %s", job.uid) == [job.result.whole_because]
    assert run(**changes).result.mode is Mode.CHANGES


def test_the_newest_base_that_serves_is_taken(fill: Fill, run: Callable[..., Any], query: Query) -> None:
    """Whatever other days have been synced since."""
    fill(50)
    _, newer = run(SYNC_MODE="Whole"), run(SYNC_MODE="Whole")
    run(SYNC_MODE="Whole", SYNC_START_DATE="2025-10-01")

    job = run()

    assert query("SELECT base_uid FROM botzilla.sync_run WHERE uid = %s", job.uid) == [newer.uid]


def test_days_that_ended_before_the_base_did_are_no_base_for_later_ones(fill: Fill, run: Callable[..., Any]) -> None:
    fill(50)
    run(SYNC_MODE="Whole", SYNC_END_DATE="2025-10-10")

    assert run(SYNC_END_DATE="2025-10-10").result.mode is Mode.CHANGES
    assert run().result.mode is Mode.WHOLE


def test_broken_estimates_are_asked_for_again_until_they_are_corrected(
    sample: RunningSample, fill: Fill, run: Callable[..., Any], query: Query
) -> None:
    """A correction of what an estimate leads to does not touch its stamp."""
    records = fill(150)
    for record in records[:3]:
        sample.store.update(record["id"], BROKEN)
    run(SYNC_MODE="Whole")

    still = run()
    sample.store.update(records[0]["id"], {"final_price": 12})
    corrected = run()
    again = run()

    assert [job.result.mode for job in (still, corrected, again)] == [Mode.CHANGES] * 3
    skipped = [set(job.result.skipped_ids) for job in (still, corrected, again)]
    ids = [str(record["id"]) for record in records[:3]]
    assert skipped == [set(ids), set(ids[1:]), set(ids[1:])]
    assert query("SELECT final_price FROM botzilla.estimate WHERE attic_tech_estimate_id = %s", records[0]["id"]) == [
        12
    ]


def test_more_broken_estimates_than_can_be_asked_for_have_everything_read(
    sample: RunningSample, fill: Fill, run: Callable[..., Any]
) -> None:
    for record in fill(80)[:51]:
        sample.store.update(record["id"], BROKEN)

    runs = [run(SYNC_MAX_SKIPPED_PERCENT="90") for _ in range(2)]

    assert {job.result.mode for job in runs} == {Mode.WHOLE}
    assert "51 broken estimates would have to be asked for again" in runs[1].result.whole_because


def test_a_single_change_that_is_broken_is_measured_by_all_estimates(
    fill: Fill, run: Callable[..., Any], change: Callable[..., None]
) -> None:
    records = fill(100)
    run(SYNC_MODE="Whole")
    change(records[5]["id"], **BROKEN)

    job = run()

    assert (job.result.mode, job.result.skipped_ids) == (Mode.CHANGES, (str(records[5]["id"]),))


def test_an_import_under_new_ids_with_old_stamps_is_found(
    sample: RunningSample, fill: Fill, run: Callable[..., Any], query: Query
) -> None:
    records = fill(120)
    run(SYNC_MODE="Whole")
    stamp = format_timestamp(datetime(2025, 3, 1, tzinfo=UTC))
    highest = max(record["id"] for record in records)
    for number in range(1, 6):
        sample.store.insert({**records[0], "id": highest + number, "createdAt": stamp, "updatedAt": stamp})

    job = run()

    assert (job.result.mode, job.result.results.new_estimates) == (Mode.CHANGES, 5)
    assert query("SELECT count(*) FROM botzilla.estimate") == [125]


def test_a_column_that_few_records_leave_out_is_no_reason_to_forget_it(
    sample: RunningSample, fill: Fill, run: Callable[..., Any], change: Callable[..., None], query: Query
) -> None:
    """It is none where other records show it. Where none does, only all records tell."""
    records = [record for record in fill(100) if record.get("crew_notes")]
    run(SYNC_MODE="Whole")
    changed = records[0]["id"]
    sample.store.delete(changed)
    left = {name: value for name, value in records[0].items() if name != "crew_notes"}
    sample.store.insert(left)
    change(changed)

    job = run()

    assert job.result.mode is Mode.CHANGES
    assert query("SELECT crew_notes FROM botzilla.estimate WHERE attic_tech_estimate_id = %s", changed) == [None]


Show = Callable[[Callable[[dict[str, Any]], dict[str, Any]]], None]


@pytest.fixture
def show(sample: RunningSample) -> Iterator[Show]:
    """Have the sample show its records in another form."""

    def change_documents(change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        def respond(request: Request) -> Response | None:
            if request.path != "/api/job-estimates":
                return None
            find = parse_find_query(request.query_string)
            found = sample.store.query(where=find.where, sort=find.sort, limit=find.limit, page=find.page)
            shown = [shown for record in found.docs if (shown := change(record)) is not None]
            body = msgspec.to_builtins(found) | {"docs": shown}
            return Response(headers={"Content-Type": "application/json"}, body=msgspec.json.encode(body))

        sample.on_request = respond

    yield change_documents
    sample.on_request = None


def insert_new(sample: RunningSample, records: list[dict[str, Any]], clock: datetime, count: int) -> list[int]:
    like = next(record for record in records if isinstance(record.get("branch"), dict) and record.get("crew_notes"))
    first, stamp = max(record["id"] for record in records) + 1, format_timestamp(clock)
    for number in range(first, first + count):
        sample.store.insert({**like, "id": number, "createdAt": stamp, "updatedAt": stamp})
    return list(range(first, first + count))


def test_a_night_in_which_the_account_sees_nothing_loses_no_change(
    sample: RunningSample, fill: Fill, run: Callable[..., Any], change: Callable[..., None], show: Show, jobs: Any,
    query: Query,
) -> None:  # fmt: skip
    edited = fill(60)[3]["id"]
    least = {"SYNC_MIN_ESTIMATES": "10"}
    run(SYNC_MODE="Whole", **least)
    change(edited, crew_notes="edited")
    show(lambda _: None)

    blind = jobs.run(sample, SYNC_MODE="Changes", **least)

    assert (blind.result.error.reason, blind.result.whole_because) == ("SourceEmpty", None)
    assert "which it showed before" in blind.output
    sample.on_request = None
    assert run(**least).result.mode is Mode.CHANGES
    assert query("SELECT crew_notes FROM botzilla.estimate WHERE attic_tech_estimate_id = %s", edited) == ["edited"]


def test_an_account_that_no_longer_sees_one_branch_has_everything_read(
    fill: Fill, run: Callable[..., Any], show: Show
) -> None:
    fill(300)
    run(SYNC_MODE="Whole")
    show(lambda record: None if "Sacramento" in str(record.get("branch")) else record)

    assert "which it showed before" in run().result.whole_because


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda record: record | {"branch": 7}, "in full"),
        (lambda record: {name: record[name] for name in record if name != "crew_notes"}, "shows crew_notes"),
    ],
    ids=["only-ids", "absent"],
)
def test_a_right_that_is_lost_shows_in_few_records(
    sample: RunningSample, fill: Fill, run: Callable[..., Any], show: Show, jobs: Any, query: Query,
    read_clock: Callable[[], datetime], change: Any, words: str,
) -> None:  # fmt: skip
    records = fill(300)
    run(SYNC_MODE="Whole")
    new = insert_new(sample, records, read_clock(), 12)
    show(change)

    job = jobs.run(sample, SYNC_MODE="Changes")

    assert job.result.error.reason == "FieldsUnshown"
    assert words in next(line for line in job.output.splitlines() if "Asking for the whole range" in line)
    sample.on_request = None
    run()
    nulls = "SELECT DISTINCT branch_id IS NULL OR crew_notes IS NULL FROM botzilla.estimate"
    assert query(f"{nulls} WHERE attic_tech_estimate_id = ANY(%s)", new) == [False]


def test_estimates_that_were_shown_in_part_are_asked_for_again(
    sample: RunningSample, fill: Fill, run: Callable[..., Any], show: Show, query: Query
) -> None:
    ids = [record["id"] for record in fill(150) if isinstance(record.get("branch"), dict)][:6]
    allowed = {"SYNC_MAX_UNSHOWN_PERCENT": "20"}
    show(lambda record: record | {"branch": 7} if record["id"] in ids else record)
    run(SYNC_MODE="Whole", **allowed)

    still = run(**allowed)
    sample.on_request = None
    again = run(**allowed)

    assert [still.result.mode, again.result.mode] == [Mode.CHANGES] * 2
    nulls = "SELECT count(*) FROM botzilla.estimate WHERE branch_id IS NULL AND attic_tech_estimate_id = ANY(%s)"
    assert query(nulls, ids) == [0]


def test_what_was_hidden_is_kept_where_it_now_seems_to_be_none(
    sample: RunningSample, fill: Fill, run: Callable[..., Any], change: Callable[..., None], show: Show, query: Query
) -> None:
    records = fill(100)
    for record in records:
        sample.store.update(record["id"], {"tax_details": {"final_price_after_taxes": 100}})
    allowed = {"SYNC_MAX_UNSHOWN_PERCENT": "100"}
    run(SYNC_MODE="Whole", **allowed)
    show(lambda record: record | {"tax_details": record.get("tax_details") and {"x": 1}})
    run(SYNC_MODE="Whole", **allowed)
    change(records[0]["id"], tax_details=None)

    assert run(**allowed).result.mode is Mode.CHANGES
    assert query("SELECT DISTINCT final_price_after_taxes FROM botzilla.estimate") == [100]


@pytest.mark.parametrize("between", ["other-settings", "old-image"])
def test_a_sync_by_other_rules_in_between_has_everything_read(
    fill: Fill, run: Callable[..., Any], query: Query, between: str
) -> None:
    fill(60)
    run(SYNC_MODE="Whole")
    run(SYNC_START_DATE="2025-10-01", SYNC_SELECT_FIELDS="true")
    if between == "old-image":
        query("UPDATE botzilla.sync_run SET settings_digest = NULL, was_alone = NULL WHERE start_date = '2025-10-01'")

    assert "has stored with other settings or another version" in run().result.whole_because
    assert run().result.mode is Mode.CHANGES


def test_syncs_that_cross_are_no_base(
    sample: RunningSample, fill: Fill, run: Callable[..., Any], query: Query, jobs: Any, database_url: str
) -> None:
    fill(40)
    with psycopg.connect(database_url) as holder:
        run(SYNC_MODE="Whole")
        holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('estimatesync merge botzilla', 0))")
        both = [jobs.start(sample, SYNC_MODE="Whole") for _ in range(2)]
        for job in both:
            job.wait_for("Saving")
    for job in both:
        job.wait()

    assert sorted(query("SELECT was_alone FROM botzilla.sync_run")) == [False, True, True]
    assert "was at work while another one stored its estimates" in run().result.whole_because
    assert run().result.mode is Mode.CHANGES


def test_a_run_that_was_recorded_in_the_future_is_no_base(fill: Fill, run: Callable[..., Any], query: Query) -> None:
    fill(40)
    run(SYNC_MODE="Whole")
    query("UPDATE botzilla.sync_run SET committed_at = committed_at + interval '1 year'")

    assert [run().result.mode for _ in range(2)] == [Mode.WHOLE, Mode.CHANGES]


def test_a_broken_estimate_whose_id_no_estimate_may_have_is_skipped(
    fill: Fill, run: Callable[..., Any], show: Show
) -> None:
    ids = sorted(record["id"] for record in fill(60))
    show(lambda record: record | {"id": 10**19} if record["id"] == ids[30] else record)

    first, second = run(), run()

    assert first.result.results.skipped_estimates == 1
    assert "1 broken estimates would have to be asked for again" in second.result.whole_because


def test_skipped_ones_are_measured_by_the_days_in_question(
    sample: RunningSample, fill: Fill, run: Callable[..., Any], change: Callable[..., None], jobs: Any
) -> None:
    """The base may have read many more."""
    records = sorted(fill(1000), key=lambda record: str(record["updatedAt"]))[-40:]
    run(SYNC_MODE="Whole", SYNC_START_DATE="2020-01-01")
    for record in records[:30]:
        change(record["id"], **BROKEN)

    job = jobs.run(sample, SYNC_MODE="Changes", SYNC_START_DATE=records[0]["updatedAt"][:10])

    assert job.result.error.reason == "RecordInvalid"


def test_heavy_estimates_are_read_in_pages_of_the_size_that_is_set(
    fill: Fill, run: Callable[..., Any], change: Callable[..., None]
) -> None:
    records = fill(60, padding_bytes=50_000)
    options = {"SYNC_PAGE_SIZE": "10", "SYNC_MAX_PAGE_MEGABYTES": "1"}
    run(SYNC_MODE="Whole", **options)
    for record in records[:40]:
        change(record["id"])

    assert run(**options).result.mode is Mode.CHANGES


def test_a_sync_that_has_committed_tells_another_process_how(fill: Fill, run: Callable[..., Any]) -> None:
    fill(50)
    run(SYNC_MODE="Whole")
    first = run()

    again = run(SYNC_UID=first.uid)

    assert "An earlier process of this sync has stored its estimates" in again.output
    assert (again.result.mode, again.result.results) == (first.result.mode, first.result.results)
