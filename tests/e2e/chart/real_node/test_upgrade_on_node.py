"""A release of an earlier version is upgraded with syncs at work, and rolled back. No sync is lost or runs twice.

`make test-upgrade EARLIER=<commit>` builds the earlier images and runs this; with `make test-release EARLIER=<commit>`
both versions come from a registry.
"""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

EARLIER_CHART = Path(os.environ["ESTIMATESYNC_TEST_EARLIER"]) / "charts" / "estimatesync"
FROM_REGISTRY = bool(os.environ.get("ESTIMATESYNC_TEST_RELEASE"))
ESTIMATES = 120


def slow_down(sample: Any, seconds: float) -> None:
    def delay(request: Any) -> None:
        if request.path == "/api/job-estimates":
            time.sleep(seconds)

    sample.on_request = delay


def read_phases(release: Any) -> dict[str, str]:
    items = json.loads(release.kubectl("get", "esync", "--output=json"))["items"]
    return {item["metadata"]["name"]: item.get("status", {}).get("phase", "") for item in items}


def list_callbacks(receiver: Any) -> set[tuple[str, str]]:
    """By sync and webhook-id: an operator that is replaced while it delivers may deliver again, under the same id."""
    return {(json.loads(each.body)["sync_id"], each.headers["webhook-id"]) for each in receiver.deliveries}


def deploy_earlier(release: Any, published: Any) -> None:
    if published:
        published.deploy_earlier(release, "install")
        return
    release.values["images"] = {"tag": "earlier"}
    release.deploy("install", chart=EARLIER_CHART)


def upgrade(release: Any, published: Any) -> None:
    if published:
        published.deploy(release, "upgrade")
        return
    del release.values["images"]
    release.deploy("upgrade")


def test_syncs_at_work_live_through_an_upgrade_from_an_earlier_version_and_back(
    request: pytest.FixtureRequest, release: Any, sample: Any, receiver: Any, count_estimates: Callable[[], int]
) -> None:
    published = request.getfixturevalue("published") if FROM_REGISTRY else None
    release.values["api"]["repeatedRequests"] = "start"
    deploy_earlier(release, published)
    slow_down(sample, 2.0)
    running, queued, last = (release.post().json()["sync_id"] for _ in range(3))
    release.wait_status(running, "running")

    upgrade(release, published)
    posted_after = release.post().json()["sync_id"]
    assert read_phases(release)[running] in {"Running", "Succeeded"}
    release.wait_status(running, "succeeded")
    release.wait_status(queued, "running")
    place = json.loads(release.kubectl("get", "esync", last, "--output=json"))["status"]["queue"]
    release.helm("rollback", "sync", "1", "--wait", "--timeout=90s")

    syncs = {running, queued, last, posted_after}
    for each in syncs:
        release.wait_status(each, "succeeded")
    release.wait_until("every callback", lambda: {sync for sync, _ in list_callbacks(receiver)} == syncs)
    assert len(list_callbacks(receiver)) == len(syncs)
    assert (place["position"], place["ahead"]) == (1, [queued])
    jobs = json.loads(release.kubectl("get", "jobs", "--output=json"))["items"]
    assert len(jobs) == len(syncs)
    assert count_estimates() == ESTIMATES
    assert set(read_phases(release).values()) == {"Succeeded"}
