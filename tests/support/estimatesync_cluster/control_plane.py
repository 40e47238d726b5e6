"""Starts the components in order, waits until each is ready, and stops them all; also when a start fails.

Called by cluster.py. The command lines come first, as pure functions; each flag that would surprise says why it is
there.
"""

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from estimatesync_cluster import credentials
from estimatesync_cluster.audit import write_audit_policy
from estimatesync_cluster.credentials import (
    LOOPBACK,
    ApiConnection,
    build_certificate_user,
    build_cluster_entry,
    build_kubeconfig,
    create_certificates,
)
from estimatesync_cluster.guarded_process import GuardedProcess, guarded, start_on_free_ports
from estimatesync_cluster.layout import StateLayout, write_private
from estimatesync_cluster.node_configuration import HOST_ADDRESS, SERVICE_RANGE
from estimatesync_cluster.programs import Binaries
from estimatesync_cluster.real_node import (
    NodeCredentials,
    RealNode,
    are_policies_enforced,
    node_network,
    start_node,
    start_policies,
)

START_SECONDS = 60.0
POLL_SECONDS = 0.1
# What NetworkPolicies let pods reach by default, because API servers usually listen there.
USUAL_PORT = 6443

# Time for the test kubelet to end its pods' processes; the others have nothing to save and are ended at once.
KUBELET_GRACE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The loopback ports of one cluster."""

    etcd: int
    etcd_peer: int
    apiserver: int


@dataclass(frozen=True, kw_only=True)
class LocalNode:
    """The node that the test kubelet registers, and the images it knows (shell patterns)."""

    name: str = "test-node"
    labels: tuple[str, ...] = ("estimatesync.botzilla.io/test-node=true",)
    known_images: tuple[str, ...] = ("estimatesync*", "*/estimatesync*")


def build_server_url(ports: Ports, *, address: str = LOOPBACK) -> str:
    """Build the API server's address."""
    return f"https://{address}:{ports.apiserver}"


def build_etcd_url(ports: Ports) -> str:
    """Build etcd's address."""
    return f"https://{LOOPBACK}:{ports.etcd}"


def build_etcd_command(program: Path, layout: StateLayout, ports: Ports, *, quota_bytes: int = 0) -> list[str]:
    """Build etcd's command line; it asks for certificates, because a loopback port is open to every local user.

    `quota_bytes` is how much it may store; with 0 as much as it does by itself.
    """
    client, peer = build_etcd_url(ports), f"https://{LOOPBACK}:{ports.etcd_peer}"
    certificate, key = layout.certificate(credentials.ETCD), layout.key(credentials.ETCD)
    authority = layout.certificate("ca")
    return [
        str(program),
        f"--data-dir={layout.etcd_data}",
        "--unsafe-no-fsync",  # the data is thrown away with the cluster
        "--log-level=warn",
        f"--quota-backend-bytes={quota_bytes}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        f"--cert-file={certificate}",
        f"--key-file={key}",
        f"--trusted-ca-file={authority}",
        "--client-cert-auth",
        f"--peer-cert-file={certificate}",
        f"--peer-key-file={key}",
        f"--peer-trusted-ca-file={authority}",
        "--peer-client-cert-auth",
    ]


def build_apiserver_command(program: Path, layout: StateLayout, ports: Ports, *, address: str = LOOPBACK) -> list[str]:
    """Build kube-apiserver's command line: RBAC and the default admission plugins, as a user's cluster has them."""
    # A loopback address is refused as the endpoint of the kubernetes service.
    endpoints = ["--endpoint-reconciler-type=none"] if address == LOOPBACK else []
    return [
        str(program),
        *endpoints,
        f"--bind-address={address}",
        f"--secure-port={ports.apiserver}",
        f"--advertise-address={address}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=RBAC",
        f"--client-ca-file={layout.certificate('ca')}",
        f"--tls-cert-file={layout.certificate(credentials.APISERVER)}",
        f"--tls-private-key-file={layout.key(credentials.APISERVER)}",
        f"--etcd-servers={build_etcd_url(ports)}",
        f"--etcd-cafile={layout.certificate('ca')}",
        f"--etcd-certfile={layout.certificate(credentials.APISERVER)}",
        f"--etcd-keyfile={layout.key(credentials.APISERVER)}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={layout.key(credentials.SERVICE_ACCOUNTS)}",
        f"--service-account-signing-key-file={layout.key(credentials.SERVICE_ACCOUNTS)}",
        f"--audit-policy-file={layout.audit_policy}",
        f"--audit-log-path={layout.log('audit')}",
        # These four are what `kubectl logs` needs.
        f"--kubelet-certificate-authority={layout.certificate('ca')}",
        f"--kubelet-client-certificate={layout.certificate(credentials.KUBELET_CLIENT)}",
        f"--kubelet-client-key={layout.key(credentials.KUBELET_CLIENT)}",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def build_controller_manager_command(
    program: Path, layout: StateLayout, kubeconfig: Path, *, has_network: bool
) -> list[str]:
    """Build kube-controller-manager's command line, with every default controller that can do its work here."""
    # Loopback addresses, which pods of a test node have, are refused as endpoints; these two would try without end.
    left_out = [] if has_network else ["-endpoints-controller", "-endpointslice-controller"]
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(['*', *left_out])}",
        "--secure-port=0",  # serves nothing: one port less, and no authentication to set up
        "--leader-elect=false",
        f"--service-account-private-key-file={layout.key(credentials.SERVICE_ACCOUNTS)}",
        f"--root-ca-file={layout.certificate('ca')}",
    ]


