"""Attic Tech answers oddly, slowly or reluctantly: the right result, or an error that says what to do."""

import asyncio
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import format_datetime
from threading import Thread
from typing import Any

import msgspec
import pytest
from estimatesync_contract.causes import Reason
from estimatesync_job.adapters.attic_tech import open_attic_tech
from estimatesync_job.adapters.log import create_log
from estimatesync_job.core.errors import SourceUnavailableError
from estimatesync_job.core.queries import PageQuery
from estimatesync_job.core.retry_delay import RetryPolicy
from estimatesync_job.settings import parse_settings
from sample_attic_tech import Delay, Fault, Request, Reset, Response, RunningSample, SampleConfig, running_sample
from sample_attic_tech.listing import parse_find_query
from sample_attic_tech.server import build_json_response

Fill = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[Any]]
Change = Callable[[dict[str, Any]], dict[str, Any]]
PAGE = "/api/job-estimates"


def spoil(sample: RunningSample, change: Change) -> None:
    """Let every listing be the true one, changed."""

    def on_request(request: Request) -> Fault | None:
        if request.path != PAGE:
            return None
        find = parse_find_query(request.query_string)
        page = sample.store.query(where=find.where, sort=find.sort, limit=find.limit, page=find.page)
        body = msgspec.json.encode(change(msgspec.to_builtins(page)))
        return Response(headers={"Content-Type": "application/json"}, body=body)

    sample.on_request = on_request


def without(*names: str) -> Change:
    return lambda page: {name: value for name, value in page.items() if name not in names}


def with_text_ids(page: dict[str, Any]) -> dict[str, Any]:
    return page | {"docs": [record | {"id": str(record["id"])} for record in page["docs"]]}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(without("totalDocs", "totalPages"), id="no-totals"),
        pytest.param(without("totalDocs", "totalPages", "hasNextPage", "page"), id="nothing-but-records"),
        pytest.param(lambda page: page | {"totalDocs": 1, "totalPages": 1}, id="totals-too-small"),
        pytest.param(lambda page: page | {"totalDocs": 0, "totalPages": 0, "hasNextPage": False}, id="totals-of-zero"),
        pytest.param(lambda page: page | {"totalDocs": 9999, "totalPages": 999}, id="totals-too-large"),
        pytest.param(lambda page: page | {"hasNextPage": True}, id="always-more"),
        pytest.param(lambda page: page | {"docs": page["docs"] + page["docs"][-1:]}, id="an-id-twice"),
        pytest.param(with_text_ids, id="ids-as-texts"),
    ],
)
def test_all_records_are_stored_whatever_else_the_page_says(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, change: Change
) -> None:
    fill(135)
    spoil(sample, change)

    job = jobs.run(sample, SYNC_PAGE_SIZE="10")

    assert job.process.returncode == 0
    assert job.result.results.total_processed == 135
    assert query("SELECT count(*) FROM botzilla.estimate") == [135]
    assert len(sample.requests) < 40


@pytest.mark.parametrize(
    ("chosen", "kilobytes"),
    [
        pytest.param({}, r"9\d\d", id="whole-records-by-default"),
        pytest.param({"SYNC_SELECT_FIELDS": "true"}, r"1\d", id="the-fields-of-columns-where-chosen"),
    ],
)
def test_a_deployment_chooses_what_is_asked_for(
    jobs: Any, sample: RunningSample, fill: Fill, chosen: dict[str, str], kilobytes: str
) -> None:
    fill(20, padding_bytes=45_000)

    job = jobs.run(sample, **chosen)

    assert job.process.returncode == 0
    assert job.result.results.total_processed == 20
    assert re.search(rf"Response received for page 1 \({kilobytes}KB\)", job.output)
    lists = [request.query_string for request in sample.requests if request.path == PAGE]
    named = [("select" in query, "populate" in query) for query in lists if "limit=10&" not in query]
    assert named == [(bool(chosen),) * 2] * (len(lists) - bool(chosen))


def test_the_same_is_stored_from_the_fields_of_columns_as_from_whole_records(
    jobs: Any, sample: RunningSample, fill: Fill
) -> None:
    fill(120)

    whole = jobs.run(sample)
    slim = jobs.run(sample, SYNC_SELECT_FIELDS="true")

    assert (whole.result.results.new_estimates, slim.result.results.unchanged_estimates) == (120, 120)


