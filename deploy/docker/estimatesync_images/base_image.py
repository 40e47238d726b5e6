"""Provides the image that the others are built on: present, pulled, or made from Debian's packages.

Called by main.py. The last way is for machines that can reach Debian's packages but no image registry.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from estimatesync_images.commands import (
    Engine,
    build_debian_command,
    build_import_command,
    build_present_command,
    build_pull_command,
)
from estimatesync_images.engine_calls import ImageError, is_successful, read_output, run_program

PULL_SECONDS = 300.0


def create_base(engine: Engine, base: str, report: Callable[[str], None]) -> None:
    """Make sure that the base image exists.

    Raises:
        ImageError: it does not, and cannot be made.
    """
    if is_successful(build_present_command(engine, base)) or is_successful(
        build_pull_command(engine, base), PULL_SECONDS
    ):
        return
    if not shutil.which("mmdebstrap"):
        raise ImageError(
            f"{base} cannot be pulled. Name another base image with --base, or install mmdebstrap, with which a base "
            "image is made from Debian's packages"
        )
    report(f"{base} cannot be pulled: making an image of this name from Debian's packages")
    create_debian_base(engine, base)


def create_debian_base(engine: Engine, base: str) -> None:
    """Make a base image from Debian's packages; the file tree stays in the cache for the next time."""
    tree = create_debian_tree()
    if engine == "buildah":
        create_from_scratch(tree, base)
    else:
        run_program(build_import_command(engine, str(tree), base))


def create_debian_tree() -> Path:
    """Make the file tree of a base image, unless it is in the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "estimatesync", "images")
    cache.mkdir(parents=True, exist_ok=True)
    tree = cache / "base-trixie.tar"
    if not tree.exists():
        draft = tree.with_name(f"unfinished-{os.getpid()}.tar")
        run_program(build_debian_command(str(draft)))
        draft.rename(tree)
    return tree


def create_from_scratch(tree: Path, base: str) -> None:
    """Make an image from a file tree with buildah, which has no `import`."""
    container = read_output(["buildah", "from", "scratch"]).strip()
    try:
        run_program(["buildah", "add", "--quiet", container, str(tree), "/"])
        run_program(["buildah", "commit", "--quiet", "--timestamp=0", container, base])
    finally:
        run_program(["buildah", "rm", container])
