"""In which order the addresses of a target are tried, and how long each."""

from ipaddress import ip_address

import pytest
from estimatesync_contract.callback_url import parse_target
from estimatesync_operator.callback.addresses import AddressMemory, Tried, compute_connect_seconds, order_addresses
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
    known = Tried(ip_address(reached) if reached else None)

    assert [str(each) for each in order_addresses([ip_address(text) for text in resolved], tried=known)] == tried


@pytest.mark.parametrize(
    ("outcomes", "tried"),
    [
        pytest.param([], "1 2 3", id="nothing known"),
        pytest.param([("2", True)], "2 1 3", id="one answered"),
        pytest.param([("2", True), ("3", True)], "3 1 2", id="another answered since"),
        pytest.param([("1", False)], "2 3 1", id="one failed"),
        pytest.param([("1", False), ("2", False)], "3 1 2", id="two failed: those that were not tried come first"),
        pytest.param([("1", False), ("2", False), ("3", False)], "1 2 3", id="all failed: in turn"),
        pytest.param([("1", False), ("2", False), ("1", False)], "3 2 1", id="one failed again"),
        pytest.param([("2", True), ("2", False)], "1 3 2", id="one answered, and has failed since"),
        pytest.param([("1", False), ("1", True)], "1 2 3", id="one failed, and has answered since"),
        pytest.param([("9", False), ("8", True)], "1 2 3", id="those that are no more"),
    ],
)
def test_an_address_that_failed_is_tried_after_all_others(outcomes: list[tuple[str, bool]], tried: str) -> None:
    memory, target = AddressMemory(), parse_target("https://x.test/a", allow_insecure=False)
    for number, is_good in outcomes:
        (memory.note_answer if is_good else memory.note_failure)(target, ip_address(f"1.1.1.{number}"))

    ordered = memory.order(target, [ip_address(f"1.1.1.{number}") for number in (1, 2, 3)])

    assert " ".join(str(each)[-1] for each in ordered) == tried


def test_targets_are_remembered_apart_and_not_without_end() -> None:
    memory, addresses = AddressMemory(), [ip_address("1.1.1.1"), ip_address("1.1.1.2")]
    targets = [parse_target(f"https://x{number}.test/a", allow_insecure=False) for number in range(1001)]
    for target in targets:
        memory.note_failure(target, addresses[0])

    firsts = [memory.order(target, addresses)[0] for target in (targets[0], targets[1], targets[-1])]

    assert firsts == [addresses[0], addresses[1], addresses[1]]


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
