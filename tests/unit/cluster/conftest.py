"""Builders of the Kubernetes objects that the test kubelet decides on."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from estimatesync_cluster.test_kubelet.manifests import Node, Pod


@pytest.fixture
def build_pod() -> Callable[..., Pod]:
    """Build a pod of one container `main`; `container` and `metadata` are merged in, keywords go into the spec."""

    def build(
        *, container: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None, **spec: object
    ) -> Pod:
        main = {"name": "main", "image": "estimatesync:1", "command": ["run"], **(container or {})}
        named = {"name": "a", "namespace": "n", "uid": "u", **(metadata or {})}
        return msgspec.convert({"metadata": named, "spec": {"containers": [main], **spec}}, Pod)

    return build


@pytest.fixture
def build_node() -> Callable[..., Node]:
    """Build a node of 2 cores and 4 GiB in zone `a`."""

    def build(*, labels: dict[str, str] | None = None, **spec: object) -> Node:
        metadata = {"name": "test-node", "labels": labels or {"zone": "a", "generation": "7"}}
        allocatable = {"cpu": "2", "memory": "4Gi"}
        return msgspec.convert({"metadata": metadata, "spec": spec, "status": {"allocatable": allocatable}}, Node)

    return build
