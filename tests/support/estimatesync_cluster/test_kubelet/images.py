"""Decides whether the node has an image, and words the refusal as kubelet and containerd do. Nothing is ever pulled."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from estimatesync_cluster.test_kubelet.manifests import Container

PULL_NEVER = "Never"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A reason and message for a waiting container."""

    reason: str
    message: str


def decide_image_known(image: str, patterns: Sequence[str]) -> bool:
    """Decide whether the image (as the pod names it) matches one of the node's shell patterns."""
    return any(fnmatchcase(image, pattern) for pattern in patterns)


def build_pull_refusals(container: Container) -> tuple[Refusal, ...]:
    """Build what the kubelet would report for an image that cannot be had, in the order of its reports."""
    image = container.image
    if container.image_pull_policy == PULL_NEVER:
        message = f'Container image "{image}" is not present with pull policy of Never'
        return (Refusal(reason="ErrImageNeverPull", message=message),)
    reference = normalize_reference(image)
    cause = (
        f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}": '
        f"{reference}: not found"
    )
    pull = f"rpc error: code = NotFound desc = {cause}"
    back_off = f'Back-off pulling image "{image}": ErrImagePull: {pull}'
    return Refusal(reason="ErrImagePull", message=pull), Refusal(reason="ImagePullBackOff", message=back_off)


def normalize_reference(image: str) -> str:
    """Write an image reference out in full, as container runtimes do: registry, repository and tag."""
    first, slash, _ = image.partition("/")
    if not slash:
        image = f"docker.io/library/{image}"
    elif not any(mark in first for mark in ".:") and first != "localhost":
        image = f"docker.io/{image}"
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in last else f"{image}:latest"
