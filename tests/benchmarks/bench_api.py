"""What the API promises, measured on a real API server: `python tests/benchmarks/bench_api.py`.

How long a POST takes at 50 a second, compared with a bare create by the same client; whether every accepted request is
a sync though the servers are killed all the time; what a hundred thousand bad requests do; what a worker weighs at
rest, and with ten thousand syncs to list.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
from api_servers import API_KEY, NAMESPACE, Servers, serving
from bad_requests import START, SYNCS, iterate_bad_requests
from bench_operator_scale import read_version
from estimatesync_api.adapters.kubernetes_store import KubernetesStore
from estimatesync_api.core.problems import StoreUnavailableError
from estimatesync_cluster.cluster import Cluster, running_cluster
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from machine import read_machine
from report import Part, build_part, write_part

RATE = 50
CLIENTS = 8
KEY = {"X-API-KEY": API_KEY}


def main() -> None:
    """Measure, print one JSON object, and write the part of the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000, help="of each kind, at 50 a second")
    parser.add_argument("--accepted", type=int, default=10_000, help="syncs, while servers are killed")
    parser.add_argument("--bad", type=int, default=100_000, help="bad requests")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    sizes = parser.parse_args()
    figures: dict[str, Any] = {"load before": os.getloadavg()}
    with (
        running_cluster() as cluster,
        tempfile.TemporaryDirectory(prefix="estimatesync-bench-") as directory,
        serving(cluster, Path(directory)) as servers,
    ):
        servers.start()
        servers.wait_until_ready()
        figures["worker at rest, MB"] = servers.read_memory()
        figures |= asyncio.run(measure_latency(servers, sizes.requests))
        figures |= asyncio.run(measure_bad_requests(servers, sizes.bad))
        figures |= asyncio.run(measure_kills(cluster, servers, sizes.accepted))
        figures |= asyncio.run(measure_list(servers))
        machine = read_machine(read_version(cluster))
    figures["load after"] = os.getloadavg()
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    if sizes.write:
        rows = iterate_rows(figures)
        write_part(Part.API, build_part("The API", Part.API, rows, machine=machine, at=datetime.now(UTC)))


