"""Builders of the Kubernetes objects that the test kubelet decides on."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from estimatesync_cluster.test_kubelet.manifests import Pod


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
