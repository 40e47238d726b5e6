"""What the API server forgets or has no space for: etcd compacted for real, and etcd full for real."""

import base64
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from estimatesync_cluster.cluster import Cluster, running_cluster
from estimatesync_cluster.control_plane import create_etcd_client

QUOTA_BYTES = 24 * 1024 * 1024
CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"
FILLER_BYTES = 900_000
FULL_SECONDS = 12.0


@pytest.fixture
def small_cluster() -> Iterator[Cluster]:
    """A cluster whose etcd holds little."""
    with running_cluster(etcd_quota_bytes=QUOTA_BYTES) as cluster:
        yield cluster


@pytest.fixture
def etcd(small_cluster: Cluster) -> Iterator[httpx.Client]:
    assert small_cluster.layout is not None
    assert small_cluster.control_plane is not None
    with create_etcd_client(small_cluster.layout, small_cluster.control_plane.etcd_url) as client:
        yield client


def ask(etcd: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    answer: dict[str, Any] = etcd.post(path, json=body).raise_for_status().json()
    return answer


def compact(etcd: httpx.Client) -> None:
    """Let etcd forget every version but the newest of each object."""
    key = base64.b64encode(b"/registry/").decode()
    revision = ask(etcd, "/v3/kv/range", key=key)["header"]["revision"]
    ask(etcd, "/v3/kv/compaction", revision=revision, physical=True)


def test_watches_whose_version_is_really_gone_restart(
    open_world: Any, promise: Any, small_cluster: Cluster, etcd: httpx.Client
) -> None:
    assert small_cluster.control_plane is not None
    apiserver = small_cluster.control_plane.get_component("kube-apiserver")
    with open_world(small_cluster) as world:
        operator = world.start_operator()
        world.wait_until("both watches", lambda: world.proxy.count_watches() == 2)
        world.proxy.silence_watches()
        for name in ("sync", "passing"):
            world.create_sync(name, suspend=name == "passing")
        world.delete_sync("passing")

        compact(etcd)
        apiserver.stop(grace=0)
        apiserver.start_again()
        world.wait_until("the API server", lambda: is_ready(world))
        seen = len(world.proxy.requests)
        world.proxy.end_watches()

        world.wait_over("sync")
        assert world.list_lasting_faults("sync", promise()) == []
        assert not operator.process.has_ended()
        renewed = [p for p in world.proxy.requests[seen:] if p.is_watch and p.path.endswith("/estimatesyncs")]
        refused = world.client.get(f"{renewed[0].path}?{renewed[0].query}", timeout=60)
        assert '"code":410' in refused.text
        assert len(renewed) > 1


def test_an_etcd_that_is_full_delays_a_sync_and_loses_nothing(
    open_world: Any, promise: Any, small_cluster: Cluster, etcd: httpx.Client
) -> None:
    with open_world(small_cluster) as world:
        operator = world.start_operator()
        world.slow_down(0.3)
        world.create_sync("sync", pageSize=1, concurrency=1)
        world.wait_until("progress", lambda: world.read_status("sync").get("progress"))

        fill(world)
        full_until = time.monotonic() + FULL_SECONDS
        while time.monotonic() < full_until:
            assert operator.is_healthy(), "restarting the operator would not have helped"
            time.sleep(0.5)
        assert not world.is_over("sync")
        world.client.delete(CONFIG_MAPS.format(world.namespace)).raise_for_status()
        compact(etcd)
        ask(etcd, "/v3/maintenance/defragment")
        for alarm in ask(etcd, "/v3/maintenance/alarm", action="GET")["alarms"]:
            ask(etcd, "/v3/maintenance/alarm", action="DEACTIVATE", **alarm)

        world.wait_over("sync")
        # What happened while nothing could be written is reported, except for an event that meets it itself.
        assert world.list_lasting_faults("sync", promise(may_lose=3)) == []
        assert not operator.process.has_ended()


def fill(world: Any) -> None:
    """Store until nothing more is taken."""
    path, number = CONFIG_MAPS.format(world.namespace), 0
    while True:
        metadata = {"generateName": "filler-"}
        answer = world.client.post(path, json={"metadata": metadata, "data": {"filler": "x" * FILLER_BYTES}})
        if not answer.is_success:
            assert "database space exceeded" in answer.text
            return
        number += 1
        assert number * FILLER_BYTES < 2 * QUOTA_BYTES, "it does not get full"


def is_ready(world: Any) -> bool:
    try:
        return bool(world.client.get("/readyz").is_success)
    except httpx.TransportError:
        return False
