"""The command lines by which each engine builds an image and runs a program in it: pure, called by main.py.

docker and podman are called as their users would call them. Debian's buildah needs `--isolation chroot`: its other ways
of running a step need cgroups that not every machine delegates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Engine = Literal["docker", "podman", "buildah"]
ENGINES: Final[tuple[Engine, ...]] = ("docker", "buildah", "podman")
"""In the order in which they are chosen: podman runs a build's steps where buildah is content with a chroot."""
CLUSTER_TARGETS: Final = ("api", "operator", "sync")
"""What the chart installs."""
TARGETS: Final = (*CLUSTER_TARGETS, "server")
PAUSE: Final = "pause"
"""Only for test nodes."""
DEFAULT_BASE: Final = "docker.io/library/python:3.13-slim"
DOCKERFILE: Final = "deploy/docker/Dockerfile"
DEBIAN_SUITE: Final = "trixie"
DEBIAN_PACKAGES: Final = ("python3", "python3-venv", "python-is-python3", "ca-certificates")
"""The smallest Debian that the Dockerfile can use instead of Docker's python image, with the same Python."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One image to build.

    Attributes:
        target: Stage of the Dockerfile.
        tag: Full name of the image.
        base: The base image.
        epoch: Seconds since 1970 that every time in the image is set to.
        arguments: Further build arguments.
        authority: A certificate authority (PEM) that the build trusts in addition to the usual ones.
    """

    target: str
    tag: str
    base: str
    epoch: int
    arguments: Mapping[str, str] = field(default_factory=dict)
    authority: str | None = None


def build_image_name(target: str, *, registry: str, version: str) -> str:
    """Name an image as the chart does."""
    return "/".join(part for part in (registry.rstrip("/"), f"estimatesync-{target}:{version}") if part)


def build_build_command(engine: Engine, recipe: Recipe) -> list[str]:
    """Build the command line that builds one image, started in the root of the checkout."""
    arguments = {"PYTHON_IMAGE": recipe.base, "SOURCE_DATE_EPOCH": str(recipe.epoch), **recipe.arguments}
    start = {
        "docker": ["docker", "build"],
        "podman": ["podman", "build", f"--timestamp={recipe.epoch}"],
        # Without a registry, a pull policy other than `never` fails even when the base is present.
        "buildah": ["buildah", "bud", "--isolation=chroot", "--layers", "--pull=never", f"--timestamp={recipe.epoch}"],
    }[engine]
    return [
        *start,
        f"--file={DOCKERFILE}",
        f"--target={recipe.target}",
        f"--tag={recipe.tag}",
        *(f"--build-arg={name}={value}" for name, value in sorted(arguments.items())),
        *([f"--secret=id=cacert,src={recipe.authority}"] if recipe.authority else []),
        ".",
    ]


def build_save_command(engine: Engine, image: str, path: str) -> list[str]:
    """Build the command line that writes an image into an archive, as containerd and kind load it."""
    if engine == "docker":
        return ["docker", "save", f"--output={path}", image]
    # podman and buildah name their own images localhost/…; a node expects the same prefix as of all others.
    name = image if "/" in image else f"docker.io/library/{image}"
    return [engine, "push", "--quiet", image, f"docker-archive:{path}:{name}"]


def build_pull_command(engine: Engine, image: str) -> list[str]:
    """Build the command line that fetches the base image."""
    return [engine, "pull", image]


def build_present_command(engine: Engine, image: str) -> list[str]:
    """Build the command line that succeeds when the image is present."""
    if engine == "buildah":
        return ["buildah", "inspect", "--type=image", "--format={{.FromImageID}}", image]
    return [engine, "image", "inspect", image]


def build_debian_command(output: str) -> list[str]:
    """Build the command line that makes the file tree of a base image from Debian's packages."""
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(DEBIAN_PACKAGES)}",
        DEBIAN_SUITE,
        output,
    ]


def build_import_command(engine: Literal["docker", "podman"], tree: str, image: str) -> list[str]:
    """Build the command line that makes an image from a file tree (a tar archive); buildah has none."""
    return [engine, "import", tree, image]


def build_python_command(engine: Engine, image: str) -> list[str]:
    """Build the command line that runs Python in an image, with its program on standard input.

    buildah runs programs in containers that it keeps: there, `image` is such a container.
    """
    if engine == "buildah":
        return ["buildah", "run", "--isolation=chroot", image, "--", "python", "-I", "-"]
    return [engine, "run", "--rm", "--interactive", "--network=none", "--entrypoint=python", image, "-I", "-"]
