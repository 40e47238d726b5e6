"""Attic Tech shows less than before: what it does not show stays as it is stored, and too much of it ends the sync."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from estimatesync_contract.causes import Reason
from sample_attic_tech import Fault, Request, Response, RunningSample
from sample_attic_tech.listing import parse_find_query

Fill = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[Any]]
Change = Callable[[dict[str, Any]], dict[str, Any]]
KEPT = """
    SELECT attic_tech_estimate_id, estimate.name, customer_name, customer_email, customer_phone, customer_address,
        price, crew_notes, branch.name, sales_person.name, estimate_status.name
    FROM botzilla.estimate
    LEFT JOIN botzilla.branch ON branch.id = branch_id
    LEFT JOIN botzilla.sales_person ON sales_person.id = sales_person_id
    JOIN botzilla.estimate_status ON estimate_status.id = status_id
    ORDER BY 1
"""
RELATIONS = ("branch", "user", "client", "property")


def show(sample: RunningSample, change: Change) -> None:
    """Let every listing show its records changed."""

    def on_request(request: Request) -> Fault | None:
        if request.path != "/api/job-estimates":
            return None
        find = parse_find_query(request.query_string)
        page = msgspec.to_builtins(
            sample.store.query(where=find.where, sort=find.sort, limit=find.limit, page=find.page)
        )
        body = msgspec.json.encode(page | {"docs": [change(record) for record in page["docs"]]})
        return Response(headers={"Content-Type": "application/json"}, body=body)

    sample.on_request = on_request


def as_ids(record: dict[str, Any]) -> dict[str, Any]:
    return record | dict.fromkeys(RELATIONS, 7)


def as_polymorphic_ids(record: dict[str, Any]) -> dict[str, Any]:
    return record | {name: {"relationTo": name, "value": "65f1"} for name in RELATIONS}


def as_lists(record: dict[str, Any]) -> dict[str, Any]:
    return record | {name: [7, 8] for name in RELATIONS}


def without(*names: str) -> Change:
    return lambda record: {name: value for name, value in record.items() if name not in names}


def few(change: Change) -> Change:
    return lambda record: change(record) if record["id"] % 10 == 0 else record


FEWER = [
    pytest.param(as_ids, id="ids"),
    pytest.param(as_polymorphic_ids, id="polymorphic-ids"),
    pytest.param(as_lists, id="lists-of-ids"),
    pytest.param(without(*RELATIONS), id="absent"),
    pytest.param(without("branch", "true_cost", "crew_notes", "name", "status"), id="other-fields-absent"),
]


@pytest.mark.parametrize("change", FEWER)
def test_too_much_that_is_not_shown_changes_no_row(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, change: Change
) -> None:
    fill(30)
    jobs.run(sample)
    before = query(KEPT)
    show(sample, change)

    job = jobs.run(sample)

    assert job.process.returncode == 20
    assert job.result.error.reason is Reason.FIELDS_UNSHOWN
    assert "SYNC_MAX_UNSHOWN_PERCENT" in job.result.error.message
    assert query(KEPT) == before


@pytest.mark.parametrize("change", FEWER)
def test_what_is_not_shown_stays_as_it_is_stored_where_that_is_allowed(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, change: Change
) -> None:
    fill(30)
    jobs.run(sample)
    before = query(KEPT)
    show(sample, lambda record: change(record | {"payment_method": "barter"}))

    job = jobs.run(sample, SYNC_MAX_UNSHOWN_PERCENT="100")
    again = jobs.run(sample, SYNC_MAX_UNSHOWN_PERCENT="100", SYNC_UID=job.uid)

    assert job.process.returncode == 0
    assert query(KEPT) == before
    assert query("SELECT DISTINCT payment_method FROM botzilla.estimate") == ["barter"]
    assert job.result.unshown.estimates == 30
    assert "branch" in job.result.unshown.fields
    assert "is kept" in job.output or "so kept as it is stored: " in job.output
    assert (again.result.results, again.result.unshown) == (job.result.results, job.result.unshown)


def test_a_few_that_are_not_shown_are_kept_and_counted_and_the_others_follow(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    fill(30)
    jobs.run(sample)
    before = {row[0]: row[8:10] for row in query(KEPT)}
    show(sample, few(as_ids))
    for record in sample.store.read_all():
        sample.store.update(record["id"], {"branch": None, "user": {"name": "Somebody Else"}})

    job = jobs.run(sample)

    kept = {row[0]: row[8:10] for row in query(KEPT)}
    unshown = {number for number in before if number % 10 == 0}
    assert job.process.returncode == 0
    assert {"branch", "user"} <= set(job.result.unshown.fields)
    # The sample has an odd record or two of its own.
    assert 3 <= job.result.unshown.estimates <= 5
    assert kept == {number: before[number] if number in unshown else (None, "Somebody Else") for number in before}


def test_a_first_sync_stores_what_is_shown(jobs: Any, sample: RunningSample, fill: Fill, query: Query) -> None:
    fill(5)
    show(sample, without(*RELATIONS, "name", "status"))

    job = jobs.run(sample)

    assert job.process.returncode == 0
    assert {row[1:6] + row[8:] for row in query(KEPT)} == {("Unnamed Estimate", *[None] * 6, "pending")}


def test_a_field_that_one_record_lacks_is_cleared(jobs: Any, sample: RunningSample, fill: Fill, query: Query) -> None:
    cleared = fill(12)[3]["id"]
    jobs.run(sample)
    show(sample, lambda record: without("branch", "crew_notes")(record) if record["id"] == cleared else record)

    job = jobs.run(sample)

    found = query("SELECT branch_id, crew_notes FROM botzilla.estimate WHERE attic_tech_estimate_id = %s", cleared)
    assert job.process.returncode == 0
    assert found == [(None, None)]


def test_an_estimate_that_is_edited_while_it_is_read_is_fetched_once(
    jobs: Any, sample: RunningSample, fill: Fill
) -> None:
    edited = fill(25)[20]["id"]
    pages: list[str] = []

    def on_request(request: Request) -> Fault | None:
        if request.path == "/api/job-estimates":
            pages.append(request.query_string)
            if len(pages) == 3:
                sample.store.update(edited, {"crew_notes": "edited"})
        return None

    sample.on_request = on_request

    job = jobs.run(sample, SYNC_PAGE_SIZE="10", SYNC_CONCURRENCY="1")

    counts = job.result.results
    assert (counts.total_fetched, counts.total_processed, counts.skipped_estimates) == (25, 25, 0)
    assert "Fetch complete! Total: 25 estimates" in job.output
