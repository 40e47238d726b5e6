"""What a sync costs the API server, by the API server's own books."""

from collections import Counter
from typing import Any

from estimatesync_cluster.product_processes import build_rights, read_rules

CALLS_PER_SYNC = 8
"""One by one in tests/unit/simulator/test_histories.py, where no sync is slow."""
CALLS_PER_LOOK = 4
"""Job, pods, once there is one its log, and the status if there is progress."""
LOOK_SECONDS = 5
"""Until a job whose pod has not begun is looked at."""


def test_a_sync_costs_few_calls_apart_from_its_progress(scenario: Any) -> None:
    # Longer than the time in which nothing is looked at.
    scenario.slow_down(4)

    scenario.apply("counted")
    scenario.wait_until(
        "the last event", lambda: "CallbackDelivered" in {event["reason"] for event in scenario.find_all("Event")}
    )

    answered = [call for call in scenario.read_operator_calls() if call.status < 400]
    writes = [call for call in answered if call.resource == "estimatesyncs/status"]
    seconds = (writes[-1].answered - writes[0].received).total_seconds()
    calls = Counter((call.verb, call.resource) for call in answered)
    # kopf lists and watches both kinds once; the operator lists the syncs once more, at start.
    # The lease is taken once and renewed by the clock.
    for verb in ("get", "create", "update"):
        calls.pop((verb, "leases"), 0)
    at_start = sum(calls.pop((verb, kind), 0) for verb in ("list", "watch") for kind in ("estimatesyncs", "jobs"))
    assert calls[("get", "pods/log")] > 0
    # One more is judged at start, and not stored.
    assert calls[("create", "jobs")] == 1 + 1
    assert calls[("create", "events")] == 3
    looks = calls[("get", "pods/log")] + seconds // LOOK_SECONDS
    assert calls.total() - 1 <= CALLS_PER_SYNC + CALLS_PER_LOOK * looks, calls
    assert at_start <= 5


def test_every_right_of_the_operator_is_used_and_no_other_is_asked_for(scenario: Any) -> None:
    scenario.slow_down(0.5)
    # One that has succeeded would stay.
    scenario.apply("kept")
    scenario.wait_callback("kept")
    scenario.apply("short-lived", ttlSecondsAfterFinished=1, cancel=True)
    scenario.wait_until("only one left", lambda: len(scenario.find_all("EstimateSync")) == 1)
    scenario.create(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}}
    )
    scenario.apply("stuck")
    scenario.wait_reason("stuck", "PodRefused")
    scenario.patch("EstimateSync", "stuck", {"spec": {"cancel": True}})
    scenario.wait_finished("stuck")

    # A watch is in the books when it has ended.
    scenario.product.stop_operator()

    def list_asked() -> set[tuple[str, str]]:
        return {(call.verb, call.resource) for call in scenario.read_operator_calls()}

    scenario.wait_until("the watches in the books", lambda: ("watch", "jobs") in list_asked())
    # A pod is deleted where a sidecar keeps it alive: test_changed_pods.
    assert list_asked() == build_rights(read_rules("operator")) - {("delete", "pods")}
