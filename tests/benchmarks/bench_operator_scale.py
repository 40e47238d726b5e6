"""How the operator fares with many syncs, on a real API server: `python tests/benchmarks/bench_operator_scale.py`.

Three questions: how long a thousand syncs created at once take to get their jobs (and how long a bare loop takes to
create a thousand jobs), how much memory that needs, and what ten thousand finished syncs cost at a restart and at rest.
No pod starts: sync pods ask for a node that there is not, so that the machine measures the operator. What the operator
asks for is counted by the API server's own books.
"""

import argparse
import json
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from estimatesync_cluster.audit import read_api_calls
from estimatesync_cluster.cluster import Cluster, running_cluster
from estimatesync_cluster.control_plane import create_admin_client
from estimatesync_cluster.product_processes import Product, ProductSettings
from machine import read_machine
from report import Part, build_part, write_part

THREADS = 8
REST_SECONDS = 30.0
WAIT_SECONDS = 600.0
SETTINGS = ProductSettings(
    source_url="http://127.0.0.1:9",
    source_email="nobody@example.test",
    source_password="made-up",
    database_url="postgresql://127.0.0.1:9/none",
    api_key="made-up-key-for-benchmarks",
    operator={"MAX_ACTIVE_SYNCS": "10000", "SYNC_NODE_SELECTOR": "no=such", "PROGRESS_SECONDS": "2"},
)


def main() -> None:
    """Measure, print one JSON object, and write the part of the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", type=int, default=1000, help="syncs created together")
    parser.add_argument("--at-rest", type=int, default=10_000, help="finished syncs")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    with running_cluster() as cluster:
        figures = {**measure_burst(cluster, options.at_once), **measure_rest(cluster, options.at_rest)}
        machine = read_machine(read_version(cluster))
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    if options.write:
        rows = iterate_rows(figures)
        write_part(
            Part.OPERATOR, build_part("The operator", Part.OPERATOR, rows, machine=machine, at=datetime.now(UTC))
        )


def iterate_rows(figures: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The table of the page."""
    count, rest = f"{figures['at_once']:,}", f"{figures['at_rest']:,}"
    times = ", ".join(f"{number} × {call}" for call, number in figures["calls"].items())
    yield (
        f"{count} syncs created at once, without a limit on active syncs: all jobs after",
        (f"{figures['all_jobs_seconds']} s"),
        "",
    )
    yield f"a bare loop that creates {count} Jobs", f"{figures['bare_loop_seconds']} s", ""
    yield "the one ÷ the other", f"**{figures['ratio']}**", "≤ 3"
    yield "calls to the API server until then, for each sync", f"{figures['calls_a_sync']}", ""
    yield "all of them", times, ""
    yield "the operator's processor time for each sync until then", f"{figures['milliseconds_a_sync']} ms", ""
    yield "its peak memory", f"{figures['peak_memory_mb']} MB", ""
    yield (
        f"{rest} finished syncs: from the start of the operator to its first reconcile",
        (f"{figures['restart_to_first_reconcile_seconds']} s"),
        "≤ 5 s",
    )
    yield "its processor time until then", f"{figures['restart_cpu_seconds']} s", ""
    yield "its peak memory with them", f"{figures['rest_memory_mb']} MB", "≤ 150 MB"
    yield "share of one core when idle", f"{figures['idle_cpu_percent']} %", ""


def measure_burst(cluster: Cluster, count: int) -> dict[str, Any]:
    """Create syncs at once and wait for all their jobs; then the same number of jobs in a bare loop."""
    with installed(cluster) as (product, client):
        product.start_operator()
        names = [f"burst-{number:05}" for number in range(count)]
        spent = read_cpu_seconds(product)
        began = time.monotonic()
        create_syncs(client, product.namespace, names)
        created = time.monotonic() - began
        jobs = f"/apis/batch/v1/namespaces/{product.namespace}/jobs"
        wait_until(lambda: count_objects(client, jobs) >= count)
        seconds = time.monotonic() - began
        spent, memory = read_cpu_seconds(product) - spent, read_memory(product)
        calls = count_calls(cluster, product.namespace)
    with installed(cluster) as (product, client):
        path = f"/apis/batch/v1/namespaces/{product.namespace}/jobs"
        began = time.monotonic()
        for number in range(count):
            client.post(path, json=build_bare_job(number)).raise_for_status()
        bare = time.monotonic() - began
    return {
        "at_once": count,
        "syncs_created_seconds": round(created, 1),
        "all_jobs_seconds": round(seconds, 1),
        "bare_loop_seconds": round(bare, 1),
        "ratio": round(seconds / bare, 2),
        "milliseconds_a_sync": round(1000 * spent / count, 1),
        "peak_memory_mb": memory,
        "calls": calls,
        "calls_a_sync": round(sum(calls.values()) / count, 2),
    }


