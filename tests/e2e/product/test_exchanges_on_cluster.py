"""The simulator's table of exchanges on a real API server: what the simulation claims about Kubernetes is true."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from estimatesync_cluster.cluster import Cluster
from estimatesync_contract.names import API_VERSION, PLURAL
from estimatesync_kubernetes.client import KubernetesClient, build_path
from estimatesync_kubernetes.connection import create_api_client
from estimatesync_kubernetes.watch import open_watch, parse_metadata
from estimatesync_simulator.exchanges import EXCHANGES, Act, Exchange, Laboratory

CRD = Path(__file__).parents[3] / "charts" / "estimatesync" / "files" / "crd.yaml"
SECONDS = 60.0


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.id)
def test_a_real_api_server_answers_as_the_table_says(
    cluster: Cluster, make_namespace: Callable[[], str], exchange: Exchange, run_async: Callable[..., Any]
) -> None:
    async def run() -> object:
        client, _ = await create_api_client(kubeconfig=str(cluster.kubeconfig))
        async with KubernetesClient(client, timeout_seconds=SECONDS) as kubernetes, asyncio.timeout(SECONDS):
            return await exchange.happen(build_laboratory(kubernetes, make_namespace()))

    cluster.define(CRD)

    assert run_async(run()) == exchange.outcome


def build_laboratory(client: KubernetesClient, namespace: str) -> Laboratory:
    path = build_path(API_VERSION, namespace, PLURAL)

    async def record(act: Act) -> list[tuple[str, int]]:
        """Until the first deletion, with which every case ends."""
        changes = []
        async for page in client.list_pages(path):
            version = page.version
        async with open_watch(client, path, version=version) as events:
            await act()
            async for event in events:
                if event.type != "BOOKMARK":
                    changes.append((event.type, int(parse_metadata(event.object).resource_version)))
                if event.type == "DELETED":
                    break
        return changes

    return Laboratory(client=client, namespace=namespace, record=record)
