"""Which images the node knows, and how it says that it does not."""

from collections.abc import Callable

import pytest
from estimatesync_cluster.control_plane import LocalNode
from estimatesync_cluster.test_kubelet.manifests import Pod
from estimatesync_cluster.test_kubelet.refusals import (
    build_pull_refusals,
    decide_image_known,
    normalize_reference,
)


@pytest.mark.parametrize(
    ("image", "known"),
    [
        pytest.param("estimatesync-sync:1.2", True, id="short"),
        pytest.param("ghcr.io/botzilla/estimatesync-sync@sha256:ab", True, id="with registry and digest"),
        pytest.param("ghcr.io/estimatesync/sync:1", True, id="owner"),
        pytest.param("busybox", False, id="other"),
    ],
)
def test_default_node_knows_our_images(image: str, *, known: bool) -> None:
    decided = decide_image_known(image, LocalNode().known_images)

    assert decided is known


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        pytest.param("busybox", "docker.io/library/busybox:latest", id="name"),
        pytest.param("owner/app:1", "docker.io/owner/app:1", id="owner"),
        pytest.param("localhost/app", "localhost/app:latest", id="localhost"),
        pytest.param("registry:5000/app", "registry:5000/app:latest", id="port"),
        pytest.param("ghcr.io/a/b@sha256:ab", "ghcr.io/a/b@sha256:ab", id="digest"),
    ],
)
def test_reference_is_written_out(image: str, reference: str) -> None:
    normalized = normalize_reference(image)

    assert normalized == reference


@pytest.mark.parametrize(
    ("policy", "reasons"),
    [("IfNotPresent", ["ErrImagePull", "ImagePullBackOff"]), ("Never", ["ErrImageNeverPull"])],
)
def test_refusals_follow_the_pull_policy(build_pod: Callable[..., Pod], policy: str, reasons: list[str]) -> None:
    container = build_pod(container={"image": "busybox", "imagePullPolicy": policy}).spec.containers[0]

    refusals = build_pull_refusals(container)

    assert [refusal.reason for refusal in refusals] == reasons
    assert all("busybox" in refusal.message for refusal in refusals)
