"""The certificates of one cluster: a throw-away authority and one key pair per identity.

The identities' names are Kubernetes' own (https://kubernetes.io/docs/setup/best-practices/certificates/).
"""

from dataclasses import dataclass

import trustme

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
class Identity:
    """Who a key pair stands for: user and group towards the API server, host names towards clients."""

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
