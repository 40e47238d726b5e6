"""How soon a callback arrives while hundreds of others go nowhere: `python tests/benchmarks/bench_callback_latency.py`.

Five hundred finished syncs owe a callback to a target that accepts connections and never answers. One fresh sync after
the other then ends, and what is measured is the time from its job's end, as the API server has it, to the arrival of
its callback at a target that lives. No pod starts: the jobs are ended by hand, so that the machine measures the
operator.
"""

import argparse
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from bench_operator_scale import build_finished_status, create_syncs, finish_syncs, syncs_path, wait_until
from estimatesync_cluster.cluster import Cluster, running_cluster
from estimatesync_cluster.control_plane import create_admin_client
from estimatesync_cluster.product_processes import Product, ProductSettings
from sample_attic_tech.receiver import Receiver, running_receiver

SECRET = "estimatesync-callback"
PAUSE_SECONDS = 0.5
GOAL_SECONDS = 1.0


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pending", type=int, default=500, help="callbacks that go nowhere")
    parser.add_argument("--fresh", type=int, default=60, help="syncs whose callback is waited for")
    sizes = parser.parse_args()
    with running_cluster() as cluster, running_receiver() as receiver, silent_target() as hole:
        latencies = measure(cluster, receiver, hole, pending=sizes.pending, fresh=sizes.fresh)
    *_, percentile = statistics.quantiles(latencies, n=20, method="inclusive")
    figures = {
        "pending": sizes.pending,
        "fresh": sizes.fresh,
        "median_seconds": round(statistics.median(latencies), 3),
        "p95_seconds": round(percentile, 3),
        "longest_seconds": round(max(latencies), 3),
        "goal_met": percentile <= GOAL_SECONDS,
    }
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


@contextmanager
def silent_target() -> Iterator[str]:
    """A URL at which connections are accepted, by the kernel, and nothing is ever answered."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=4096)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/made-up"


def measure(cluster: Cluster, receiver: Receiver, hole: str, *, pending: int, fresh: int) -> list[float]:
    """Seconds from the end of each fresh sync's job to its callback."""
    assert cluster.layout is not None
    namespace = "bench-callbacks"
    cluster.kubectl("create", "namespace", namespace)
    with tempfile.TemporaryDirectory() as state, create_admin_client(cluster.layout, cluster.server) as client:
        client.timeout = httpx.Timeout(60)
        product = Product(cluster=cluster, namespace=namespace, settings=build_settings(hole), state_dir=Path(state))
        product.install()
        write_target(product, f"{receiver.url}/made-up")
        try:
            return measure_installed(product, client, receiver, pending=pending, fresh=fresh)
        finally:
            product.stop()


def build_settings(hole: str) -> ProductSettings:
    """The operator's own target is the dead one."""
    return ProductSettings(
        source_url="http://127.0.0.1:9",
        source_email="nobody@example.test",
        source_password="made-up",
        database_url="postgresql://127.0.0.1:9/none",
        api_key="made-up-key-for-benchmarks",
        callback_url=hole,
        operator={
            "MAX_ACTIVE_SYNCS": "10000",
            "SYNC_NODE_SELECTOR": "no=such",
            "PROGRESS_SECONDS": "2",
            "CALLBACK_ALLOWED_SECRETS": SECRET,
        },
    )


def write_target(product: Product, url: str) -> None:
    """Let syncs name a target that lives, and the operator read it."""
    account = f"--serviceaccount={product.namespace}:estimatesync-operator"
    product.kubectl("create", "role", SECRET, "--verb=get", "--resource=secrets", f"--resource-name={SECRET}")
    product.kubectl("create", "rolebinding", SECRET, f"--role={SECRET}", account)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": {"url": url}}
    product.kubectl("apply", "--filename=-", stdin=json.dumps(secret))


def measure_installed(
    product: Product, client: httpx.Client, receiver: Receiver, *, pending: int, fresh: int
) -> list[float]:
    """Let the callbacks go nowhere, then end one fresh sync after the other."""
    dead = [f"dead-{number:04}" for number in range(pending)]
    create_syncs(client, product.namespace, dead)
    names = [f"fresh-{number:04}" for number in range(fresh)]
    for name in names:
        create_fresh(client, product.namespace, name)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    owed = {"state": "Pending", "id": "msg_made-up", "environment": "production"}
    finish_syncs(client, product.namespace, dead, {**build_finished_status(now), "callback": owed})
    product.start_operator()
    jobs = {name: wait_for_job(client, product.namespace, name) for name in names}
    latencies = []
    for name in names:
        ended = end_job(client, product.namespace, jobs[name])
        arrived = wait_for_callback(receiver, name)
        latencies.append((arrived - ended).total_seconds())
        time.sleep(PAUSE_SECONDS)
    return latencies


def create_fresh(client: httpx.Client, namespace: str, name: str) -> None:
    """Ask for a sync whose callback goes to the target that lives."""
    spec = {"callback": {"urlSecretRef": {"name": SECRET, "key": "url"}}}
    sync = {"apiVersion": "botzilla.io/v1", "kind": "EstimateSync", "metadata": {"name": name}, "spec": spec}
    client.post(syncs_path(namespace), json=sync).raise_for_status()


def wait_for_job(client: httpx.Client, namespace: str, name: str) -> str:
    """Name the job of a sync, once it is there and has its pod."""

    def read() -> dict[str, Any]:
        selector = {"labelSelector": f"botzilla.io/sync={name}"}
        jobs = client.get(f"/apis/batch/v1/namespaces/{namespace}/jobs", params=selector).json()["items"]
        return dict(jobs[0]) if jobs and jobs[0].get("status", {}).get("active") else {}

    wait_until(lambda: bool(read()))
    return str(read()["metadata"]["name"])


def end_job(client: httpx.Client, namespace: str, job: str) -> datetime:
    """Let a job fail, as its controller would; return when the API server had it."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    words = {"status": "True", "reason": "BackoffLimitExceeded", "message": "made up", "lastTransitionTime": now}
    conditions = [{"type": kind, **words} for kind in ("FailureTarget", "Failed")]
    status = {"active": 0, "ready": 0, "terminating": 0, "failed": 1, "conditions": conditions}
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs/{job}/status"
    headers = {"Content-Type": "application/merge-patch+json"}
    client.patch(path, content=json.dumps({"status": status}), headers=headers).raise_for_status()
    return datetime.now(UTC)


def wait_for_callback(receiver: Receiver, name: str) -> datetime:
    """When the callback of a sync arrived."""

    def find() -> datetime | None:
        for delivery in reversed(receiver.deliveries):
            if json.loads(delivery.body)["sync_id"] == name:
                return delivery.received_at
        return None

    wait_until(lambda: find() is not None)
    found = find()
    assert found is not None
    return found


if __name__ == "__main__":
    main()