def test_whole_records_are_asked_for_where_a_value_is_computed_from_other_fields(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    fill(135)
    lacking = {"name": "undefined undefined"}
    spoil(sample, lambda page: page | {"docs": [record | lacking for record in page["docs"]]})
    sample.on_request, spoiling = None, sample.on_request
    sample.on_request = lambda request: spoiling(request) if "select" in request.query_string else None

    job = jobs.run(sample, SYNC_SELECT_FIELDS="true", SYNC_PAGE_SIZE="20", SYNC_CONCURRENCY="4")
    whole = jobs.run(sample)

    said = "shows other values of name where it is asked for fields: asking for whole records"
    assert (job.process.returncode, job.output.count(said)) == (0, 1)
    assert query("SELECT count(*) FROM botzilla.estimate WHERE name = 'undefined undefined'") == [0]
    assert whole.result.results.unchanged_estimates == 135


FORBIDDEN = build_json_response({"errors": [{"message": "You are not allowed to perform this action."}]}, status=403)


@pytest.mark.parametrize(
    "refusal",
    [
        *(
            pytest.param(
                build_json_response({"errors": [{"message": "Something went wrong."}]}, status=status), id=text
            )
            for status, text in [(400, "unknown-parameter"), (403, "forbidden"), (422, "invalid"), (500, "broken-hook")]
        ),
        *(
            pytest.param(
                Response(status=status, headers={"Content-Type": "text/html"}, body=b"<html>"), id=f"page-{status}"
            )
            for status in (200, 403, 404, 405, 406, 414, 431)
        ),
        pytest.param(Reset(), id="closed-connection"),
    ],
)
def test_whole_records_are_asked_for_where_fields_are_refused(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, refusal: Fault
) -> None:
    fill(135)
    sample.on_request = lambda request: refusal if "select" in request.query_string else None

    job = jobs.run(sample, SYNC_PAGE_SIZE="10", SYNC_CONCURRENCY="2", SYNC_SELECT_FIELDS="true")

    assert job.process.returncode == 0, job.output
    assert query("SELECT count(*) FROM botzilla.estimate") == [135]
    assert job.output.count("asking for whole records") == 1
    assert "Attempt 2" not in job.output
    assert job.output.count("Logging in") == 1
    assert sum("select" in request.query_string for request in sample.requests) <= 2


def test_an_account_without_rights_is_named_where_fields_are_asked_for(jobs: Any, sample: RunningSample) -> None:
    sample.on_request = lambda request: FORBIDDEN if request.path == PAGE else None

    job = jobs.run(sample, SYNC_SELECT_FIELDS="true")

    assert job.result.error.reason is Reason.SOURCE_INVALID
    assert "does not let it list estimates (HTTP 403)" in job.result.error.message
    assert "asking for whole records" not in job.output


def test_a_failure_that_whole_records_share_is_not_blamed_on_fields(
    jobs: Any, sample: RunningSample, fill: Fill
) -> None:
    fill(30)
    failures = iter([Response(status=502)] * 2)
    sample.on_request = lambda request: next(failures, None) if request.path == PAGE else None

    job = jobs.run(sample, SYNC_SELECT_FIELDS="true", SYNC_CONCURRENCY="1")

    asked = ["select" in request.query_string for request in sample.requests if request.path == PAGE]
    assert (job.process.returncode, job.result.results.total_processed) == (0, 30)
    # Besides the one that failed, as few records as are compared are asked for whole.
    assert (asked[:2], asked.count(False)) == ([True, False], 2)
    assert "asking for whole records" not in job.output


@pytest.mark.parametrize(
    ("refusal", "is_given_up"),
    [
        pytest.param(Response(status=403, headers={"Content-Type": "text/html"}, body=b"<html>"), False, id="firewall"),
        pytest.param(Response(status=414), True, id="line-too-long"),
    ],
)
def test_fields_that_were_accepted_are_given_up_for_the_length_of_a_request_alone(
    jobs: Any, sample: RunningSample, fill: Fill, refusal: Fault, *, is_given_up: bool
) -> None:
    fill(135)
    refused: list[Request] = []

    def refuse_page_9_once(request: Request) -> Fault | None:
        if request.parameters.get("page") != "9" or refused:
            return None
        refused.append(request)
        return refusal

    sample.on_request = refuse_page_9_once
    job = jobs.run(sample, SYNC_PAGE_SIZE="10", SYNC_CONCURRENCY="2", SYNC_SELECT_FIELDS="true")

    assert (job.process.returncode, job.result.results.total_processed) == (0, 135)
    assert ("asking for whole records" in job.output) is is_given_up
    assert ("Attempt 2" in job.output) is not is_given_up


def test_a_page_in_another_order_ends_it_by_name(jobs: Any, sample: RunningSample, fill: Fill) -> None:
    fill(5)
    spoil(sample, lambda page: page | {"docs": page["docs"][::-1]})

    job = jobs.run(sample)

    assert job.process.returncode == 20
    assert job.result.error.reason is Reason.SOURCE_INVALID
    assert "did not sort page 1 by id" in job.result.error.message


def test_one_broken_record_among_many_is_skipped_named_and_counted_and_a_successor_says_so(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query
) -> None:
    broken = fill(150)[70]["id"]
    sample.store.update(broken, {"final_price": "a lot"})

    job = jobs.run(sample)
    again = jobs.run(sample, SYNC_UID=job.uid)

    counts = job.result.results
    assert (job.process.returncode, counts.skipped_estimates, counts.total_processed) == (0, 1, 149)
    assert (job.result.skipped_ids, counts.total_fetched) == ((str(broken),), 150)
    assert again.result.results == counts
    assert again.result.skipped_ids == job.result.skipped_ids
    assert f"Estimate {broken} is skipped: final_price is not a number (record 80 on page 1)" in job.output
    assert query("SELECT count(*) FROM botzilla.estimate") == [149]


def test_no_record_is_skipped_where_none_may_be(jobs: Any, sample: RunningSample, fill: Fill, query: Query) -> None:
    sample.store.update(fill(150)[70]["id"], {"final_price": "a lot"})

    job = jobs.run(sample, SYNC_MAX_SKIPPED_PERCENT="0")

    assert job.process.returncode == 20
    assert job.result.error.reason is Reason.RECORD_INVALID
    assert query("SELECT count(*) FROM botzilla.estimate") == [0]


def test_retry_after_may_be_a_date(
    jobs: Any, sample: RunningSample, fill: Fill, read_clock: Callable[[], datetime]
) -> None:
    fill(3)
    asked: list[float] = []

    def on_request(request: Request) -> Fault | None:
        if request.path != PAGE or request.parameters.get("page") != "1":
            return None
        asked.append(time.monotonic())
        later = format_datetime(read_clock() + timedelta(seconds=3), usegmt=True)
        return Response(status=429, headers={"Retry-After": later}) if len(asked) == 1 else None

    sample.on_request = on_request
    job = jobs.run(sample)

    assert job.process.returncode == 0
    assert asked[1] - asked[0] >= 2


def test_a_wait_beyond_the_end_of_the_sync_ends_it_now(jobs: Any, sample: RunningSample) -> None:
    sample.on_request = lambda _: Response(status=429, headers={"Retry-After": "3600"})

    job = jobs.run(sample, SYNC_TIMEOUT_SECONDS="600")

    assert job.process.returncode == 10
    assert job.result.error.reason is Reason.SOURCE_UNAVAILABLE
    assert "Raise timeoutSeconds" in job.result.error.message
    assert len(sample.requests) == 1


def test_requests_in_flight_grow_from_few_and_halve_after_a_refusal(
    jobs: Any, fill: Fill, sample: RunningSample
) -> None:
    fill(300)
    # Long enough that a busy machine has time to send all that it may.
    config = SampleConfig(records=sample.store.read_all(), page_delay_seconds=1.0)
    with running_sample(config) as slow:
        refused: list[datetime] = []

        def refuse_once(request: Request) -> Fault | None:
            if request.parameters.get("page") == "40" and not refused:
                refused.append(request.received_at)
                return Response(status=429)
            return None

        slow.on_request = refuse_once
        job = jobs.run(slow, SYNC_PAGE_SIZE="5", SYNC_CONCURRENCY="16")

    times = [request.received_at for request in slow.requests if request.path == PAGE]
    delay = timedelta(seconds=0.9)
    in_flight = {moment: sum(moment - delay < other <= moment for other in times) for moment in times}
    adapted = [count for moment, count in in_flight.items() if timedelta(seconds=0.3) < moment - refused[0] < 3 * delay]
    assert job.process.returncode == 0
    assert max(in_flight[moment] for moment in times[:8]) <= 8
    assert 9 < max(in_flight.values()) <= 16
    assert adapted
    assert max(adapted) <= 10


def ignoring_page(*names: str) -> Callable[[RunningSample], None]:
    """Let every listing but that of a closing pass be page 1, without some of the fields besides the records."""

    def ignore(sample: RunningSample) -> None:
        def on_request(request: Request) -> Fault | None:
            if request.path != PAGE:
                return None
            find = parse_find_query(request.query_string)
            page = msgspec.to_builtins(sample.store.query(where=find.where, sort=find.sort, limit=find.limit, page=1))
            body = msgspec.json.encode(without(*names)(page))
            return Response(headers={"Content-Type": "application/json"}, body=body)

        sample.on_request = on_request

    return ignore


@pytest.mark.parametrize(
    "ignore",
    [
        pytest.param(ignoring_page("page"), id="that-has-totals"),
        pytest.param(ignoring_page("page", "totalDocs", "totalPages"), id="that-has-no-totals"),
    ],
)
def test_a_server_that_ignores_the_page_number_is_read_by_id_instead(
    jobs: Any, sample: RunningSample, fill: Fill, query: Query, ignore: Callable[[RunningSample], None]
) -> None:
    fill(135)
    ignore(sample)

    job = jobs.run(sample, SYNC_PAGE_SIZE="10")

    assert job.process.returncode == 0
    assert job.result.results.total_processed == 135
    assert query("SELECT count(*) FROM botzilla.estimate") == [135]
    assert len(sample.requests) < 30


def test_a_response_with_the_wrong_page_is_refused_naming_both_pages(
    jobs: Any, sample: RunningSample, fill: Fill
) -> None:
    fill(135)
    ignoring_page()(sample)

    job = jobs.run(sample, SYNC_PAGE_SIZE="10", SYNC_CONCURRENCY="1")

    assert job.process.returncode == 20
    assert job.result.error.reason is Reason.SOURCE_INVALID
    assert job.result.error.message == "Attic Tech was asked for page 2 and sent page 1."


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"


@pytest.fixture
def freezing_server() -> Iterator[Callable[[bytes, bytes], str]]:
    """Reply to logins and listings with so many bytes, and then keep the connection open."""
    listeners: list[socket.socket] = []

    def answer(connection: socket.socket, login: bytes, listing: bytes) -> None:
        # A client that gives up may reset the connection.
        with connection, suppress(OSError):
            while request := connection.recv(65536):
                connection.sendall(login if request.startswith(b"POST") else listing)

    def serve(listener: socket.socket, login: bytes, listing: bytes) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                Thread(target=answer, args=(connection, login, listing), daemon=True).start()

    def start(login: bytes, listing: bytes) -> str:
        listeners.append(socket.create_server(("127.0.0.1", 0)))
        Thread(target=serve, args=(listeners[-1], login, listing), daemon=True).start()
        return f"http://127.0.0.1:{listeners[-1].getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


TOKEN = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"token":"t"}'