def measure_rest(cluster: Cluster, count: int) -> dict[str, Any]:
    """Start the operator among finished syncs and one new one; then let it rest."""
    with installed(cluster) as (product, client):
        names = [f"done-{number:05}" for number in range(count)]
        create_syncs(client, product.namespace, names)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        finish_syncs(client, product.namespace, names, build_finished_status(now))
        create_syncs(client, product.namespace, ["new"])
        began = time.monotonic()
        product.start_operator()
        path = f"{syncs_path(product.namespace)}/new"
        wait_until(lambda: client.get(path).json().get("status", {}).get("phase") == "Running")
        first, spent = time.monotonic() - began, read_cpu_seconds(product)
        time.sleep(REST_SECONDS)
        before = read_cpu_seconds(product)
        time.sleep(REST_SECONDS)
        share = (read_cpu_seconds(product) - before) / REST_SECONDS
        return {
            "at_rest": count,
            "restart_to_first_reconcile_seconds": round(first, 1),
            "restart_cpu_seconds": round(spent, 1),
            "rest_memory_mb": read_memory(product),
            "idle_cpu_percent": round(100 * share, 1),
        }


@contextmanager
def installed(cluster: Cluster) -> Iterator[tuple[Product, httpx.Client]]:
    """The product in a namespace of its own, not started."""
    assert cluster.layout is not None
    namespace = f"bench-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", namespace)
    with tempfile.TemporaryDirectory() as state, create_admin_client(cluster.layout, cluster.server) as client:
        client.timeout = httpx.Timeout(60)
        product = Product(cluster=cluster, namespace=namespace, settings=SETTINGS, state_dir=Path(state))
        product.install()
        try:
            yield product, client
        finally:
            product.stop()
            cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def read_version(cluster: Cluster) -> str:
    """Name the API server and its version."""
    return f"Kubernetes {json.loads(cluster.kubectl('get', '--raw=/version').stdout)['gitVersion']}"


def create_syncs(client: httpx.Client, namespace: str, names: list[str]) -> None:
    """Create syncs, several at a time."""

    def create(name: str) -> None:
        sync = {"apiVersion": "botzilla.io/v1", "kind": "EstimateSync", "metadata": {"name": name}, "spec": {}}
        client.post(syncs_path(namespace), json=sync).raise_for_status()

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(create, names))


def finish_syncs(client: httpx.Client, namespace: str, names: list[str], status: dict[str, Any]) -> None:
    """Write the same status for each, several at a time."""

    def finish(name: str) -> None:
        path = f"{syncs_path(namespace)}/{name}/status"
        headers = {"Content-Type": "application/merge-patch+json"}
        client.patch(path, content=json.dumps({"status": status}), headers=headers).raise_for_status()

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(finish, names))


def build_finished_status(moment: str) -> dict[str, Any]:
    """As the operator leaves it."""
    results = {"totalFetched": 1609, "newEstimates": 45, "updatedEstimates": 1564, "totalProcessed": 1609}
    kinds = {"Finished": "True", "Complete": "True", "Failed": "False", "Stalled": "False", "CallbackDelivered": "True"}
    common = {"observedGeneration": 1, "lastTransitionTime": moment, "reason": "Succeeded", "message": "New: 45"}
    return {
        "observedGeneration": 1,
        "phase": "Succeeded",
        "reason": "Succeeded",
        "message": "New: 45, Updated: 1564",
        "dateRange": {"start": "2025-09-01", "end": "2025-10-16"},
        "startTime": moment,
        "completionTime": moment,
        "durationSeconds": 487,
        "progress": {"page": 17, "totalPages": 17, "fetched": 1609, "percent": 100, "text": "17/17"},
        "results": {**results, "unchangedEstimates": 0},
        "callback": {"state": "Delivered", "id": "msg_made-up", "attempts": 1, "lastStatusCode": 200},
        "conditions": [{"type": kind, "status": value, **common} for kind, value in kinds.items()],
    }


def build_bare_job(number: int) -> dict[str, Any]:
    """A job that does as little as one can."""
    pod = {
        "restartPolicy": "Never",
        "nodeSelector": {"no": "such"},
        "containers": [{"name": "c", "image": "i", "command": ["true"]}],
    }
    metadata = {"name": f"bare-{number:05}"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": {"spec": pod}}}


def syncs_path(namespace: str) -> str:
    """Where the API server keeps syncs."""
    return f"/apis/botzilla.io/v1/namespaces/{namespace}/estimatesyncs"


def count_objects(client: httpx.Client, path: str) -> int:
    """Count without reading them."""
    answer = client.get(path, params={"limit": 1}).json()
    return len(answer["items"]) + int(answer["metadata"].get("remainingItemCount", 0))


def wait_until(condition: Callable[[], bool]) -> None:
    """Look four times a second."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.25)


def count_calls(cluster: Cluster, namespace: str) -> dict[str, int]:
    """The operator's calls so far, by verb and resource."""
    assert cluster.layout is not None
    user = f"system:serviceaccount:{namespace}:estimatesync-operator"
    calls = Counter(f"{call.verb} {call.resource}" for call in read_api_calls(cluster.layout.log("audit"), user=user))
    return dict(calls.most_common())


def read_memory(product: Product) -> int:
    """The operator's peak of resident memory, in MB."""
    lines = (Path("/proc") / str(find_operator(product)) / "status").read_text().splitlines()
    (peak,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return round(peak / 1024)


def read_cpu_seconds(product: Product) -> float:
    """Processor time that the operator has used, in seconds."""
    fields = (Path("/proc") / str(find_operator(product)) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def find_operator(product: Product) -> int:
    """Process id of the operator itself, the guard's child."""
    guard = product.operator_pid
    (child,) = (Path("/proc") / str(guard) / "task" / str(guard) / "children").read_text().split()
    return int(child)


if __name__ == "__main__":
    main()
