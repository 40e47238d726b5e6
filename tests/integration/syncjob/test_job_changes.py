"""Syncs of changes on real tables: which earlier sync they rest on, what they ask for, and what they say about it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from estimatesync_contract.spec import Mode
from estimatesync_contract.timestamps import format_timestamp
from sample_attic_tech import RunningSample

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


def test_a_quiet_night_is_two_requests_and_rewrites_no_row(
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
    assert (requests, job.result.results.total_fetched, job.result.pages) == (2, 0, 1)
    assert job.result.complete_as_of >= first.result.complete_as_of
    assert query(versions) == before
    assert "Asking only for what has changed since" in job.output


def test_changes_are_stored_on_top_through_a_chain(
    fill: Fill, run: Callable[..., Any], change: Callable[..., None], query: Query
) -> None:
    records = fill(300)
    whole = run(SYNC_MODE="Whole")
    bases = [whole.uid]
    for number in range(3):
        change(records[number]["id"], crew_notes=f"changed {number}")

        job = run(SYNC_START_DATE=f"2025-01-0{number + 2}")

        assert job.result.mode is Mode.CHANGES
        # What has changed within the overlap is asked for again.
        assert job.result.results.total_fetched == job.result.results.updated_estimates == number + 1
        assert job.result.results.unchanged_estimates == number
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
    """Whatever other days and settings have been synced since."""
    fill(50)
    _, newer = run(SYNC_MODE="Whole"), run(SYNC_MODE="Whole")
    run(SYNC_MODE="Whole", SYNC_START_DATE="2025-10-01")
    run(SYNC_MODE="Whole", SYNC_SELECT_FIELDS="true")

    job = run()

    assert query("SELECT base_uid FROM botzilla.sync_run WHERE uid = %s", job.uid) == [newer.uid]


def test_days_that_ended_before_the_base_did_are_no_base_for_later_ones(fill: Fill, run: Callable[..., Any]) -> None:
    fill(50)
    run(SYNC_MODE="Whole", SYNC_END_DATE="2025-10-10")

    assert run().result.mode is Mode.WHOLE
    assert run(SYNC_END_DATE="2025-10-10").result.mode is Mode.CHANGES


def test_broken_estimates_are_asked_for_again_until_they_are_corrected(
    sample: RunningSample, fill: Fill, run: Callable[..., Any], query: Query
) -> None:
    """A correction of what an estimate leads to does not touch its stamp."""
    records = fill(300)
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
    """Whether it is none or not shown, only all records tell."""
    records = [record for record in fill(100) if record.get("crew_notes")]
    run(SYNC_MODE="Whole")
    changed = records[0]["id"]
    sample.store.delete(changed)
    left = {name: value for name, value in records[0].items() if name != "crew_notes"}
    sample.store.insert(left)
    change(changed)

    job = run()

    assert job.result.mode is Mode.WHOLE
    assert job.result.whole_because == "few records do not tell whether Attic Tech shows crew_notes"
    assert query("SELECT crew_notes FROM botzilla.estimate WHERE attic_tech_estimate_id = %s", changed) == [None]


def test_a_sync_that_has_committed_tells_another_process_how(fill: Fill, run: Callable[..., Any]) -> None:
    fill(50)
    run(SYNC_MODE="Whole")
    first = run()

    again = run(SYNC_UID=first.uid)

    assert "An earlier process of this sync has stored its estimates" in again.output
    assert (again.result.mode, again.result.results) == (first.result.mode, first.result.results)
