from datetime import UTC, datetime

import pytest
from estimatesync_operator.core.lease import (
    Identity,
    Lease,
    LeaseTiming,
    Standing,
    Watched,
    parse_lease,
    to_lease_object,
)
from msgspec import json, structs

NOW = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)
TIMING = LeaseTiming()
ME = Identity(release="shop", pod="operator-a", process="1")
OTHER = Identity(release="shop", pod="operator-b", process="2")
STRANGER = Identity(release="copy", pod="operator-c", process="3")
PREDECESSOR = structs.replace(ME, process="0")


def stored(holder: Identity | None, version: int = 1, **spec: object) -> Lease:
    """A lease as the API server shows it."""
    held = Lease().hold(holder or ME, (), now=NOW, timing=TIMING)
    lease = held if holder else held.release((), now=NOW)
    metadata = structs.replace(lease.metadata, resource_version=str(version))
    return Lease(metadata=metadata, spec=structs.replace(lease.spec, **spec))


def watch(*looks: tuple[float, Lease | None]) -> Watched:
    watched = Watched()
    for now, lease in looks:
        watched = watched.look(lease, now=now)
    return watched


@pytest.mark.parametrize(
    ("looks", "now", "standing"),
    [
        pytest.param([(0, None)], 0, Standing.TAKE, id="there is none"),
        pytest.param([(0, stored(None))], 0, Standing.TAKE, id="it was given back"),
        pytest.param([(0, stored(ME))], 0, Standing.TAKE, id="it is mine: the answer was lost"),
        pytest.param([(0, stored(OTHER))], 0, Standing.WAIT, id="another one leads"),
        pytest.param([(0, stored(OTHER)), (9, stored(OTHER))], 9.9, Standing.WAIT, id="it has not lapsed"),
        pytest.param([(0, stored(OTHER)), (9, stored(OTHER))], 10, Standing.TAKE, id="it has lapsed"),
        pytest.param([(0, stored(OTHER)), (9, stored(OTHER, 2))], 18, Standing.WAIT, id="it was renewed"),
        pytest.param([(0, stored(OTHER)), (9, stored(OTHER, 2))], 19, Standing.TAKE, id="it has lapsed since"),
        pytest.param([(5, stored(OTHER, lease_duration_seconds=60))], 64, Standing.WAIT, id="by its own duration"),
        pytest.param([(0, stored(PREDECESSOR))], 0, Standing.TAKE, id="its holder was this pod's last process"),
        pytest.param([(0, stored(PREDECESSOR)), (1, stored(PREDECESSOR))], 1, Standing.TAKE, id="the first try failed"),
        pytest.param([(0, stored(ME)), (1, stored(PREDECESSOR, 2))], 1, Standing.WAIT, id="a twin has taken it"),
        pytest.param([(0, stored(STRANGER))], 0, Standing.WAIT, id="another release may be gone"),
        pytest.param(
            [(0, stored(STRANGER)), (2, stored(STRANGER, 2))], 2, Standing.REFUSED, id="another release lives"
        ),
        pytest.param(
            [(0, stored(STRANGER)), (2, stored(STRANGER, 2))], 12, Standing.TAKE, id="another release is gone"
        ),
        pytest.param([(0, stored(STRANGER)), (2, stored(OTHER, 2))], 2, Standing.WAIT, id="ours after another's"),
    ],
)
def test_what_may_be_done_about_a_lease(
    looks: list[tuple[float, Lease | None]], now: float, standing: Standing
) -> None:
    assert watch(*looks).decide(ME, now=now, timing=TIMING) is standing


def test_a_leader_stops_acting_before_anyone_else_may_lead() -> None:
    """Also when a call of each takes as long as it may: the one counts from its request, the other from the answer."""
    assert TIMING.deadline < TIMING.duration
    assert TIMING.renewal + TIMING.call < TIMING.deadline


def test_a_lost_leader_is_followed_within_fifteen_seconds() -> None:
    """It died right after a renewal that the other one saw only at its next look; and one call may take its time."""
    assert TIMING.poll + TIMING.duration + TIMING.call < 15


def test_taking_it_counts_a_transition_and_renewing_it_none() -> None:
    first = stored(OTHER)
    taken = first.hold(ME, ["b", "a"], now=NOW, timing=TIMING)
    again = taken.hold(ME, [], now=NOW, timing=TIMING)

    assert [lease.spec.lease_transitions for lease in (first, taken, again)] == [0, 1, 1]
    assert (taken.version, taken.holder) == ("1", "shop/operator-a_1")
    assert [taken.starting, again.starting] == [{"a", "b"}, set()]


def test_giving_it_back_keeps_what_is_being_started() -> None:
    given = stored(ME).hold(ME, ["a"], now=NOW, timing=TIMING).release(["a"], now=NOW)

    assert (given.holder, given.starting) == ("", {"a"})
    assert "holderIdentity" not in to_lease_object(given)["spec"]  # type: ignore[operator]


def test_what_people_have_added_stays() -> None:
    body = {
        "metadata": {"name": "x", "resourceVersion": "7", "labels": {"team": "a"}, "annotations": {"note": "b"}},
        "spec": {"holderIdentity": "someone"},
    }

    lease = parse_lease(json.encode(body)).hold(ME, ["a"], now=NOW, timing=TIMING)

    metadata = to_lease_object(lease)["metadata"]
    assert metadata == {
        "name": "x",
        "resourceVersion": "7",
        "labels": {"team": "a"},
        "annotations": {"note": "b", "botzilla.io/starting": "a"},
    }


@pytest.mark.parametrize(
    ("holder", "identity"),
    [
        (str(ME), ME),
        ("shop/pod_with_lines_9", Identity(release="shop", pod="pod_with_lines", process="9")),
        ("someone", Identity(release="someone", pod="", process="")),
    ],
)
def test_a_holder_says_its_release_and_its_pod(holder: str, identity: Identity) -> None:
    assert Identity.parse(holder) == identity
