"""Starts the components in order, waits until each is ready, and stops them all; also when a start fails.

Called by cluster.py. Which flags a component gets is component_commands.py's business.
"""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx

from estimatesync_cluster import certificates
from estimatesync_cluster.api_connection import ApiConnection
from estimatesync_cluster.audit import write_audit_policy
from estimatesync_cluster.binaries import Binaries
from estimatesync_cluster.certificates import create_certificates
from estimatesync_cluster.component_commands import (
    LocalNode,
    Ports,
    build_apiserver_command,
    build_controller_manager_command,
    build_etcd_command,
    build_etcd_url,
    build_kubelet_command,
    build_scheduler_command,
    build_server_url,
)
from estimatesync_cluster.errors import PortTakenError
from estimatesync_cluster.kubeconfig import build_certificate_user, build_cluster_entry, build_kubeconfig
from estimatesync_cluster.layout import StateLayout, write_private
from estimatesync_cluster.leashed import LeashedProcess, leashed
from estimatesync_cluster.node_configuration import HOST_ADDRESS
from estimatesync_cluster.node_machine import node_network
from estimatesync_cluster.node_policies import are_policies_enforced, start_policies
from estimatesync_cluster.real_node import NodeCredentials, RealNode, start_node

START_SECONDS = 60.0
POLL_SECONDS = 0.05
# What NetworkPolicies let pods reach by default, because API servers usually listen there.
USUAL_PORT = 6443
ClusterNode = LocalNode | RealNode
# Time for the test kubelet to end its pods' processes; the others have nothing to save and are ended at once.
KUBELET_GRACE_SECONDS = 10.0
ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """A control plane that answers, and what it runs."""

    server: str
    etcd_url: str
    components: tuple[LeashedProcess, ...]

    def get_component(self, name: str) -> LeashedProcess:
        """Find etcd, kube-apiserver, kube-controller-manager, kube-scheduler or test-kubelet, to stop or restart it."""
        return next(component for component in self.components if component.name == name)


@contextmanager
def running_control_plane(
    binaries: Binaries, layout: StateLayout, node: ClusterNode, *, etcd_quota_bytes: int = 0
) -> Iterator[ControlPlane]:
    """Run a control plane with one node, a test node or a real one, for the time of the context.

    Raises:
        ComponentError: a component ended or was not ready within START_SECONDS; everything is stopped again.
        ToolMissingError: there cannot be a real node on this machine.
    """
    create_certificates(layout)
    write_audit_policy(layout)
    with ExitStack() as network, ExitStack() as stack:
        if isinstance(node, RealNode):
            network.enter_context(node_network())
        yield _start_with_fresh_ports(stack, binaries, layout, node, etcd_quota_bytes)


def _start_with_fresh_ports(
    stack: ExitStack, binaries: Binaries, layout: StateLayout, node: ClusterNode, quota_bytes: int
) -> ControlPlane:
    for _ in range(ATTEMPTS - 1):
        try:
            return _start(stack, binaries, layout, node, quota_bytes)
        except PortTakenError:
            stack.close()
    return _start(stack, binaries, layout, node, quota_bytes)


def _start(
    stack: ExitStack, binaries: Binaries, layout: StateLayout, node: ClusterNode, quota_bytes: int
) -> ControlPlane:
    address = HOST_ADDRESS if isinstance(node, RealNode) else certificates.LOOPBACK
    ports = _choose_ports(address, preferred=USUAL_PORT if isinstance(node, RealNode) else 0)
    server = build_server_url(ports, address=address)
    _forget_earlier_attempt(layout)
    _write_kubeconfigs(layout, server)
    client = stack.enter_context(create_admin_client(layout, server))
    store = _start_api(stack, binaries, layout, ports, client, address=address, quota_bytes=quota_bytes)
    workers = _start_workers(stack, binaries, layout, node, server)
    components = (*store, *workers)
    # A pod is refused as long as its namespace has no default service account.
    service_account = "/api/v1/namespaces/default/serviceaccounts/default"
    _wait_until(lambda: _answers(client, service_account), components, what="the default service account")
    _wait_until(lambda: _node_is_ready(client, node.name), components, what=f"node {node.name} to be ready")
    if isinstance(node, RealNode):
        components = (*components, _start_policies(stack, layout, node))
        _wait_until(are_policies_enforced, components, what="network policies to be enforced")
    return ControlPlane(server=server, etcd_url=build_etcd_url(ports), components=components)


def _start_api(
    stack: ExitStack,
    binaries: Binaries,
    layout: StateLayout,
    ports: Ports,
    client: httpx.Client,
    *,
    address: str,
    quota_bytes: int,
) -> tuple[LeashedProcess, ...]:
    etcd = _run(stack, layout, "etcd", build_etcd_command(binaries.etcd, layout, ports, quota_bytes=quota_bytes))
    command = build_apiserver_command(binaries.apiserver, layout, ports, address=address)
    apiserver = _run(stack, layout, "kube-apiserver", command)
    _wait_until(lambda: _answers(client, "/readyz"), (etcd, apiserver), what="the API server to be ready")
    return etcd, apiserver