def build_scheduler_command(program: Path, kubeconfig: Path) -> list[str]:
    """Build kube-scheduler's command line, with every default plugin; it serves nothing either."""
    return [str(program), f"--kubeconfig={kubeconfig}", "--secure-port=0", "--leader-elect=false"]


def build_kubelet_command(node: LocalNode, layout: StateLayout, server: str) -> list[str]:
    """Build the test kubelet's command line."""
    return [
        sys.executable,
        "-m",
        "estimatesync_cluster.test_kubelet",
        f"--server={server}",
        f"--authority={layout.certificate('ca')}",
        f"--certificate={layout.certificate(credentials.KUBELET)}",
        f"--key={layout.key(credentials.KUBELET)}",
        f"--root-dir={layout.kubelet_root(node.name)}",
        f"--node-name={node.name}",
        *(f"--label={label}" for label in node.labels),
        *(f"--known-image={pattern}" for pattern in node.known_images),
    ]


ClusterNode = LocalNode | RealNode


@dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """A control plane that answers, and what it runs."""

    server: str
    etcd_url: str
    components: tuple[GuardedProcess, ...]

    def get_component(self, name: str) -> GuardedProcess:
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
        yield start_on_free_ports(lambda own: _start(own, binaries, layout, node, etcd_quota_bytes), stack)


def _start(
    stack: ExitStack, binaries: Binaries, layout: StateLayout, node: ClusterNode, quota_bytes: int
) -> ControlPlane:
    address = HOST_ADDRESS if isinstance(node, RealNode) else credentials.LOOPBACK
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
) -> tuple[GuardedProcess, ...]:
    etcd = _run(stack, layout, "etcd", build_etcd_command(binaries.etcd, layout, ports, quota_bytes=quota_bytes))
    command = build_apiserver_command(binaries.apiserver, layout, ports, address=address)
    apiserver = _run(stack, layout, "kube-apiserver", command)
    _wait_until(lambda: _answers(client, "/readyz"), (etcd, apiserver), what="the API server to be ready")
    return etcd, apiserver


def _start_workers(
    stack: ExitStack, binaries: Binaries, layout: StateLayout, node: ClusterNode, server: str
) -> tuple[GuardedProcess, ...]:
    kubeconfig = layout.controller_manager_kubeconfig
    command = build_controller_manager_command(
        binaries.controller_manager, layout, kubeconfig, has_network=isinstance(node, RealNode)
    )
    manager = _run(stack, layout, "kube-controller-manager", command)
    command = build_scheduler_command(binaries.scheduler, layout.scheduler_kubeconfig)
    scheduler = _run(stack, layout, "kube-scheduler", command)
    if isinstance(node, RealNode):
        return manager, scheduler, *_start_real_node(stack, layout, node, server)
    command = build_kubelet_command(node, layout, server)
    return manager, scheduler, _run(stack, layout, "test-kubelet", command, grace=KUBELET_GRACE_SECONDS)


def _start_real_node(stack: ExitStack, layout: StateLayout, node: RealNode, server: str) -> tuple[GuardedProcess, ...]:
    authority = layout.certificate("ca")
    certificate, key = layout.certificate(credentials.KUBELET), layout.key(credentials.KUBELET)
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


def _start_policies(stack: ExitStack, layout: StateLayout, node: RealNode) -> GuardedProcess:
    return start_policies(stack, node, root=layout.kubelet_root(node.name), logs=layout.log("kubelet").parent)


def _run(stack: ExitStack, layout: StateLayout, name: str, command: list[str], *, grace: float = 0) -> GuardedProcess:
    # Memory is cheaper here than the processor: Go collects garbage a quarter as often, unless told otherwise. And on
    # one thread, none looks in vain for what another might leave to it, which is a tenth of the work.
    environment = {"GOGC": "400", "GOMAXPROCS": "1", **os.environ}
    return stack.enter_context(guarded(name, command, log=layout.log(name), grace=grace, environment=environment))


def _forget_earlier_attempt(layout: StateLayout) -> None:
    shutil.rmtree(layout.etcd_data, ignore_errors=True)
    for name in ("etcd", "kube-apiserver"):
        layout.log(name).unlink(missing_ok=True)


def create_admin_client(layout: StateLayout, server: str) -> httpx.Client:
    """Create an HTTP client that is the cluster's administrator."""
    return _create_client(layout, server, credentials.ADMIN, timeout=5)


def create_etcd_client(layout: StateLayout, url: str) -> httpx.Client:
    """Create an HTTP client of etcd itself (its gRPC gateway), with the API server's identity."""
    return _create_client(layout, url, credentials.APISERVER, timeout=30)


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
        (credentials.ADMIN, layout.kubeconfig),
        (credentials.CONTROLLER_MANAGER, layout.controller_manager_kubeconfig),
        (credentials.SCHEDULER, layout.scheduler_kubeconfig),
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
            each.bind((credentials.LOOPBACK, 0))
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


def _wait_until(condition: Callable[[], bool], components: tuple[GuardedProcess, ...], *, what: str) -> None:
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
