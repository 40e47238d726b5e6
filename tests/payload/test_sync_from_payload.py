"""The sync program reads a real Payload CMS: while it is still, while people work in it, and when it refuses.

People work at a second server on the same database, and every version that an estimate ever had is kept by triggers
there. After each sync the tables must hold what docs/completeness.md promises as of `completeAsOf`.
"""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.spec import Mode
from estimatesync_job.core.base import MAX_WITNESSES
from estimatesync_job.core.closing_pass import GAPS_PER_QUERY
from estimatesync_payload.client import PayloadClient
from estimatesync_payload.comparison import Related, build_row, read_related, read_stored, to_columns
from estimatesync_payload.content import ESTIMATES, SIDE_BY_SIDE
from estimatesync_payload.people import Work, people_at_work
from estimatesync_payload.server import RunningPayload, User, running_payload

AtWork = Callable[[float], AbstractContextManager[Work]]

WORKER = User(email="worker@attic-tech.example", password="made-up-password", name="Worker")
CLUMSY = {"ATTIC_TECH_EMAIL": "clumsy@attic-tech.example"}
DEADLINE_SECONDS = 600.0
PAGE_SIZES = (10, 100, 30)


@pytest.mark.parametrize("selects_fields", ["false", "true"])
@pytest.mark.parametrize("version", ["payload", "payload_2"])
def test_a_still_payload_is_stored_as_it_is(
    syncs: Any, version: str, selects_fields: str, request: pytest.FixtureRequest
) -> None:
    served: RunningPayload = request.getfixturevalue(version)
    with PayloadClient(served, WORKER) as client:
        documents, related = client.read_all(ESTIMATES, depth=0), read_related(client)

    run = syncs.run(served, SYNC_SELECT_FIELDS=selects_fields)

    assert run.exit_code == 0, run.output
    expected = {document["id"]: build_row(to_columns(document), related) for document in documents}
    assert read_stored(syncs.database_url, run.schema) == expected
    assert len(expected) == run.result.results.new_estimates > 100