def iterate_rows(figures: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The table of the page."""
    for what, name in (("POST to 202", "POST to 202, ms"), ("bare create by the same client", "bare create, ms")):
        yield f"{what}, at {RATE} a second: median, 95 %, 99 %", format_places(figures[name]), ""
    kills = figures["meanwhile"].get("kills", 0)
    yield (
        f"POSTs accepted by two servers, of which one was killed {kills} times",
        f"{figures['accepted while killed']:,}",
        "",
    )
    yield (
        "of them not stored; stored twice",
        f"{figures['accepted and not stored']}; {figures['accepted twice']}",
        "0; 0",
    )
    yield "more that were stored, whose response was cut off", f"{figures['stored, answer cut off']}", ""
    answers = ", ".join(f"{number:,} × {status}" for status, number in figures["bad requests"].items())
    yield f"{sum(figures['bad requests'].values()):,} bad requests", answers, "no 5xx"
    first, *_, last = figures["worker meanwhile, MB"]
    yield "memory of the worker before and after them", f"{first:.0f} MB, {last:.0f} MB", ""
    for query, places in figures["list, ms"].items():
        yield f"the list of all these syncs, `{query}`: median, 95 %, 99 %", format_places(places), ""
    yield (
        "memory of a worker at rest; with these syncs to list",
        (f"{max(figures['worker at rest, MB']):.0f} MB; {max(figures['worker, MB']):.0f} MB"),
        "",
    )


def format_places(places: dict[str, float]) -> str:
    """Write milliseconds."""
    return ", ".join(f"{places[name]:.0f} ms" for name in ("median", "p95", "p99"))


async def measure_latency(servers: Servers, count: int) -> dict[str, Any]:
    """Send at a steady rate, whatever the answers take: through the API, then past it."""
    store = KubernetesStore(kubeconfig=str(servers.kubeconfig), service_account=Path("unused"), namespace=None)
    await store.open()

    refused: Counter[str] = Counter()

    async def create(number: int) -> None:
        try:
            await store.create(EstimateSync(metadata=Metadata(name=f"bare-{number:06}")))
        except StoreUnavailableError:
            refused["bare"] += 1

    async with aiohttp.ClientSession(servers.url, headers=KEY) as session:

        async def post(_: int) -> None:
            async with session.post(START) as response:
                await response.read()
                refused[str(response.status)] += response.status != HTTPStatus.ACCEPTED

        await pace(post, RATE)
        through, past = await pace(post, count), await pace(create, count)
    await store.close()
    return {"POST to 202, ms": describe(through), "bare create, ms": describe(past), "not accepted": dict(+refused)}


async def pace(act: Callable[[int], Awaitable[None]], count: int) -> list[float]:
    """Begin one every 20 ms; answers the milliseconds each took from when it was to begin."""
    began = time.perf_counter()

    async def run(number: int) -> float:
        due = began + number / RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await act(number)
        return (time.perf_counter() - due) * 1000

    return list(await asyncio.gather(*(run(number) for number in range(count))))


def describe(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    places = {"median": 0.5, "p95": 0.95, "p99": 0.99}
    named = {name: ordered[int(place * (len(ordered) - 1))] for name, place in places.items()}
    return {name: round(value, 1) for name, value in {**named, "longest": ordered[-1]}.items()}


async def measure_bad_requests(servers: Servers, count: int) -> dict[str, Any]:
    """Send them over few connections, and weigh the worker before and after."""
    statuses: Counter[int] = Counter()
    requests = iterate_bad_requests(random.Random(1), API_KEY)  # noqa: S311 - the same bad luck each time
    left = iter(range(count))
    weights = []

    async def send(session: aiohttp.ClientSession) -> None:
        for number in left:
            request = next(requests)
            try:
                async with session.request(
                    request.method, request.target, headers=request.headers, data=request.body
                ) as response:
                    await response.read()
                    statuses[response.status] += 1
            except (aiohttp.ClientError, ValueError) as error:
                statuses[type(error).__name__] += 1  # type: ignore[index] # next to the numbers
            if number % (count // 5) == 0:
                weights.append(round(servers.read_memory()[0], 1))

    async with aiohttp.ClientSession(servers.url) as session:
        await asyncio.gather(*(send(session) for _ in range(CLIENTS)))
    weights.append(round(servers.read_memory()[0], 1))
    return {"bad requests": dict(sorted(statuses.items(), key=str)), "worker meanwhile, MB": weights}


async def measure_kills(cluster: Cluster, servers: Servers, count: int) -> dict[str, Any]:
    """Post until so many are accepted, while every second or so one of two servers is killed and started again."""
    before = count_syncs(cluster)
    accepted: list[str] = []
    broken: Counter[str] = Counter()
    servers.start()

    async def post(session: aiohttp.ClientSession) -> None:
        while len(accepted) < count:
            try:
                async with session.post(START) as response:
                    body = await response.json()
                    if response.status == HTTPStatus.ACCEPTED:
                        accepted.append(body["sync_id"])
                    else:
                        broken[str(response.status)] += 1
            except (aiohttp.ClientError, OSError) as error:
                broken[type(error).__name__] += 1

    async def kill() -> None:
        chance = random.Random(1)  # noqa: S311 - as above
        while len(accepted) < count:
            await asyncio.sleep(chance.uniform(1.5, 4))
            await asyncio.to_thread(servers.kill, chance.choice(servers.processes))
            servers.start()
            broken["kills"] += 1

    async with aiohttp.ClientSession(servers.url, headers=KEY) as session:
        await asyncio.gather(kill(), *(post(session) for _ in range(CLIENTS)))
    stored = set(list_syncs(cluster))
    return {
        "accepted while killed": len(accepted),
        "accepted and not stored": len(set(accepted) - stored),
        "accepted twice": len(accepted) - len(set(accepted)),
        "stored, answer cut off": len(stored) - before - len(accepted),
        "meanwhile": dict(broken),
    }


def list_syncs(cluster: Cluster) -> list[str]:
    names = cluster.kubectl("get", "estimatesyncs", f"--namespace={NAMESPACE}", "--output=name", timeout=120).stdout
    return [name.rpartition("/")[2] for name in names.split()]


def count_syncs(cluster: Cluster) -> int:
    return len(list_syncs(cluster))


async def measure_list(servers: Servers) -> dict[str, Any]:
    """Ask for pages of a long list."""
    for process in servers.processes[1:]:
        servers.kill(process)
    servers.wait_until_ready()
    took: dict[str, list[float]] = {"limit=20": [], "limit=100": [], "status=failed": []}
    async with aiohttp.ClientSession(servers.url, headers=KEY) as session:
        for query, times in took.items():
            for _ in range(50):
                began = time.perf_counter()
                async with session.get(f"{SYNCS}?{query}") as response:
                    await response.read()
                    assert response.status == 200, response.status
                times.append((time.perf_counter() - began) * 1000)
    return {"list, ms": {query: describe(times) for query, times in took.items()}, "worker, MB": servers.read_memory()}


if __name__ == "__main__":
    main()