@pytest.mark.parametrize(
    ("login", "listing", "what"),
    [
        pytest.param(b"", b"", "The login", id="login"),
        pytest.param(HEAD, b"", "The login", id="body-of-the-login"),
        pytest.param(TOKEN, b"", "Page 1", id="listing"),
        pytest.param(TOKEN, HEAD[:20], "Page 1", id="head-of-a-listing"),
        pytest.param(TOKEN, HEAD + b'{"docs":[', "Page 1", id="body-of-a-listing"),
    ],
)
def test_a_source_that_freezes_is_asked_again_and_given_up(
    jobs: Any,
    sample: RunningSample,
    freezing_server: Callable[[bytes, bytes], str],
    login: bytes,
    listing: bytes,
    what: str,
) -> None:
    settings = parse_settings(jobs.build_environment(sample, ATTIC_TECH_URL=freezing_server(login, listing)))
    policy = RetryPolicy(attempts=2, first_delay=0.01)

    async def fetch() -> None:
        with open("/dev/null", "w") as nowhere:  # noqa: ASYNC230, PTH123 - a device
            log = create_log("text", nowhere, sync_id="s")
            async with open_attic_tech(settings, log=log, policy=policy, exchange_seconds=1.0) as source:
                await source.login()
                await source.fetch_page(PageQuery(page=1, number=1, limit=10))

    with pytest.raises(SourceUnavailableError, match=f"no complete answer within .*{what} failed 2 times"):
        asyncio.run(fetch())


