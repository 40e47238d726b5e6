"""Asks a container over HTTP whether it is ready, as its readiness probe says. Called by container_runner.py."""

import asyncio
from collections.abc import Callable

import httpx

from estimatesync_cluster.test_kubelet.manifests import Container, HttpGet

LOOK_SECONDS = 0.2
ANSWER_SECONDS = 5.0


async def follow_readiness(container: Container, *, address: str, tell: Callable[[bool], None]) -> None:
    """Tell each change of readiness until cancelled; a container without such a probe is ready as it is."""
    probe = container.readiness_probe.http_get if container.readiness_probe else None
    if probe is None:
        return
    url = f"http://{address}:{find_port(container, probe)}{probe.path}"
    known = False
    async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS) as client:
        while True:
            if (is_ready := await _answers(client, url)) != known:
                known = is_ready
                tell(known)
            await asyncio.sleep(LOOK_SECONDS)


def find_port(container: Container, probe: HttpGet) -> int:
    """Find the number of a port that is named; ValueError when the container has no port of this name."""
    if isinstance(probe.port, int):
        return probe.port
    for port in container.ports:
        if port.name == probe.port:
            return port.container_port
    raise ValueError(f"container {container.name} has no port named {probe.port}")


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.TransportError:
        return False
