"""Estimates that are gone from Attic Tech are marked, and never one that is there: on PostgreSQL, over HTTP."""

import signal
from collections.abc import Callable
from datetime import timedelta
from threading import Event
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec
import pytest
from msgspec import UNSET
from sample_attic_tech import Fault, Record, Request, Response, RunningSample
from sample_attic_tech.listing import parse_find_query
from sample_attic_tech.listing import query as list_page

Fill = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[Any]]
Store = Callable[..., None]
MARK = {"SYNC_DELETIONS": "mark"}
ENDED = MARK | {"SYNC_END_DATE": "2025-10-10"}
"""Of days that have ended: what is edited now is in them no more."""
DELETED = "SELECT attic_tech_estimate_id FROM botzilla.estimates WHERE deleted_at IS NOT NULL ORDER BY 1"
ESTIMATES = "/api/job-estimates"
JSON = {"Content-Type": "application/json"}


def asks_by_ids(request: Request) -> bool:
    return "where[id][in]" in unquote(request.query_string)


def count_questions(sample: RunningSample) -> int:
    return sum(map(asks_by_ids, sample.requests))


@pytest.fixture
def store(jobs: Any, sample: RunningSample, query: Query) -> Callable[..., None]:
    """Sync, and let some time pass: what has just been stored is not marked."""

    def sync(**changes: str) -> None:
        jobs.run(sample, **changes)
        query("UPDATE botzilla.estimate SET last_synced_at = last_synced_at - interval '6 minutes'")

    return sync


@pytest.fixture
def ids(sample: RunningSample, fill: Fill) -> list[int]:
    """The ids of 60 estimates, ascending."""
    records = fill(60)
    for number, record in enumerate(records):
        sample.store.update(record["id"], {"updatedAt": f"2025-09-{1 + number % 30:02}T00:00:00.000Z"})
    return sorted(record["id"] for record in records)


def test_what_is_gone_is_marked_and_loses_the_mark_when_it_comes_back(
    jobs: Any, sample: RunningSample, ids: list[int], query: Query, store: Store
) -> None:
    store(**MARK)
    lost = [sample.store.read(number) for number in (ids[0], ids[30], ids[59])]
    for record in lost:
        sample.store.delete(record["id"])

    gone = jobs.run(sample, **MARK)
    questions = count_questions(sample)
    again = jobs.run(sample, **MARK)

    assert query(DELETED) == [ids[0], ids[30], ids[59]]
    assert (gone.result.results.deleted_estimates, again.result.results.deleted_estimates) == (3, 0)
    assert (questions, count_questions(sample)) == (1, 1)
    assert gone.result.results.total_processed == gone.result.results.unchanged_estimates == 57
    assert query("SELECT deleted_estimates FROM botzilla.sync_runs ORDER BY ended_at") == [0, 3, 0]
    sample.store.insert(lost[1])
    back = jobs.run(sample)
    assert query(DELETED) == [ids[0], ids[59]]
    assert back.result.results.deleted_estimates is UNSET
    assert (back.result.results.updated_estimates, back.result.results.unchanged_estimates) == (58, 57)


def test_by_default_nothing_is_looked_for_and_nothing_marked(
    jobs: Any, sample: RunningSample, ids: list[int], query: Query, store: Store
) -> None:
    store()
    sample.store.delete(ids[0])

    job = jobs.run(sample)

    assert (query(DELETED), count_questions(sample)) == ([], 0)
    assert query("SELECT deleted_estimates FROM botzilla.sync_runs") == [None, None]
    assert job.result.results.deleted_estimates is UNSET


