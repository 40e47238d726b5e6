"""Registers the test node and keeps it alive: its status and its Lease, as the node controller expects them.

Called by kubelet.py. A node that misses its heartbeat is tainted after a while and its pods are evicted, as a real one.
"""

import asyncio
import logging
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from estimatesync_cluster.test_kubelet.kubernetes_client import (
    NOT_FOUND,
    STRATEGIC_MERGE,
    ApiError,
    KubernetesClient,
    may_try_again,
)
from estimatesync_cluster.test_kubelet.pod_status import format_time

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0
RETRY_SECONDS = 0.2
LEASE_SECONDS = 40
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
NODES = "/api/v1/nodes"
ADDRESS = "127.0.0.1"
MAX_PODS = "110"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """What the node reports about itself; memory in bytes."""

    name: str
    labels: Mapping[str, str]
    port: int
    cores: int
    memory: int
    system: str
    architecture: str


def read_node_facts(*, name: str, labels: Mapping[str, str], port: int) -> NodeFacts:
    """Read what this machine is; `port` is where the node serves logs."""
    machine = platform.machine()
    return NodeFacts(
        name=name,
        labels=labels,
        port=port,
        cores=os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=platform.system().lower(),
        architecture=ARCHITECTURES.get(machine, machine),
    )


def build_node(facts: NodeFacts) -> dict[str, Any]:
    """Build the Node object to register."""
    well_known = {
        "kubernetes.io/hostname": facts.name,
        "kubernetes.io/os": facts.system,
        "kubernetes.io/arch": facts.architecture,
    }
    metadata = {"name": facts.name, "labels": {**well_known, **facts.labels}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata}


def build_node_status(facts: NodeFacts, now: datetime) -> dict[str, Any]:
    """Build the NodeStatus of a healthy node."""
    size = {"cpu": str(facts.cores), "memory": str(facts.memory), "pods": MAX_PODS}
    times = {"lastHeartbeatTime": format_time(now)}
    pressures = ("MemoryPressure", "DiskPressure", "PIDPressure")
    healthy = [{"type": name, "status": "False", "reason": "TestKubelet", **times} for name in pressures]
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "test kubelet is posting status"}
    return {
        "capacity": size,
        "allocatable": size,
        "conditions": [*healthy, {**ready, **times}],
        "addresses": [{"type": "InternalIP", "address": ADDRESS}, {"type": "Hostname", "address": facts.name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": facts.port}},
        "nodeInfo": build_node_info(facts),
    }


def build_node_info(facts: NodeFacts) -> dict[str, str]:
    """Build NodeSystemInfo: it says that this is not a real node, in what `kubectl get nodes -o wide` shows."""
    absent = ("machineID", "systemUUID", "bootID", "kernelVersion", "kubeProxyVersion")
    return {
        **dict.fromkeys(absent, ""),
        "osImage": "local processes",
        "containerRuntimeVersion": "process://1",
        "kubeletVersion": "test-kubelet",
        "operatingSystem": facts.system,
        "architecture": facts.architecture,
    }


def build_lease(name: str, now: datetime) -> dict[str, Any]:
    """Build the node's Lease, renewed now."""
    renewed = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": renewed}
    metadata = {"name": name, "namespace": "kube-node-lease"}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


async def keep_node_alive(client: KubernetesClient, facts: NodeFacts) -> None:
    """Register the node and renew it without end; a node that was deleted is registered again."""
    registered = False
    while True:
        try:
            if not registered:
                await _register(client, facts)
                registered = True
            await _renew(client, facts, datetime.now(UTC))
            await asyncio.sleep(HEARTBEAT_SECONDS)
        except (ApiError, httpx.TransportError) as error:
            # Not found: the node was deleted, or the API server has not made the Leases' namespace yet.
            registered = registered and not (isinstance(error, ApiError) and error.status == NOT_FOUND)
            if registered and not may_try_again(error):
                raise
            logger.info("node heartbeat: %r, trying again", error)
            await asyncio.sleep(RETRY_SECONDS)


async def _register(client: KubernetesClient, facts: NodeFacts) -> None:
    node = build_node(facts)
    await client.create_object(NODES, node)
    await client.write_object(f"{NODES}/{facts.name}", {"metadata": {"labels": node["metadata"]["labels"]}})
    await client.create_object(LEASES, build_lease(facts.name, datetime.now(UTC)))


async def _renew(client: KubernetesClient, facts: NodeFacts, now: datetime) -> None:
    lease = build_lease(facts.name, now)
    await client.write_object(f"{LEASES}/{facts.name}", {"spec": lease["spec"]})
    status = {"status": build_node_status(facts, now)}
    await client.write_object(f"{NODES}/{facts.name}/status", status, media_type=STRATEGIC_MERGE)
