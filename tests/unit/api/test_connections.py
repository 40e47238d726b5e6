"""Which connection is closed when an address holds too many."""

from dataclasses import dataclass

import pytest
from estimatesync_api.core.connections import HEAD_SECONDS, ConnectionLimiter, compute_bound


@dataclass(eq=False)
class Held:
    """A connection."""

    is_waiting: bool = True


@pytest.mark.parametrize(
    ("open_files", "bound"),
    [
        pytest.param(65_536, 1000, id="plenty"),
        pytest.param(1024, 256, id="few"),
        pytest.param(3, 1, id="hardly any"),
    ],
)
def test_an_address_may_hold_a_share_of_what_there_is(open_files: int, bound: int) -> None:
    assert compute_bound(open_files) == bound


@pytest.mark.parametrize(
    ("waiting", "closed"),
    [
        pytest.param([True, True, True], 0, id="the oldest gives way"),
        pytest.param([False, True, True], 1, id="a request under way is not cut off"),
        pytest.param([False, False, False], 3, id="all are at work, and the newcomer goes"),
    ],
)
def test_one_that_only_waits_gives_way(waiting: list[bool], closed: int) -> None:
    limiter = ConnectionLimiter(3, is_proxy=lambda _peer: False)
    connections = [*(Held(is_waiting=each) for each in waiting), Held()]

    answers = [limiter.admit(each, "192.0.2.1") for each in connections]
    again = limiter.admit(Held(), "192.0.2.1")

    assert answers == [None, None, None, connections[closed]]
    assert (again is None) is False


@pytest.mark.parametrize(
    ("peers", "is_bounded"),
    [
        pytest.param(["192.0.2.1"] * 3, True, id="one address"),
        pytest.param(["2001:db8::1", "2001:db8::2", "2001:db8::3"], True, id="one household"),
        pytest.param(["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"], True, id="one address in two forms"),
        pytest.param(["192.0.2.1", "192.0.2.2", "192.0.2.3"], False, id="three addresses"),
        pytest.param(["10.0.0.1"] * 3, False, id="a trusted proxy"),
        pytest.param([""] * 3, False, id="no address"),
    ],
)
def test_the_bound_is_for_each_address(peers: list[str], *, is_bounded: bool) -> None:
    limiter = ConnectionLimiter(2, is_proxy=lambda peer: peer.startswith("10."))

    answers = [limiter.admit(Held(), peer) for peer in peers]

    assert [answer is not None for answer in answers] == [False, False, is_bounded]


def test_the_head_of_a_request_has_fifteen_seconds_as_the_documentation_says() -> None:
    assert HEAD_SECONDS == 15


def test_a_closed_connection_makes_room() -> None:
    limiter = ConnectionLimiter(1, is_proxy=lambda _peer: False)
    first, second = Held(), Held()
    limiter.admit(first, "192.0.2.1")

    limiter.forget(first, "192.0.2.1")
    limiter.forget(first, "192.0.2.1")

    assert limiter.admit(second, "192.0.2.1") is None
