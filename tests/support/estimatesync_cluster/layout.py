"""Where the files of one running cluster are: the one place that makes these paths."""

from dataclasses import dataclass
from pathlib import Path

from estimatesync_cluster.errors import ClusterError

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600


@dataclass(frozen=True, kw_only=True)
class StateLayout:
    """The state directory of one cluster; everything in it is thrown away with the cluster."""

    root: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, mode 0600."""
        return self.root / "kubeconfig"

    @property
    def controller_manager_kubeconfig(self) -> Path:
        """The controller manager's kubeconfig, mode 0600."""
        return self.root / "controller-manager.kubeconfig"

    @property
    def scheduler_kubeconfig(self) -> Path:
        """The scheduler's kubeconfig, mode 0600."""
        return self.root / "scheduler.kubeconfig"

    @property
    def etcd_data(self) -> Path:
        return self.root / "etcd"

    @property
    def kubectl_cache(self) -> Path:
        """Keeps kubectl's discovery cache out of the home directory."""
        return self.root / "kubectl-cache"

    def certificate(self, name: str) -> Path:
        """PEM certificate of one identity; `ca` is the authority's."""
        return self.root / "pki" / f"{name}.pem"

    def key(self, name: str) -> Path:
        """PEM private key of one identity, mode 0600."""
        return self.root / "pki" / f"{name}.key"

    def log(self, component: str) -> Path:
        """Standard output and error of one component."""
        return self.root / "logs" / f"{component}.log"

    @property
    def audit_policy(self) -> Path:
        """What the API server writes down about the requests of service accounts."""
        return self.root / "audit-policy.yaml"

    def kubelet_root(self, node_name: str) -> Path:
        """Files of the pods of one test node."""
        return self.root / "kubelet" / node_name


def create_layout(root: Path) -> StateLayout:
    """Make the directories of a new cluster, readable by their owner alone.

    Raises:
        ClusterError: the directory holds something, which would be thrown away with the cluster.
    """
    if root.exists() and any(root.iterdir()):
        raise ClusterError(f"{root} is not empty: a cluster needs a directory of its own, which it removes at its end")
    for directory in (root, root / "pki", root / "logs", root / "kubelet"):
        directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    return StateLayout(root=root.resolve())


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    path.unlink(missing_ok=True)
    path.touch(mode=PRIVATE_FILE)
    path.write_bytes(content)
