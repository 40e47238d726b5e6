"""What the status page weighs and how long it takes, with 1,000 stored syncs: `python tests/benchmarks/bench_page.py`.

On a real API server; each page is asked for again and again by one browser on the same machine.
"""

import argparse
import asyncio
import gzip
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from api_servers import API_KEY, NAMESPACE, Servers, serving
from estimatesync_api.status_page.assets import ASSETS
from estimatesync_api.status_page.core.addresses import HOME, TRENDS, build_sync_address
from estimatesync_cluster.cluster import Cluster, running_cluster
from estimatesync_contract.estimate_sync import to_object
from estimatesync_contract.names import API_VERSION, PLURAL
from estimatesync_demo.page_fixtures import list_syncs
from estimatesync_kubernetes.client import KubernetesClient, build_path
from estimatesync_kubernetes.connection import create_api_client

ASKED = 300
AT_ONCE = 16
TIMEOUT_SECONDS = 2.5


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--syncs", type=int, default=1000)
    count = parser.parse_args().syncs
    figures: dict[str, Any] = {"load before": os.getloadavg(), "syncs": count}
    with (
        running_cluster() as cluster,
        tempfile.TemporaryDirectory(prefix="estimatesync-bench-") as directory,
        serving(cluster, Path(directory)) as servers,
    ):
        asyncio.run(store_syncs(cluster, count))
        servers.start()
        servers.wait_until_ready()
        figures |= measure(servers)
        figures["worker, MB"] = servers.read_memory()
    figures["load after"] = os.getloadavg()
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


async def store_syncs(cluster: Cluster, count: int) -> None:
    """Store so many syncs that have ended, as the operator leaves them."""
    api_client, _ = await create_api_client(kubeconfig=str(cluster.kubeconfig))
    client, limit = KubernetesClient(api_client, timeout_seconds=TIMEOUT_SECONDS), asyncio.Semaphore(AT_ONCE)
    patterns = [to_object(sync) for sync in list_syncs() if sync.is_finished]

    async def store(number: int) -> None:
        pattern = patterns[number % len(patterns)]
        metadata = {"name": f"est-{number:06}"}
        async with limit:
            await client.create(build_path(API_VERSION, NAMESPACE, PLURAL), {**pattern, "metadata": metadata})
            path = build_path(API_VERSION, NAMESPACE, PLURAL, metadata["name"], "status")
            await client.patch(path, {"status": pattern["status"]})

    await asyncio.gather(*(store(number) for number in range(count)))
    await client.close()


def measure(servers: Servers) -> dict[str, Any]:
    """Ask for each page, and for the part that its script asks for."""
    pages = {"list": HOME, "one sync": build_sync_address("est-000007"), "trends": TRENDS}
    figures: dict[str, Any] = {}
    with httpx.Client(base_url=servers.url, trust_env=False, timeout=30) as browser:
        browser.post("/page/sign-in", data={"key": API_KEY})
        for name, path in pages.items():
            figures[name] = measure_page(browser, path, {})
        figures["list, the part that changes"] = measure_page(browser, HOME, {"X-Page-Part": "live"})
        tag = browser.get(HOME, headers={"X-Page-Part": "live"}).headers["ETag"]
        figures["list, nothing new"] = measure_page(browser, HOME, {"X-Page-Part": "live", "If-None-Match": tag})
    figures["assets, bytes"] = {
        file.name: [len(file.content), len(gzip.compress(file.content))] for file in ASSETS.by_name.values()
    }
    return figures


def measure_page(browser: httpx.Client, path: str, headers: dict[str, str]) -> dict[str, Any]:
    """Time to the first byte of the answer, and its weight, plain and as a proxy may compress it."""
    times = []
    for _ in range(ASKED):
        began = time.perf_counter()
        with browser.stream("GET", path, headers=headers) as answer:
            times.append(1000 * (time.perf_counter() - began))
            content = answer.read()
    centiles = statistics.quantiles(times, n=100)
    return {
        "status": answer.status_code,
        "bytes": [len(content), len(gzip.compress(content))],
        "first byte, ms: median, 95 %, 99 %": [round(value, 1) for value in (centiles[49], centiles[94], centiles[98])],
    }


if __name__ == "__main__":
    main()