def test_a_mark_goes_even_when_the_days_have_moved_on(
    jobs: Any, sample: RunningSample, ids: list[int], query: Query, store: Store
) -> None:
    store(**MARK)
    sample.store.delete(ids[30])
    sample.on_request = lambda request: (
        answer(sample, request, lambda record: record["id"] != ids[0]) if request.path == ESTIMATES else None
    )
    jobs.run(sample, **MARK)
    marked = query(DELETED)
    query("UPDATE botzilla.estimate SET deleted_at = deleted_at - interval '6 minutes'")
    sample.on_request = lambda _: None

    shown = jobs.run(sample, **MARK, SYNC_START_DATE="2025-10-01")

    assert marked == [ids[0], ids[30]]
    assert query(DELETED) == [ids[30]]
    assert query("SELECT last_sync_uid FROM botzilla.estimate WHERE attic_tech_estimate_id = %s", ids[0]) == [shown.uid]
    assert shown.result.unmarked_because is None


def hide(listed: int, shown: int) -> Callable[[RunningSample, list[int]], None]:
    """Hide so many estimates from the listing, and all but `shown` of them when they are asked for by their ids."""

    def spoil(sample: RunningSample, ids: list[int]) -> None:
        hidden = {*ids[:listed]}

        def on_request(request: Request) -> Fault | None:
            if request.path != ESTIMATES:
                return None
            left = hidden - {*ids[:shown]} if asks_by_ids(request) else hidden
            return answer(sample, request, lambda record: record["id"] not in left)

        sample.on_request = on_request

    return spoil


def answer(sample: RunningSample, request: Request, shows: Callable[[Record], bool], **options: Any) -> Response:
    find = parse_find_query(request.query_string)
    where = options.get("where", find.where)
    records = [record for record in sample.store.read_all() if shows(record)]
    page = list_page(records, where=where, sort=find.sort, limit=options.get("limit", find.limit), page=find.page)
    return Response(headers=JSON, body=msgspec.json.encode(page))


def edit_out(sample: RunningSample, ids: list[int]) -> None:
    for number in ids[:3]:
        sample.store.update(number, {"updatedAt": "2025-10-12T00:00:00.000Z"})


def ignore_in(sample: RunningSample, ids: list[int]) -> None:
    sample.store.delete(ids[0])

    def on_request(request: Request) -> Fault | None:
        return answer(sample, request, lambda _: True, where=None) if asks_by_ids(request) else None

    sample.on_request = on_request


def read_first_id_alone(sample: RunningSample, ids: list[int]) -> None:
    """As a server does that takes the list for one number."""
    edit_out(sample, ids)

    def on_request(request: Request) -> Fault | None:
        if not asks_by_ids(request):
            return None
        first = int(parse_qs(request.query_string)["where[id][in]"][0].split(",")[0])
        return answer(sample, request, lambda record: record["id"] == first)

    sample.on_request = on_request


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize(("total", "out"), [(3, [0]), (5, [0]), (5, [3]), (60, [0, 1, 2])])
def test_a_server_that_cuts_the_list_of_ids_has_nothing_marked(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, store: Store, total: int, out: list[int], cut: int
) -> None:
    numbers = sorted(record["id"] for record in fill(total))
    for place, number in enumerate(numbers):
        sample.store.update(number, {"updatedAt": f"2025-09-{1 + place % 30:02}T00:00:00.000Z"})
    store(**ENDED)
    for place in out:
        sample.store.update(numbers[place], {"updatedAt": "2025-10-12T00:00:00.000Z"})

    def on_request(request: Request) -> Fault | None:
        if not asks_by_ids(request):
            return None
        read = {int(text) for text in parse_qs(request.query_string)["where[id][in]"][0].split(",")[:cut]}
        return answer(sample, request, lambda record: record["id"] in read)

    sample.on_request = on_request

    jobs.run(sample, **ENDED)

    assert (query(DELETED), count_questions(sample) > 0) == ([], True)


def answer_nothing(sample: RunningSample, ids: list[int]) -> None:
    edit_out(sample, ids)
    sample.on_request = lambda request: answer(sample, request, lambda _: False) if asks_by_ids(request) else None


def fail_for_good(sample: RunningSample, ids: list[int]) -> None:
    sample.store.delete(ids[0])
    refusal = b'{"errors":[{"message":"where[id][in] is not allowed"}]}'
    sample.on_request = lambda request: (
        Response(status=400, headers=JSON, body=refusal) if asks_by_ids(request) else None
    )


