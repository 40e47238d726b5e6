"""The sync program reads a real Payload CMS: while it is still, while people work in it, and when it refuses.

People work at a second server on the same database, and every version that an estimate ever had is kept by triggers
there. After each sync the tables must hold what docs/completeness.md promises as of `completeAsOf`.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from estimatesync_contract.causes import Reason
from estimatesync_payload.client import PayloadClient
from estimatesync_payload.comparison import Related, build_row, read_related, read_stored, to_columns
from estimatesync_payload.content import ESTIMATES, SIDE_BY_SIDE
from estimatesync_payload.people import Work, people_at_work
from estimatesync_payload.server import RunningPayload, User, running_payload

FindBrokenPromises = Callable[[Any], list[str]]
CountRows = Callable[[Any], int]

WORKER = User(email="worker@attic-tech.example", password="made-up-password", name="Worker")
CLUMSY = {"ATTIC_TECH_EMAIL": "clumsy@attic-tech.example"}
PAGE_SIZES = ("10", "100", "30")
FASTEST_THAT_MUST_END = 5
"""Changes a second. Above, as the limits in docs/completeness.md say, a sync may end as `SourceChanging`."""


@pytest.mark.parametrize("version", ["payload", "payload_2"])
def test_a_still_payload_is_stored_as_it_is(syncs: Any, version: str, request: pytest.FixtureRequest) -> None:
    served: RunningPayload = request.getfixturevalue(version)
    with PayloadClient(served, WORKER) as client:
        documents, related = client.read_all(ESTIMATES, depth=0), read_related(client)

    run = syncs.run(served)

    assert run.exit_code == 0, run.output
    expected = {document["id"]: build_row(to_columns(document), related) for document in documents}
    assert read_stored(syncs.database_url, run.schema) == expected
    assert len(expected) == run.result.results.new_estimates > 100


@pytest.fixture
def at_work(worker: PayloadClient, related: Related) -> Callable[[float], Any]:
    """Let people work so many times a second; their first changes are done when the context begins."""

    @contextmanager
    def work(per_second: float) -> Iterator[Work]:
        ids = [document["id"] for document in worker.read_all(ESTIMATES, depth=0)]
        choice = {name: list(documents) for name, documents in related.items()}
        with people_at_work(worker, per_second=per_second, ids=ids, related=choice) as done:
            wait_for(lambda: done.done >= per_second)
            yield done

    return work


def wait_for(is_so: Callable[[], bool]) -> None:
    pause = Event()
    for _ in range(3_000):
        if is_so():
            return
        pause.wait(0.02)
    raise AssertionError("this did not happen within a minute")


def check(run: Any, *, must_end: bool, find_broken_promises: FindBrokenPromises, count_rows: CountRows) -> None:
    """Whatever a sync meets, its tables are right as of its end, or it has written nothing and says why."""
    if run.exit_code == 0:
        assert find_broken_promises(run) == []
        return
    assert not must_end, run.output
    assert (run.exit_code, run.result.error.reason, run.result.error.retryable) == (10, Reason.SOURCE_CHANGING, True)
    assert (count_rows(run), run.result.results.total_processed) == (0, 0)


@pytest.mark.parametrize("per_second", [1, 5, 15, 60])
def test_nothing_is_missing_while_people_work(
    syncs: Any,
    payload: RunningPayload,
    at_work: Callable[[float], Any],
    find_broken_promises: FindBrokenPromises,
    count_rows: CountRows,
    per_second: int,
    record_property: Callable[[str, object], None],
) -> None:
    with at_work(per_second) as work:
        runs = [syncs.run(payload, SYNC_PAGE_SIZE=page_size) for page_size in PAGE_SIZES]

    for run in runs:
        check(
            run,
            must_end=per_second <= FASTEST_THAT_MUST_END,
            find_broken_promises=find_broken_promises,
            count_rows=count_rows,
        )
    ended = sum(run.exit_code == 0 for run in runs)
    record_property("changes a second", f"{work.achieved_per_second:.0f} of {per_second}")
    record_property("syncs ended", f"{ended} of {len(runs)}")


def test_what_leaves_days_that_have_ended_is_stored_all_the_same(
    syncs: Any,
    payload: RunningPayload,
    at_work: Callable[[float], Any],
    find_broken_promises: FindBrokenPromises,
) -> None:
    with at_work(5):
        today = syncs.run(payload)
        runs = [syncs.run(payload, last_day=today.began_at.date() - timedelta(days=1)) for _ in range(3)]

    for run in runs:
        assert run.exit_code == 0, run.output
        assert find_broken_promises(run) == []


def test_an_import_is_in_progress(
    syncs: Any,
    payload: RunningPayload,
    worker: PayloadClient,
    find_broken_promises: FindBrokenPromises,
    count_rows: CountRows,
) -> None:
    imported = {"name": "Imported", "status": "draft", "final_price": 12.5}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        creations = [pool.submit(worker.create, ESTIMATES, imported) for _ in range(200)]
        wait_for(lambda: sum(creation.done() for creation in creations) >= 50)
        meanwhile = syncs.run(payload)
    created = {creation.result()["id"] for creation in creations}
    afterwards = syncs.run(payload)

    check(meanwhile, must_end=False, find_broken_promises=find_broken_promises, count_rows=count_rows)
    assert afterwards.exit_code == 0, afterwards.output
    assert find_broken_promises(afterwards) == []
    assert created <= read_stored(syncs.database_url, afterwards.schema).keys()


def test_all_estimates_are_edited_at_once(
    syncs: Any,
    payload: RunningPayload,
    worker: PayloadClient,
    find_broken_promises: FindBrokenPromises,
    count_rows: CountRows,
) -> None:
    with ThreadPoolExecutor(1) as pool:
        edit = pool.submit(worker.edit_all, ESTIMATES, {"payment_method": "transfer"})
        meanwhile = syncs.run(payload)
        edit.result()
    afterwards = syncs.run(payload)

    check(meanwhile, must_end=False, find_broken_promises=find_broken_promises, count_rows=count_rows)
    assert afterwards.exit_code == 0, afterwards.output
    assert find_broken_promises(afterwards) == []


def test_tokens_that_live_for_a_second_are_renewed(
    syncs: Any,
    payload: RunningPayload,
    tmp_path: Path,
    find_broken_promises: FindBrokenPromises,
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

    assert run.exit_code == 0, run.output
    assert find_broken_promises(run) == []
    assert run.output.count("Logging in") > 1


def test_a_wrong_password_is_named_until_the_account_is_locked_and_then_the_lock_is(
    syncs: Any, payload: RunningPayload, worker: PayloadClient, count_rows: CountRows
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
    assert unlocked.exit_code == 0
    assert "not-this-one" not in "".join(run.output for run in wrong)
    assert count_rows(unlocked) > 100


def test_payload_itself_says_what_these_refusals_say(payload: RunningPayload) -> None:
    answer = httpx.get(f"{payload.url}/api/{ESTIMATES}", headers={"Authorization": "Bearer not-a-token"})

    assert (answer.status_code, answer.json()) == (
        403,
        {"errors": [{"message": "You are not allowed to perform this action."}]},
    )
