"""Builds the images: chooses the engine, builds each target, lists its contents.

`python -m estimatesync_images` (make images). commands.py knows each engine's arguments, base_image.py
provides the image that the others are built on.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from estimatesync_images.base_image import create_base
from estimatesync_images.commands import (
    CLUSTER_TARGETS,
    DEFAULT_BASE,
    ENGINES,
    PAUSE,
    TARGETS,
    Engine,
    Recipe,
    build_build_command,
    build_image_name,
    build_python_command,
    build_save_command,
)
from estimatesync_images.engine_calls import ROOT, ImageError, is_successful, read_output, run_program

CONTENTS = Path(__file__).with_name("contents.py")


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the images; return the exit code."""
    settings = _build_parser().parse_args(arguments)
    try:
        engine = settings.engine or find_engine()
        create_base(engine, settings.base, _report)
        for target in settings.targets or (CLUSTER_TARGETS if settings.archives else TARGETS):
            tag = build_image_name(target, registry=settings.registry, version=settings.version)
            create_image(engine, _build_recipe(settings, target, tag))
            write_bill(engine, tag, settings.bills / f"estimatesync-{target}.cdx.json")
            _report(f"built {tag}")
        if settings.archives:
            create_archives(engine, settings)
    except ImageError as error:
        _report(str(error))
        return 1
    return 0


def find_engine() -> Engine:
    """Find the first engine that works: a docker client without its daemon does not."""
    for engine in ENGINES:
        if shutil.which(engine) and is_successful([engine, "info"]):
            return engine
    raise ImageError("No image can be built here: install docker, podman or buildah (on Debian: apt install buildah)")


def create_image(engine: Engine, recipe: Recipe) -> None:
    """Build one image."""
    run_program(build_build_command(engine, recipe))


def create_archives(engine: Engine, settings: argparse.Namespace) -> None:
    """Write each image of a cluster, and the one that test nodes need, into a directory of archives."""
    settings.archives.mkdir(parents=True, exist_ok=True)
    for target in (*CLUSTER_TARGETS, PAUSE):
        tag = build_image_name(target, registry=settings.registry, version=settings.version)
        if target == PAUSE:
            create_image(engine, _build_recipe(settings, target, tag))
        archive = settings.archives / f"{target}.tar"
        # An archive is never added to.
        archive.unlink(missing_ok=True)
        run_program(build_save_command(engine, tag, str(archive.absolute())))
    _report(f"wrote the images into {settings.archives}")


def write_bill(engine: Engine, tag: str, path: Path) -> None:
    """Write the bill of materials, as the image itself lists it."""
    container = read_output(["buildah", "from", "--pull-never", tag]).strip() if engine == "buildah" else tag
    try:
        bill = read_output(build_python_command(engine, container), stdin=CONTENTS.read_text())
    finally:
        if engine == "buildah":
            run_program(["buildah", "rm", container])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(bill)


def _build_recipe(settings: argparse.Namespace, target: str, tag: str) -> Recipe:
    created = datetime.fromtimestamp(settings.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    arguments = {"VERSION": settings.version, "REVISION": settings.revision, "CREATED": created}
    return Recipe(
        target=target,
        tag=tag,
        base=settings.base,
        epoch=settings.epoch,
        arguments=arguments,
        authority=settings.authority,
    )


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m estimatesync_images", description="Build the images.")
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help=f"of {', '.join(TARGETS)}; all by default, with --archives those of a cluster",
    )
    parser.add_argument("--engine", choices=ENGINES, help="default: the first that works")
    parser.add_argument("--base", default=os.environ.get("PYTHON_IMAGE", DEFAULT_BASE), help="default: %(default)s")
    parser.add_argument(
        "--registry", default="", help="goes before the images' names, such as registry.example.com/team"
    )
    parser.add_argument("--version", default=_read_version(), help="the images' tag; default: %(default)s")
    parser.add_argument("--revision", default=_read_git("rev-parse", "HEAD") or "unknown")
    parser.add_argument("--epoch", type=int, default=_read_epoch(), help="SOURCE_DATE_EPOCH, or the last commit's time")
    parser.add_argument("--authority", default=os.environ.get("PIP_CERT"), help="a CA file (PEM) that the build trusts")
    parser.add_argument(
        "--archives", type=Path, help="directory that gets each image of a cluster as an archive, for nodes"
    )
    parser.add_argument(
        "--bills", type=Path, default=ROOT / "dist" / "sbom", help="directory of the bills of materials"
    )
    return parser


def _read_version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def _read_epoch() -> int:
    return int(os.environ.get("SOURCE_DATE_EPOCH") or _read_git("log", "-1", "--format=%ct") or 0)


def _read_git(*arguments: str) -> str:
    """Read what git prints; empty without git."""
    if shutil.which("git") is None:
        return ""
    finished = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603, S607 - constants; git is the user's own
    return finished.stdout.strip()


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