def _start_workers(
    stack: ExitStack, binaries: Binaries, layout: StateLayout, node: ClusterNode, server: str
) -> tuple[LeashedProcess, ...]:
    kubeconfig = layout.controller_manager_kubeconfig
    command = build_controller_manager_command(binaries.controller_manager, layout, kubeconfig)
    manager = _run(stack, layout, "kube-controller-manager", command)
    command = build_scheduler_command(binaries.scheduler, layout.scheduler_kubeconfig)
    scheduler = _run(stack, layout, "kube-scheduler", command)
    if isinstance(node, RealNode):
        return manager, scheduler, *_start_real_node(stack, layout, node, server)
    command = build_kubelet_command(node, layout, server)
    return manager, scheduler, _run(stack, layout, "test-kubelet", command, grace=KUBELET_GRACE_SECONDS)


def _start_real_node(stack: ExitStack, layout: StateLayout, node: RealNode, server: str) -> tuple[LeashedProcess, ...]:
    authority = layout.certificate("ca")
    certificate, key = layout.certificate(certificates.KUBELET), layout.key(certificates.KUBELET)
    user = build_certificate_user(certificate=certificate.read_bytes(), key=key.read_bytes())
    cluster = build_cluster_entry(server=server, authority=authority.read_bytes())
    return start_node(
        stack,
        node,
        root=layout.kubelet_root(node.name),
        logs=layout.log("kubelet").parent,
        kubeconfig=build_kubeconfig(cluster=cluster, user=user),
        credentials=NodeCredentials(authority=authority, certificate=certificate, key=key),
    )


def _start_policies(stack: ExitStack, layout: StateLayout, node: RealNode) -> LeashedProcess:
    return start_policies(stack, node, root=layout.kubelet_root(node.name), logs=layout.log("kubelet").parent)


def _run(stack: ExitStack, layout: StateLayout, name: str, command: list[str], *, grace: float = 0) -> LeashedProcess:
    return stack.enter_context(leashed(name, command, log=layout.log(name), grace=grace))


def _forget_earlier_attempt(layout: StateLayout) -> None:
    shutil.rmtree(layout.etcd_data, ignore_errors=True)
    for name in ("etcd", "kube-apiserver"):
        layout.log(name).unlink(missing_ok=True)


def create_admin_client(layout: StateLayout, server: str) -> httpx.Client:
    """Create an HTTP client that is the cluster's administrator."""
    return _create_client(layout, server, certificates.ADMIN, timeout=5)


def create_etcd_client(layout: StateLayout, url: str) -> httpx.Client:
    """Create an HTTP client of etcd itself (its gRPC gateway), with the API server's identity."""
    return _create_client(layout, url, certificates.APISERVER, timeout=30)


def _create_client(layout: StateLayout, url: str, identity: str, *, timeout: float) -> httpx.Client:
    connection = ApiConnection(
        server=url,
        authority=layout.certificate("ca"),
        certificate=layout.certificate(identity),
        key=layout.key(identity),
    )
    return httpx.Client(base_url=url, verify=connection.create_tls_context(), trust_env=False, timeout=timeout)


def _write_kubeconfigs(layout: StateLayout, server: str) -> None:
    cluster = build_cluster_entry(server=server, authority=layout.certificate("ca").read_bytes())
    for name, path in (
        (certificates.ADMIN, layout.kubeconfig),
        (certificates.CONTROLLER_MANAGER, layout.controller_manager_kubeconfig),
        (certificates.SCHEDULER, layout.scheduler_kubeconfig),
    ):
        user = build_certificate_user(
            certificate=layout.certificate(name).read_bytes(), key=layout.key(name).read_bytes()
        )
        write_private(path, build_kubeconfig(cluster=cluster, user=user))


def _choose_ports(address: str, *, preferred: int) -> Ports:
    """Choose free ports; the API server's is the preferred one if that is free at its address."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets[1:]:
            each.bind((certificates.LOOPBACK, 0))
        _bind(sockets[0], address, preferred=preferred)
        apiserver, etcd, etcd_peer = (each.getsockname()[1] for each in sockets)
    return Ports(etcd=etcd, etcd_peer=etcd_peer, apiserver=apiserver)


def _bind(listener: socket.socket, address: str, *, preferred: int) -> None:
    # Connections of an earlier API server, of which only the end is waited for, do not count.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, preferred))
    except OSError:
        listener.bind((address, 0))


def _wait_until(condition: Callable[[], bool], components: tuple[LeashedProcess, ...], *, what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        for component in components:
            if component.has_ended():
                raise component.build_error("ended while it was starting")
        if time.monotonic() > deadline:
            raise components[-1].build_error(f"did not come up: waited {START_SECONDS:.0f} s for {what}")
        time.sleep(POLL_SECONDS)


def _answers(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).is_success
    except httpx.TransportError:
        return False


def _node_is_ready(client: httpx.Client, name: str) -> bool:
    try:
        answer = client.get(f"/api/v1/nodes/{name}")
    except httpx.TransportError:
        return False
    conditions = answer.json()["status"].get("conditions", []) if answer.is_success else []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
