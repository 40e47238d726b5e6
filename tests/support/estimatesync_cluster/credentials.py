"""The identities of one cluster: a throw-away authority, a key pair for each identity, and kubeconfig files.

The identities' names are Kubernetes' own (https://kubernetes.io/docs/setup/best-practices/certificates/).
"""

import base64
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
import yaml

from estimatesync_cluster.layout import StateLayout, write_private
from estimatesync_cluster.node_configuration import FIRST_SERVICE, HOST_ADDRESS, NODE_ADDRESS

LOOPBACK = "127.0.0.1"
ADMIN = "admin"
APISERVER = "apiserver"
CONTROLLER_MANAGER = "controller-manager"
ETCD = "etcd"
KUBELET = "kubelet"
KUBELET_CLIENT = "apiserver-kubelet-client"
SCHEDULER = "scheduler"
SERVICE_ACCOUNTS = "service-accounts"


@dataclass(frozen=True, kw_only=True)
class ApiConnection:
    """Address and key material of one client; the paths are PEM files."""

    server: str
    authority: Path
    certificate: Path
    key: Path

    def create_tls_context(self) -> ssl.SSLContext:
        """Load the key material; raises OSError or ssl.SSLError when a file is missing or no PEM."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a key pair stands for: user and group towards the API server, host names towards clients."""

    name: str
    user: str
    group: str | None = None
    # Never empty: Go refuses a certificate whose list of names is there but holds nothing.
    hosts: tuple[str, ...] = ("client.estimatesync.invalid",)


# Clients may do everything, but for the scheduler, to which its own role is enough: RBAC of these is not under test,
# and a controller manager that uses one identity gives the default service account four seconds sooner.
IDENTITIES = (
    Identity(name=ADMIN, user="kubernetes-admin", group="system:masters"),
    Identity(name=CONTROLLER_MANAGER, user="system:kube-controller-manager", group="system:masters"),
    Identity(name=SCHEDULER, user="system:kube-scheduler"),
    Identity(name=KUBELET, user="estimatesync:test-kubelet", group="system:masters", hosts=(LOOPBACK, NODE_ADDRESS)),
    Identity(
        name=APISERVER,
        user="kube-apiserver",
        hosts=(LOOPBACK, HOST_ADDRESS, FIRST_SERVICE, "localhost", "kubernetes.default.svc"),
    ),
    Identity(name=KUBELET_CLIENT, user="kube-apiserver-kubelet-client"),
    Identity(name=ETCD, user="etcd", hosts=(LOOPBACK,)),
    Identity(name=SERVICE_ACCOUNTS, user="service-accounts"),
)


def create_certificates(layout: StateLayout) -> None:
    """Write the authority's certificate and every identity's key pair into the state directory."""
    authority = trustme.CA()
    write_private(layout.certificate("ca"), authority.cert_pem.bytes())
    for identity in IDENTITIES:
        pair = authority.issue_cert(
            *identity.hosts, common_name=identity.user, organization_name=identity.group, key_type=trustme.KeyType.ECDSA
        )
        write_private(layout.certificate(identity.name), pair.cert_chain_pems[0].bytes())
        write_private(layout.key(identity.name), pair.private_key_pem.bytes())


def build_certificate_user(*, certificate: bytes, key: bytes) -> dict[str, str]:
    """Build the `user` entry for a key pair (PEM)."""
    return {"client-certificate-data": _encode(certificate), "client-key-data": _encode(key)}


def build_cluster_entry(*, server: str, authority: bytes) -> dict[str, str]:
    """Build the `cluster` entry of a server (https URL) whose certificate an authority (PEM) signed."""
    return {"server": server, "certificate-authority-data": _encode(authority)}


def build_kubeconfig(*, cluster: dict[str, Any], user: dict[str, str], namespace: str = "default") -> bytes:
    """Build a kubeconfig of one cluster, one user and one current context."""
    name = "estimatesync"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False).encode()


def _encode(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