def answer_with_errors(sample: RunningSample, ids: list[int]) -> None:
    sample.store.delete(ids[0])
    errors = b'{"errors":[{"message":"Something went wrong."}]}'
    sample.on_request = lambda request: Response(headers=JSON, body=errors) if asks_by_ids(request) else None


@pytest.mark.parametrize(
    ("spoil", "because"),
    [
        pytest.param(edit_out, None, id="edited-out-of-the-days"),
        pytest.param(hide(10, 10), None, id="hidden-while-listing"),
        pytest.param(hide(10, 0), "at least 10 of 60 stored estimates are not shown any more", id="rights-are-lost"),
        pytest.param(hide(60, 0), "Attic Tech shows no estimate of these days at all", id="all-rights-are-lost"),
        pytest.param(ignore_in, "Attic Tech does not keep to the ids", id="in-is-ignored"),
        pytest.param(read_first_id_alone, "Attic Tech does not show estimates by their ids", id="in-takes-one-id"),
        pytest.param(answer_nothing, "Attic Tech does not show estimates by their ids", id="in-finds-nothing"),
        pytest.param(fail_for_good, "Attic Tech refuses the request (HTTP 400)", id="in-is-refused"),
        pytest.param(answer_with_errors, "Attic Tech sent an error in place of", id="errors-with-200"),
    ],
)
def test_what_is_there_or_may_be_is_never_marked(
    jobs: Any,
    sample: RunningSample,
    ids: list[int],
    query: Query,
    store: Store,
    spoil: Callable[[RunningSample, list[int]], None],
    because: str | None,
) -> None:
    store(**ENDED)
    spoil(sample, ids)

    job = jobs.run(sample, **ENDED)

    assert (job.process.returncode, query(DELETED)) == (0, [])
    assert job.result.results.deleted_estimates == 0
    assert (job.result.unmarked_because or "")[: len(because or "")] == (because or "")
    assert bool(job.result.unmarked_because) == bool(because)
    assert ("No estimate is marked as deleted" in job.output) == bool(because)
    assert query("SELECT message FROM botzilla.sync_runs ORDER BY ended_at DESC LIMIT 1") == [
        job.result.unmarked_because
    ]


@pytest.mark.parametrize("selects_fields", ["false", "true"])
@pytest.mark.parametrize(
    ("status", "alone"),
    [pytest.param(400, 1, id="refused"), pytest.param(502, 3, id="failed-again-and-again")],
)
def test_a_server_that_refuses_to_be_asked_for_ids_alone_is_asked_for_a_few_whole_estimates_at_once(
    jobs: Any,
    sample: RunningSample,
    ids: list[int],
    query: Query,
    store: Store,
    status: int,
    alone: int,
    selects_fields: str,
) -> None:
    store(**MARK)
    for number in ids[7:37]:
        sample.store.delete(number)
    refused: list[Request] = []
    sizes: list[int] = []

    def on_request(request: Request) -> Fault | None:
        if not asks_by_ids(request):
            return None
        if "select[id]" in unquote(request.query_string):
            refused.append(request)
            return Response(status=status, headers=JSON, body=b"{}")
        sizes.append(len(parse_qs(request.query_string)["where[id][in]"][0].split(",")))
        return None

    sample.on_request = on_request

    job = jobs.run(sample, **MARK, SYNC_SELECT_FIELDS=selects_fields, SYNC_MAX_DELETED_PERCENT="100")

    assert (query(DELETED), len(refused)) == (ids[7:37], alone)
    assert sizes == [10, 10, 10, 8]
    assert "asking for whole records" not in job.output


@pytest.mark.parametrize("selects_fields", ["false", "true"])
def test_a_failure_that_passes_does_not_have_whole_estimates_asked_for(
    jobs: Any, sample: RunningSample, ids: list[int], query: Query, store: Store, selects_fields: str
) -> None:
    store(**MARK)
    sample.store.delete(ids[7])
    asked: list[bool] = []

    def fail_once(request: Request) -> Fault | None:
        if not asks_by_ids(request):
            return None
        asked.append("select[id]" in unquote(request.query_string))
        return Response(status=502, headers=JSON, body=b"{}") if len(asked) == 1 else None

    sample.on_request = fail_once

    job = jobs.run(sample, **MARK, SYNC_SELECT_FIELDS=selects_fields)

    assert (query(DELETED), asked) == ([ids[7]], [True, True])
    assert "Attempt 2" in job.output
    assert "asking for whole records" not in job.output


