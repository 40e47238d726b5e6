"""In which order the addresses of a target are tried, and how long each."""

from ipaddress import ip_address

import pytest
from estimatesync_operator.callback.sender import compute_connect_seconds, order_addresses
from estimatesync_operator.callback.settings import CallbackSettings


@pytest.mark.parametrize(
    ("resolved", "reached", "tried"),
    [
        pytest.param([], None, [], id="none"),
        pytest.param(["1.1.1.1"], None, ["1.1.1.1"], id="one"),
        pytest.param(["1.1.1.1", "1.1.1.2"], None, ["1.1.1.1", "1.1.1.2"], id="the resolver's order"),
        pytest.param(["::a", "::b", "1.1.1.1"], None, ["::a", "1.1.1.1", "::b"], id="the families in turn"),
        pytest.param(["1.1.1.1", "::a", "::b"], None, ["1.1.1.1", "::a", "::b"], id="as the resolver begins"),
        pytest.param(["1.1.1.1", "1.1.1.2"], "1.1.1.2", ["1.1.1.2", "1.1.1.1"], id="the one that was reached"),
        pytest.param(["1.1.1.1", "1.1.1.2"], "9.9.9.9", ["1.1.1.1", "1.1.1.2"], id="one that is no more"),
    ],
)
def test_addresses_are_tried_in_order(resolved: list[str], reached: str | None, tried: list[str]) -> None:
    known = ip_address(reached) if reached else None

    assert [str(each) for each in order_addresses([ip_address(text) for text in resolved], reached=known)] == tried


@pytest.mark.parametrize("count", [1, 2, 3, 4, 11, 32])
def test_all_are_tried_and_the_last_has_time_to_answer(count: int) -> None:
    remaining, waits = 15.0, []

    for left in range(count, 1, -1):
        waits.append(compute_connect_seconds(remaining, left=left, settings=CallbackSettings()))
        remaining -= waits[-1]
    last = compute_connect_seconds(remaining, left=1, settings=CallbackSettings())

    assert remaining >= 5
    assert last == 5.0
    assert all(0 < wait <= 5 for wait in waits)


@pytest.mark.parametrize(
    ("total", "remaining", "left", "seconds"),
    [
        pytest.param(15.0, 15.0, 2, 5.0, id="never more than the setting"),
        pytest.param(15.0, 15.0, 4, 2.5, id="a share"),
        pytest.param(0.4, 0.4, 2, 0.1, id="a short attempt"),
        pytest.param(15.0, 4.0, 2, 0.0, id="what is left is for the answer"),
        pytest.param(15.0, -1.0, 1, 0.0, id="no time"),
    ],
)
def test_the_wait_has_bounds(total: float, remaining: float, left: int, seconds: float) -> None:
    settings = CallbackSettings(total_seconds=total)

    assert compute_connect_seconds(remaining, left=left, settings=settings) == pytest.approx(seconds)
