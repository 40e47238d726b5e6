"""Decides what the test kubelet refuses to run, and words it as kubelet and containerd do. Pure.

An image that is not among the known ones, for nothing is ever pulled; and a pod that asks for what local processes
cannot have, rather than run it as something else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from estimatesync_cluster.test_kubelet.manifests import Container, Pod

PULL_NEVER = "Never"

# An emptyDir has no place but TMPDIR, and instead of the token volume there is a KUBECONFIG: programs that need either
# find out by themselves.
HARMLESS_VOLUMES = frozenset({"configMap", "emptyDir", "projected", "secret"})
UNSUPPORTED = "UnsupportedByTestKubelet"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A reason and message for a waiting container."""

    reason: str
    message: str


def decide_image_known(image: str, patterns: Sequence[str]) -> bool:
    """Decide whether the image (as the pod names it) matches one of the node's shell patterns."""
    return any(fnmatchcase(image, pattern) for pattern in patterns)


def build_pull_refusals(container: Container) -> tuple[Refusal, ...]:
    """Build what the kubelet would report for an image that is not available, in the order of its reports."""
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


def decide_unsupported(pod: Pod) -> str | None:
    """Decide whether the pod needs what local processes cannot have: None, or a sentence that says what."""
    if pod.spec.init_containers:
        return "The test kubelet runs no init containers."
    for volume in pod.spec.volumes:
        kinds = volume.keys() - {"name"} - HARMLESS_VOLUMES
        if kinds:
            found = f"volume {volume['name']} is a {', '.join(sorted(kinds))}"
            return f"The test kubelet mounts Secrets and ConfigMaps only: {found}."
    return None
