"""Faults and mutations that a hook brings about, as a client meets them on the wire."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, repeat
from threading import Barrier, BrokenBarrierError
from time import monotonic

import httpx
import pytest
from sample_attic_tech import (
    Delay,
    Fault,
    Request,
    Reset,
    Response,
    RunningSample,
    SampleConfig,
    Truncate,
    running_sample,
)


def script_listings(sample: RunningSample, *faults: Fault) -> None:
    """The first listings meet these faults, one each."""
    script = chain(faults, repeat(None))
    sample.on_request = lambda request: next(script) if request.method == "GET" else None


def test_scripted_answer_replaces_the_true_one_once(sample: RunningSample, logged_in: httpx.Client) -> None:
    script_listings(sample, Response(status=429, headers={"Retry-After": "1"}, body=b"slow down"))

    first, second = (logged_in.get("/api/job-estimates") for _ in range(2))

    assert (first.status_code, first.headers["Retry-After"], first.text) == (429, "1", "slow down")
    assert second.status_code == 200


def test_reset_breaks_the_connection_before_any_answer(sample: RunningSample, logged_in: httpx.Client) -> None:
    script_listings(sample, Reset())

    with pytest.raises(httpx.ReadError, match="reset by peer"):
        logged_in.get("/api/job-estimates")
    after = logged_in.get("/api/job-estimates")

    assert after.status_code == 200


def test_truncated_body_ends_before_its_announced_length(sample: RunningSample, logged_in: httpx.Client) -> None:
    script_listings(sample, Truncate(after=1_000))

    with pytest.raises(httpx.RemoteProtocolError, match="received 1000 bytes, expected"):
        logged_in.get("/api/job-estimates")
    after = logged_in.get("/api/job-estimates")

    assert after.status_code == 200


def test_delay_outlasts_a_client_that_does_not_wait(sample: RunningSample, logged_in: httpx.Client) -> None:
    script_listings(sample, Delay(seconds=0.4), Delay(seconds=30))

    started = monotonic()
    late = logged_in.get("/api/job-estimates")
    took = monotonic() - started
    with pytest.raises(httpx.ReadTimeout):
        logged_in.get("/api/job-estimates", timeout=0.3)

    assert late.status_code == 200
    assert took >= 0.4


def test_stopping_does_not_wait_for_delayed_answers() -> None:
    config = SampleConfig(on_request=lambda _: Delay(seconds=60))

    started = monotonic()
    with running_sample(config) as sample, pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{sample.url}/api/job-estimates", timeout=0.2)

    assert monotonic() - started < 60


def test_stopping_does_not_wait_for_idle_connections() -> None:
    with httpx.Client() as client:
        with running_sample() as sample:
            client.get(sample.url)
            started = monotonic()

        assert monotonic() - started < 60


def test_hooks_of_two_requests_never_overlap(sample: RunningSample, client: httpx.Client) -> None:
    meeting = Barrier(2)

    def meet(_: Request) -> None:
        with suppress(BrokenBarrierError):
            meeting.wait(0.3)
            raise AssertionError("Two hooks ran at once.")

    sample.on_request = meet
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: client.get("/api/job-estimates"), range(2)))

    assert [answer.status_code for answer in answers] == [403, 403]


def test_hook_edits_the_store_between_two_pages(sample: RunningSample, logged_in: httpx.Client) -> None:
    def insert_before_second_page(request: Request) -> None:
        if request.parameters.get("page") == "2":
            sample.store.insert({"id": 9_000, "updatedAt": "2025-10-16T00:00:00.000Z"})

    sample.on_request = insert_before_second_page
    first, second = (
        logged_in.get("/api/job-estimates", params={"limit": 100, "sort": "-id", "page": number}).json()
        for number in (1, 2)
    )

    assert (first["totalDocs"], second["totalDocs"]) == (1609, 1610)
    # The page moved under the reader: the last of the first page comes again.
    assert first["docs"][-1] == second["docs"][0]


def test_body_in_chunks_is_refused_rather_than_misread(client: httpx.Client) -> None:
    answer = client.post("/api/users/login", content=iter([b"{}"]))

    assert answer.status_code == 411
