"""Builds the images: chooses the engine, sees to a base image, builds each target, lists its contents.

`python -m estimatesync_images` (make images). Which arguments an engine wants is the business of commands.py.
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

from estimatesync_images.commands import (
    DEFAULT_BASE,
    ENGINES,
    PAUSE,
    TARGETS,
    Engine,
    Recipe,
    build_build_command,
    build_debian_command,
    build_image_name,
    build_present_command,
    build_pull_command,
    build_python_command,
    build_save_command,
)

ROOT = Path(__file__).parents[3]
CONTENTS = Path(__file__).with_name("contents.py")
ASK_SECONDS = 30.0
PULL_SECONDS = 300.0


class ImageError(Exception):
    """An image could not be built; the message says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the images; return the exit code."""
    settings = _build_parser().parse_args(arguments)
    try:
        engine = settings.engine or find_engine()
        create_base(engine, settings.base)
        for target in settings.targets or TARGETS:
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
        if shutil.which(engine) and _succeeds([engine, "info"]):
            return engine
    raise ImageError("No image can be built here: install docker, podman or buildah (on Debian: apt install buildah)")


def create_base(engine: Engine, base: str) -> None:
    """See to it that the base image is here: present, pulled, or made from Debian's packages."""
    if _succeeds(build_present_command(engine, base)) or _succeeds(build_pull_command(engine, base), PULL_SECONDS):
        return
    if engine != "buildah" or not shutil.which("mmdebstrap"):
        raise ImageError(
            f"{base} cannot be pulled. Name another base image with --base, or install buildah and mmdebstrap, with "
            "which a base image is made from Debian's packages"
        )
    _report(f"{base} cannot be pulled: making an image of this name from Debian's packages")
    create_debian_base(base)


def create_debian_base(base: str) -> None:
    """Make a base image out of Debian's packages; the file tree stays in the cache for the next time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "estimatesync", "images")
    cache.mkdir(parents=True, exist_ok=True)
    tree = cache / "base-trixie.tar"
    if not tree.exists():
        draft = tree.with_name(f"unfinished-{os.getpid()}.tar")
        _run(build_debian_command(str(draft)))
        draft.rename(tree)
    container = _read(["buildah", "from", "scratch"]).strip()
    try:
        _run(["buildah", "add", "--quiet", container, str(tree), "/"])
        _run(["buildah", "commit", "--quiet", "--timestamp=0", container, base])
    finally:
        _run(["buildah", "rm", container])


def create_image(engine: Engine, recipe: Recipe) -> None:
    """Build one image."""
    _run(build_build_command(engine, recipe))


def create_archives(engine: Engine, settings: argparse.Namespace) -> None:
    """Write each image, and the one that test nodes need, into a directory of archives."""
    settings.archives.mkdir(parents=True, exist_ok=True)
    for target in (*TARGETS, PAUSE):
        tag = build_image_name(target, registry=settings.registry, version=settings.version)
        if target == PAUSE:
            create_image(engine, _build_recipe(settings, target, tag))
        archive = settings.archives / f"{target}.tar"
        # An archive is never added to.
        archive.unlink(missing_ok=True)
        _run(build_save_command(engine, tag, str(archive.absolute())))
    _report(f"wrote the images into {settings.archives}")


def write_bill(engine: Engine, tag: str, path: Path) -> None:
    """Write down what the image holds, as the image itself sees it."""
    place = _read(["buildah", "from", "--pull-never", tag]).strip() if engine == "buildah" else tag
    try:
        bill = _read(build_python_command(engine, place), stdin=CONTENTS.read_text())
    finally:
        if engine == "buildah":
            _run(["buildah", "rm", place])
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
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--engine", choices=ENGINES, help="default: the first that works")
    parser.add_argument("--base", default=os.environ.get("PYTHON_IMAGE", DEFAULT_BASE), help="default: %(default)s")
    parser.add_argument(
        "--registry", default="", help="goes before the images' names, such as registry.example.com/team"
    )
    parser.add_argument("--version", default=_read_version(), help="the images' tag; default: %(default)s")
    parser.add_argument("--revision", default=_read_git("rev-parse", "HEAD") or "unknown")
    parser.add_argument("--epoch", type=int, default=_read_epoch(), help="SOURCE_DATE_EPOCH, or the last commit's time")
    parser.add_argument("--authority", default=os.environ.get("PIP_CERT"), help="a CA file (PEM) that the build trusts")
    parser.add_argument("--archives", type=Path, help="directory that gets each image as an archive, for test nodes")
    parser.add_argument(
        "--bills", type=Path, default=ROOT / "dist" / "sbom", help="directory of the bills of materials"
    )
    return parser


def _read_version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def _read_epoch() -> int:
    return int(os.environ.get("SOURCE_DATE_EPOCH") or _read_git("log", "-1", "--format=%ct") or 0)


def _read_git(*arguments: str) -> str:
    """Ask git; nothing where there is none."""
    if shutil.which("git") is None:
        return ""
    answer = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603, S607 - constants; git is the user's own
    return answer.stdout.strip()


def _run(command: list[str]) -> None:
    _read(command)


def _read(command: list[str], *, stdin: str | None = None) -> str:
    answer = subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, check=False)  # noqa: S603 - built here
    if answer.returncode:
        tail = "\n".join((answer.stdout + answer.stderr).strip().splitlines()[-15:])
        raise ImageError(f"`{' '.join(command[:2])}` failed:\n{tail}")
    return answer.stdout


def _succeeds(command: list[str], seconds: float = ASK_SECONDS) -> bool:
    try:
        return not subprocess.run(command, capture_output=True, timeout=seconds, check=False).returncode  # noqa: S603 - built here
    except subprocess.TimeoutExpired:
        return False


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