def test_a_server_that_gives_few_at_a_time_is_asked_until_all_is_said(
    jobs: Any, sample: RunningSample, ids: list[int], query: Query, store: Store
) -> None:
    store(**ENDED)
    edit_out(sample, ids)
    for number in (ids[10], ids[11]):
        sample.store.delete(number)
    sample.on_request = lambda request: (
        answer(sample, request, lambda _: True, limit=5) if asks_by_ids(request) else None
    )

    jobs.run(sample, **ENDED)

    assert query(DELETED) == [ids[10], ids[11]]


def test_an_estimate_that_is_broken_is_there(
    jobs: Any, sample: RunningSample, ids: list[int], query: Query, store: Store
) -> None:
    store(**MARK)
    sample.store.update(ids[3], {"true_cost": "9" * 40})

    job = jobs.run(sample, **MARK, SYNC_MAX_SKIPPED_PERCENT="100")

    assert (job.process.returncode, query(DELETED)) == (0, [])


def test_what_a_sync_has_written_just_before_this_one_began_or_since_is_not_marked(
    jobs: Any, sample: RunningSample, ids: list[int], query: Query, store: Store
) -> None:
    store(**MARK)
    for number in ids[:3]:
        sample.store.delete(number)
    written = "UPDATE botzilla.estimate SET last_synced_at = now() - %s WHERE attic_tech_estimate_id = %s"
    query(written, timedelta(minutes=4), ids[0])

    def write_meanwhile(request: Request) -> None:
        if asks_by_ids(request):
            query(written, timedelta(0), ids[1])

    sample.on_request = write_meanwhile

    job = jobs.run(sample, **MARK)

    assert query(DELETED) == [ids[2]]
    assert "Asking for 2 stored estimates" in job.output
    assert "No longer at Attic Tech: 1 estimates" in job.output
    assert job.result.results.deleted_estimates == 1


def test_what_another_sync_has_seen_meanwhile_is_not_marked_even_if_it_changed_nothing(
    jobs: Any, sample: RunningSample, ids: list[int], query: Query, store: Store
) -> None:
    store(**MARK)
    lost = [sample.store.read(number) for number in ids[:2]]
    for record in lost:
        sample.store.delete(record["id"])
    asked = Event()

    def stop_before_the_answer(request: Request) -> Fault | None:
        if not asks_by_ids(request):
            return None
        jobs.started[-1].process.send_signal(signal.SIGSTOP)
        asked.set()
        return answer(sample, request, lambda _: True)

    sample.on_request = stop_before_the_answer
    job = jobs.start(sample, **MARK)
    assert asked.wait(60)
    sample.on_request = lambda _: None
    for record in lost:
        sample.store.insert(record)
    other = jobs.run(sample, **MARK, SYNC_ID="est-20251016-140900000-k3x9z")
    job.process.send_signal(signal.SIGCONT)
    job.wait()

    assert (other.process.returncode, other.result.results.unchanged_estimates) == (0, 60)
    assert (job.process.returncode, query(DELETED), job.result.results.deleted_estimates) == (0, [], 0)
    assert "another sync of whole days was stored while this one was at work" in job.result.unmarked_because
    assert "No longer at Attic Tech" not in job.output


def test_only_estimates_of_the_days_are_looked_for(
    jobs: Any, sample: RunningSample, ids: list[int], query: Query, store: Store
) -> None:
    store(**MARK)
    sample.store.delete(ids[0])

    job = jobs.run(sample, **MARK, SYNC_START_DATE="2024-01-01", SYNC_END_DATE="2024-12-31")

    assert (query(DELETED), count_questions(sample)) == ([], 0)
    assert job.result.results.deleted_estimates == 0
