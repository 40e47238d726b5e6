"""Errors of Attic Tech: temporary ones are retried, others are reported, and one new token serves all requests."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from estimatesync_contract.causes import Reason
from estimatesync_job.adapters.attic_tech import open_attic_tech
from estimatesync_job.adapters.log import create_log
from estimatesync_job.core.errors import SourceUnavailableError
from estimatesync_job.core.queries import PageQuery
from estimatesync_job.core.retry_delay import RetryPolicy
from estimatesync_job.settings import parse_settings
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

Fill = Callable[..., list[dict[str, Any]]]
Query = Callable[..., list[Any]]
PAGE = "/api/job-estimates"
LOGIN = "/api/users/login"


def fail_first(faults: dict[str, Fault]) -> Callable[[Request], Fault | None]:
    """Fail the first request for each of these pages (`login` counts as one)."""
    seen: Counter[str] = Counter()

    def on_request(request: Request) -> Fault | None:
        page = request.parameters.get("page", "login")
        seen[page] += 1
        return faults.get(page) if seen[page] == 1 else None

    return on_request


def count(sample: RunningSample, path: str) -> int:
    return sum(request.path == path for request in sample.requests)


def test_what_passes_is_retried(jobs: Any, sample: RunningSample, fill: Fill) -> None:
    fill(70)
    sample.on_request = fail_first({
        "login": Response(status=503),
        "1": Response(status=500, body=b"<html>"),
        "2": Reset(),
        "3": Truncate(after=500),
        "4": Response(status=200, headers={"Content-Type": "text/html"}, body=b"<html>please wait</html>"),
        "5": Response(status=200, headers={"Content-Type": "application/json"}, body=b'{"docs":[{"id"'),
        "6": Response(status=504, headers={"Content-Type": "text/html"}, body=b"<html>Gateway Timeout</html>"),
    })  # fmt: skip

    job = jobs.run(sample, SYNC_PAGE_SIZE="10", SYNC_CONCURRENCY="6")

    assert job.process.returncode == 0
    assert (job.result.results.new_estimates, job.result.results.total_processed) == (70, 70)
    assert count(sample, PAGE) == 7 + 6 + 1
    assert "Page 1 failed (HTTP 500). Attempt 2 of 7 in" in job.output


def test_a_server_that_asks_to_wait_is_left_alone_for_that_time(jobs: Any, sample: RunningSample, fill: Fill) -> None:
    fill(40)
    # Page 4 becomes due while page 3 waits.
    asked_to_wait = Response(status=429, headers={"Retry-After": "1"})
    sample.on_request = fail_first({"2": Delay(seconds=0.3), "3": asked_to_wait})

    job = jobs.run(sample, SYNC_PAGE_SIZE="10", SYNC_CONCURRENCY="2")

    *pages, _closing = sample.requests
    times = [(request.parameters.get("page"), request.received_at) for request in pages]
    refused = next(time for page, time in times if page == "3")
    assert job.process.returncode == 0
    assert {page for page, time in times if time > refused and page != "2"} == {"3", "4"}
    assert min((time - refused).total_seconds() for page, time in times if time > refused and page != "2") >= 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Response(status=502), id="bad-gateway"),
        pytest.param(Response(status=504), id="gateway-timeout"),
        pytest.param(Reset(), id="reset"),
        pytest.param(Truncate(after=10), id="truncated"),
    ],
)
def test_after_the_last_attempt_it_gives_up(jobs: Any, sample: RunningSample, fault: Fault) -> None:
    settings = parse_settings(jobs.build_environment(sample))
    policy = RetryPolicy(attempts=3, first_delay=0.01)
    sample.on_request = lambda request: fault if request.path == PAGE else None

    async def fetch() -> None:
        with open("/dev/null", "w") as nowhere:  # noqa: ASYNC230, PTH123 - a device
            async with open_attic_tech(settings, log=create_log("text", nowhere, sync_id="s"), policy=policy) as source:
                await source.login()
                await source.fetch_page(PageQuery(page=1, number=1, limit=10))

    with pytest.raises(SourceUnavailableError, match=r"Attic Tech is not available\. Page 1 failed 3 times"):
        asyncio.run(fetch())
    assert count(sample, PAGE) == 3


def test_a_token_that_expires_is_renewed_once_for_all_pages_in_flight(
    jobs: Any, sample: RunningSample, fill: Fill
) -> None:
    fill(120)

    def revoke_once(request: Request) -> None:
        if request.parameters.get("page") == "5" and count(sample, LOGIN) == 1:
            sample.revoke_tokens()

    sample.on_request = revoke_once
    job = jobs.run(sample, SYNC_PAGE_SIZE="10", SYNC_CONCURRENCY="4")

    assert job.process.returncode == 0
    assert job.result.results.total_processed == 120
    assert count(sample, LOGIN) == 2


@pytest.mark.parametrize(
    ("refusals", "exit_code", "logins"),
    [pytest.param(3, 0, 4, id="until one arrives in time"), pytest.param(99, 10, 11, id="but not for ever")],
)
def test_tokens_that_expire_before_they_arrive_are_renewed_again(
    jobs: Any, refusals: int, exit_code: int, logins: int
) -> None:
    def lag() -> datetime:
        return datetime.now(UTC) - timedelta(hours=1)

    # By the Date of each answer, the sample's tokens have expired when they are given out.
    with running_sample(SampleConfig(clock=lag, token_lifetime=timedelta(minutes=1))) as sample:
        sample.on_request = lambda _: sample.revoke_tokens() if 0 < count(sample, PAGE) <= refusals else None
        job = jobs.run(sample, SYNC_CONCURRENCY="1")

    assert job.process.returncode == exit_code
    assert count(sample, LOGIN) == logins
    if exit_code:
        assert job.result.error.reason is Reason.SOURCE_UNAVAILABLE
        assert "Each of 10 tokens had expired before page 1" in job.result.error.message


@pytest.mark.parametrize(
    ("status", "reason"),
    [pytest.param(401, Reason.LOGIN_FAILED, id="401"), pytest.param(403, Reason.SOURCE_INVALID, id="403")],
)
def test_a_fresh_token_that_is_refused_too_ends_it(
    jobs: Any, sample: RunningSample, status: int, reason: Reason
) -> None:
    sample.on_request = lambda request: Response(status=status) if request.path == PAGE else None

    # One request at a time: of several, more than one may be refused before the first has ended the sync.
    job = jobs.run(sample, SYNC_CONCURRENCY="1")

    assert job.process.returncode == 20
    assert job.result.error.reason is reason
    assert (count(sample, LOGIN), count(sample, PAGE)) == (2, 2)


@pytest.mark.parametrize("path", [LOGIN, PAGE])
def test_neither_credentials_nor_token_follow_a_redirect(jobs: Any, sample: RunningSample, path: str) -> None:
    with running_sample() as other:
        location = {"Location": f"{other.url}{path}"}
        sample.on_request = lambda request: Response(status=307, headers=location) if request.path == path else None

        job = jobs.run(sample)

        assert job.process.returncode == 20
        assert job.result.error.reason is Reason.SOURCE_INVALID
        assert "correct ATTIC_TECH_URL" in job.result.error.message
        assert other.requests == []


def test_no_secret_is_in_the_log_or_the_result_whatever_fails(jobs: Any, sample: RunningSample, fill: Fill) -> None:
    fill(20)
    tokens: list[str] = []

    def fail_now_and_then(request: Request) -> Fault | None:
        tokens.append(request.headers.get("authorization", "").removeprefix("Bearer "))
        return fault(request)

    fault = fail_first({"login": Reset(), "1": Response(status=500), "2": Response(status=400)})
    sample.on_request = fail_now_and_then
    job = jobs.run(sample, SYNC_PAGE_SIZE="10")

    assert job.process.returncode == 20
    shown = job.output + str(job.result)
    assert any(tokens)
    assert not [secret for secret in ("made-up-password", *filter(None, tokens)) if secret in shown]
