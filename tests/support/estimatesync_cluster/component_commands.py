"""The command line of every component, as pure functions; each flag that would surprise says why it is there."""

import sys
from dataclasses import dataclass
from pathlib import Path

from estimatesync_cluster import certificates
from estimatesync_cluster.certificates import LOOPBACK
from estimatesync_cluster.layout import StateLayout
from estimatesync_cluster.node_configuration import SERVICE_RANGE


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
    certificate, key = layout.certificate(certificates.ETCD), layout.key(certificates.ETCD)
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
        f"--tls-cert-file={layout.certificate(certificates.APISERVER)}",
        f"--tls-private-key-file={layout.key(certificates.APISERVER)}",
        f"--etcd-servers={build_etcd_url(ports)}",
        f"--etcd-cafile={layout.certificate('ca')}",
        f"--etcd-certfile={layout.certificate(certificates.APISERVER)}",
        f"--etcd-keyfile={layout.key(certificates.APISERVER)}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={layout.key(certificates.SERVICE_ACCOUNTS)}",
        f"--service-account-signing-key-file={layout.key(certificates.SERVICE_ACCOUNTS)}",
        f"--audit-policy-file={layout.audit_policy}",
        f"--audit-log-path={layout.log('audit')}",
        # These four are what `kubectl logs` needs.
        f"--kubelet-certificate-authority={layout.certificate('ca')}",
        f"--kubelet-client-certificate={layout.certificate(certificates.KUBELET_CLIENT)}",
        f"--kubelet-client-key={layout.key(certificates.KUBELET_CLIENT)}",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def build_controller_manager_command(program: Path, layout: StateLayout, kubeconfig: Path) -> list[str]:
    """Build kube-controller-manager's command line, with every default controller."""
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        "--secure-port=0",  # serves nothing: one port less, and no authentication to set up
        "--leader-elect=false",
        f"--service-account-private-key-file={layout.key(certificates.SERVICE_ACCOUNTS)}",
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
        f"--certificate={layout.certificate(certificates.KUBELET)}",
        f"--key={layout.key(certificates.KUBELET)}",
        f"--root-dir={layout.kubelet_root(node.name)}",
        f"--node-name={node.name}",
        *(f"--label={label}" for label in node.labels),
        *(f"--known-image={pattern}" for pattern in node.known_images),
    ]
