"""How long to wait before the next attempt."""

import asyncio
import math

import msgspec
import pytest
from estimatesync_contract.log_lines import parse_trouble
from estimatesync_job.adapters.retry import Retries
from estimatesync_job.core.errors import TransientSourceError
from estimatesync_job.core.ports import Level
from estimatesync_job.core.retry_delay import RetryPolicy, compute_retry_delay

POLICY = RetryPolicy(attempts=7, first_delay=1.0, longest_delay=30.0, longest_retry_after=120.0)


@pytest.mark.parametrize(
    ("failures", "jitter", "retry_after", "delay"),
    [
        pytest.param(1, 1.0, None, 1.0, id="first"),
        pytest.param(3, 1.0, None, 4.0, id="doubling"),
        pytest.param(3, 0.25, None, 1.0, id="jitter-takes-any-part"),
        pytest.param(3, 0.0, None, 0.0, id="down-to-nothing"),
        pytest.param(7, 1.0, None, 30.0, id="bounded"),
        pytest.param(60, 0.5, None, 15.0, id="after-very-many"),
        pytest.param(1, 0.0, 7.0, 7.0, id="as-long-as-asked"),
        pytest.param(1, 1.0, 7.0, 8.0, id="jitter-only-added"),
        pytest.param(1, 0.0, 86_400.0, 120.0, id="asked-for-a-day"),
        pytest.param(1, 0.5, 0.0, 0.5, id="a-date-gone-by"),
    ],
)
def test_delays(failures: int, jitter: float, retry_after: float | None, delay: float) -> None:
    computed = compute_retry_delay(
        POLICY, failures=failures, jitter=jitter, retry_after=retry_after, remaining=math.inf
    )

    assert computed == pytest.approx(delay)


def test_by_default_a_request_is_tried_for_about_half_a_minute_up_to_a_minute() -> None:
    policy = RetryPolicy()

    delays = [
        compute_retry_delay(policy, failures=failures, jitter=1.0, retry_after=None, remaining=math.inf)
        for failures in range(1, policy.attempts)
    ]

    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert compute_retry_delay(policy, failures=1, jitter=0.0, retry_after=999.0, remaining=math.inf) == 120.0


@pytest.mark.parametrize(
    ("retry_after", "remaining", "delay"),
    [
        pytest.param(900.0, 3000.0, 900.5, id="as-long-as-asked-for-there-is-time"),
        pytest.param(900.0, 900.0, None, id="too-late"),
        pytest.param(None, 0.2, None, id="too-late-for-any-delay"),
        pytest.param(None, 10.0, 0.5, id="in-time"),
    ],
)
def test_a_known_deadline_bounds_delays(retry_after: float | None, remaining: float, delay: float | None) -> None:
    assert compute_retry_delay(POLICY, failures=1, jitter=0.5, retry_after=retry_after, remaining=remaining) == delay


class Lines:
    """A log that keeps its sentences."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, action: str, message: str, *, level: Level = "info", **fields: str | float) -> None:  # noqa: ARG002 - the sentence says it all
        self.lines.append(message)


@pytest.mark.parametrize("failures", [0, 2])
def test_a_request_that_succeeds_after_it_had_failed_says_once_that_there_is_an_answer_again(failures: int) -> None:
    log, left = Lines(), [TransientSourceError("no complete answer")] * failures
    retries = Retries(msgspec.structs.replace(POLICY, first_delay=0.0, longest_delay=0.0), log=log, ends_at=math.inf)
    troubles: list[bool] = []

    async def send() -> int:
        troubles.append(parse_trouble(log.lines) is not None)
        if left:
            raise left.pop()
        return 7

    assert asyncio.run(retries.run("Page 3", send)) == 7

    answered = [line for line in log.lines if "answers again" in line]
    assert answered == ["✅ [SYNC] Page 3 succeeded at attempt 3: Attic Tech answers again"] * (failures > 0)
    assert troubles == [False, *[True] * failures]
    assert parse_trouble(log.lines) is None
