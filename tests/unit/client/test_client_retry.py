"""When the same request is sent again."""

import pytest
from estimatesync_client.core.waiting import POLL_SECONDS, REQUEST_PATIENCE, WAIT_PATIENCE, next_delay


@pytest.mark.parametrize(
    ("failures", "retry_after", "remaining", "delay"),
    [
        pytest.param(1, None, 30.0, 0.5, id="soon at first"),
        pytest.param(3, None, 30.0, 2.0, id="then later"),
        pytest.param(40, None, 30.0, 10.0, id="but never very late"),
        pytest.param(1, 12.0, 30.0, 12.0, id="not before the server wants it"),
        pytest.param(6, 1.0, 30.0, 1.0, id="as soon as the server wants it"),
        pytest.param(1, 0.0, 30.0, 0.5, id="but never without a pause"),
        pytest.param(1, 60.0, 30.0, None, id="the server wants more than there is"),
        pytest.param(5, None, 3.0, None, id="the patience is over"),
        pytest.param(1, None, 0.5, 0.5, id="just in time"),
    ],
)
def test_the_next_try_comes_in_time_or_never(
    failures: int, retry_after: float | None, remaining: float, delay: float | None
) -> None:
    assert next_delay(failures, retry_after=retry_after, remaining=remaining) == delay


def test_a_command_waits_half_a_minute_for_a_server_and_a_wait_five_minutes() -> None:
    assert (REQUEST_PATIENCE, WAIT_PATIENCE, POLL_SECONDS) == (30.0, 300.0, 1.0)