@pytest.fixture
def at_work(worker: PayloadClient, related: Related) -> AtWork:
    """Let people work so many times a second; their first changes are done when the context begins."""

    @contextmanager
    def work(per_second: float) -> Iterator[Work]:
        ids = [document["id"] for document in worker.read_all(ESTIMATES, depth=0)]
        choice = {name: list(documents) for name, documents in related.items()}
        with people_at_work(worker, per_second=per_second, ids=ids, related=choice) as done:
            wait_until(lambda: done.done >= per_second)
            yield done

    return work


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "this did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("per_second", [1, 5, 15, 60])
def test_nothing_is_missing_while_people_work(
    syncs: Any,
    payload: RunningPayload,
    at_work: AtWork,
    check: Callable[..., None],
    count_changed: Callable[[Any], int],
    note_rate: Callable[[Work, list[Any]], None],
    per_second: int,
) -> None:
    with at_work(per_second) as work:
        runs = [syncs.run(payload, SYNC_PAGE_SIZE=str(page_size)) for page_size in PAGE_SIZES]

    note_rate(work, runs)
    for run, page_size in zip(runs, PAGE_SIZES, strict=True):
        check(run)
        at_rest = -(-(run.result.pages + 1) // GAPS_PER_QUERY)
        assert run.closing_requests <= at_rest + -(-count_changed(run) // page_size) + 2


def test_what_leaves_days_that_have_ended_is_stored_all_the_same(
    syncs: Any, payload: RunningPayload, at_work: AtWork, check: Callable[..., None]
) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)

    with at_work(1):
        runs = [syncs.run(payload, last_day=yesterday, SYNC_PAGE_SIZE=str(page_size)) for page_size in PAGE_SIZES]

    for run in runs:
        check(run)


@pytest.mark.parametrize("per_second", [1, 15, 60])
def test_nothing_is_missing_in_a_chain_of_syncs_of_changes(
    syncs: Any,
    payload: RunningPayload,
    at_work: AtWork,
    check: Callable[..., None],
    count_changed: Callable[[Any], int],
    per_second: int,
) -> None:
    with at_work(per_second):
        whole = syncs.run(payload)
        while_at_work = [syncs.run(payload, schema=whole.schema, SYNC_MODE="Changes") for _ in range(3)]
    afterwards = syncs.run(payload, schema=whole.schema, SYNC_MODE="Changes")

    for run in (*while_at_work, afterwards):
        assert run.exit_code == 0, run.output
        check(run, first=whole)
        # Somebody may have deleted an estimate that must be shown.
        if run.result.mode is Mode.WHOLE:
            assert "which it showed before" in run.result.whole_because
            continue
        assert run.result.results.total_fetched <= count_changed(run) + MAX_WITNESSES
        assert run.closing_requests <= 2 + 2 * -(-run.result.results.total_fetched // 100)


def test_nothing_is_missing_of_days_that_have_ended_after_a_sync_of_changes(
    syncs: Any, payload: RunningPayload, at_work: AtWork, check: Callable[..., None]
) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)

    with at_work(15):
        whole = syncs.run(payload, last_day=yesterday)
        changes = syncs.run(payload, last_day=yesterday, schema=whole.schema, SYNC_MODE="Changes")

    # One that must be shown may have left these days, and on a busy machine all may have been edited since.
    if changes.result.mode is Mode.WHOLE:
        assert re.search("which it showed before|no estimate is known that must be", changes.result.whole_because)
    check(changes, first=whole)


def test_an_import_is_in_progress(
    syncs: Any, payload: RunningPayload, worker: PayloadClient, check: Callable[..., None]
) -> None:
    imported = {"name": "Imported", "status": "draft", "final_price": 12.5}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        creations = [pool.submit(worker.create, ESTIMATES, imported) for _ in range(200)]
        wait_until(lambda: sum(creation.done() for creation in creations) >= 50)
        meanwhile = syncs.run(payload)
    created = {creation.result()["id"] for creation in creations}
    afterwards = syncs.run(payload)

    check(meanwhile)
    check(afterwards)
    assert created <= read_stored(syncs.database_url, afterwards.schema).keys()


def test_all_estimates_are_edited_at_once(
    syncs: Any, payload: RunningPayload, worker: PayloadClient, check: Callable[..., None]
) -> None:
    with ThreadPoolExecutor(1) as pool:
        edit = pool.submit(worker.edit_all, ESTIMATES, {"payment_method": "transfer"})
        meanwhile = syncs.run(payload)
        edit.result()
    afterwards = syncs.run(payload)

    check(meanwhile)
    check(afterwards)


def test_tokens_that_live_for_a_second_are_renewed(
    syncs: Any, payload: RunningPayload, tmp_path: Path, check: Callable[..., None]
) -> None:
    with running_payload(
        payload.version,
        database_url=payload.database_url,
        directory=tmp_path / "short-lived",
        users=(),
        token_seconds=1,
    ) as short_lived:
        # So many requests, one after the other, that they take longer than any token lives.
        run = syncs.run(short_lived, SYNC_PAGE_SIZE="2", SYNC_CONCURRENCY="1")

    check(run)
    assert run.output.count("Logging in") > 1


def test_a_wrong_password_is_named_until_the_account_is_locked_and_then_the_lock_is(
    syncs: Any, payload: RunningPayload, worker: PayloadClient, check: Callable[..., None]
) -> None:
    wrong = [syncs.run(payload, **CLUMSY, ATTIC_TECH_PASSWORD="not-this-one") for _ in range(5)]
    locked = syncs.run(payload, **CLUMSY)
    worker.unlock(CLUMSY["ATTIC_TECH_EMAIL"])
    unlocked = syncs.run(payload, **CLUMSY)

    refused = [*wrong, locked]
    assert {(run.exit_code, run.result.error.reason) for run in refused} == {(20, Reason.LOGIN_FAILED)}
    assert {run.result.error.message for run in wrong} == {"Login to Attic Tech failed: Invalid credentials"}
    assert locked.result.error.message == (
        "Login to Attic Tech failed: This user is locked due to having too many failed login attempts."
    )
    assert "not-this-one" not in "".join(run.output for run in wrong)
    check(unlocked)


MARK = {"SYNC_DELETIONS": "mark", "DATABASE_SCHEMA": "marked"}


@pytest.mark.parametrize("selects_fields", ["false", "true"])
@pytest.mark.parametrize("version", ["payload", "payload_2"])
def test_what_is_deleted_is_marked_and_nothing_else(
    syncs: Any, version: str, selects_fields: str, request: pytest.FixtureRequest
) -> None:
    served: RunningPayload = request.getfixturevalue(version)
    settings = MARK | {"SYNC_SELECT_FIELDS": selects_fields}

    with PayloadClient(served, WORKER) as client:
        first = syncs.run(served, **settings)
        gone = sorted(read_stored(syncs.database_url, "marked"))[5:8]
        for number in gone:
            client.delete(ESTIMATES, number)
        let_time_pass(syncs.database_url)
        second = syncs.run(served, **settings)

    assert (first.exit_code, second.exit_code) == (0, 0), second.output
    assert (first.result.results.deleted_estimates, second.result.results.deleted_estimates) == (0, 3), second.output
    assert read_deleted(syncs.database_url) == gone


def test_nothing_that_is_there_is_marked_while_people_work(
    syncs: Any, payload: RunningPayload, worker: PayloadClient, at_work: AtWork
) -> None:
    runs = []
    with at_work(15):
        for _ in range(3):
            runs.append(syncs.run(payload, **MARK))
            let_time_pass(syncs.database_url)
    last = syncs.run(payload, **MARK)

    assert [(run.exit_code, run.result.unmarked_because) for run in (*runs, last)] == [(0, None)] * 4
    there = {document["id"] for document in worker.read_all(ESTIMATES, depth=0)}
    assert there.isdisjoint(read_deleted(syncs.database_url))
    assert read_stored(syncs.database_url, "marked").keys() - there == {*read_deleted(syncs.database_url)}


def let_time_pass(database_url: str) -> None:
    """What has just been stored is not marked."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE marked.estimate SET last_synced_at = last_synced_at - interval '6 minutes'")


def read_deleted(database_url: str) -> list[int]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT attic_tech_estimate_id FROM marked.estimates WHERE deleted_at IS NOT NULL ORDER BY 1"
        )
        return [number for (number,) in rows]
