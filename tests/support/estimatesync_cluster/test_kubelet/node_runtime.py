"""What the node offers to every container, made once by main.py."""

from dataclasses import dataclass
from pathlib import Path

from estimatesync_cluster.test_kubelet.kubernetes_client import KubernetesClient


@dataclass(frozen=True, kw_only=True)
class NodeRuntime:
    """What the node offers to every container."""

    client: KubernetesClient
    root: Path
    known_images: tuple[str, ...]
    search_path: str