@pytest.fixture
def trickling_server() -> Iterator[str]:
    """Sends the head of an answer, then a byte of its body now and then, without end."""

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                try:
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
                    )
                    while True:
                        connection.sendall(b" ")
                        time.sleep(0.02)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_server_that_trickles_runs_into_the_bound_on_a_whole_exchange(
    jobs: Any, sample: RunningSample, trickling_server: str
) -> None:
    settings = parse_settings(jobs.build_environment(sample, ATTIC_TECH_URL=trickling_server))
    policy = RetryPolicy(attempts=2, first_delay=0.01)

    async def login() -> None:
        with open("/dev/null", "w") as nowhere:  # noqa: ASYNC230, PTH123 - a device
            log = create_log("text", nowhere, sync_id="s")
            async with open_attic_tech(settings, log=log, policy=policy, exchange_seconds=0.3) as source:
                await source.login()

    with pytest.raises(SourceUnavailableError, match=r"is not available: no complete answer within 0\.3 s"):
        asyncio.run(login())


def test_a_page_that_takes_twenty_seconds_is_waited_for(jobs: Any, sample: RunningSample, fill: Fill) -> None:
    fill(3)
    sample.on_request = lambda request: Delay(seconds=20) if request.parameters.get("limit") == "99" else None

    job = jobs.run(sample, SYNC_PAGE_SIZE="99", SYNC_CONCURRENCY="1")

    assert job.process.returncode == 0
    assert job.result.seconds > 20
    assert sum(request.path == PAGE for request in sample.requests) == 2
