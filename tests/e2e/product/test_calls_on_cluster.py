"""What a sync costs the API server, by the API server's own books."""

from collections import Counter
from typing import Any

CALLS_PER_SYNC = 12
CALLS_PER_LOOK = 4
"""Job, pods, log, and the status if there is progress."""


def test_a_sync_costs_a_dozen_calls_besides_its_progress(story: Any) -> None:
    story.slow_down(0.5)

    story.apply("counted")
    story.wait_until("the last event", lambda: "CallbackDelivered" in story.product.kubectl("get", "events"))

    calls = Counter((call.verb, call.resource) for call in story.read_operator_calls() if call.status < 400)
    # kopf lists and watches both kinds once; the operator lists the syncs once more, at start.
    at_start = sum(calls.pop((verb, kind), 0) for verb in ("list", "watch") for kind in ("estimatesyncs", "jobs"))
    looks = calls[("get", "pods/log")]
    assert looks > 0
    assert calls[("create", "jobs")] == 1
    assert calls[("create", "events")] == 4
    assert calls.total() <= CALLS_PER_SYNC + CALLS_PER_LOOK * looks, calls
    assert at_start <= 5
