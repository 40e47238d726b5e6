"""What git says of the checkout, its files as committed, and the packages that hatchling builds of them."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from estimatesync_release.core.checks import CHANGELOG, PAGES, PLACES, Checkout
from estimatesync_release.core.errors import ReleaseError

LAST_LINES = 15


@dataclass(frozen=True, kw_only=True)
class Commit:
    """The commit that is released."""

    name: str
    epoch: int


def read_commit(root: Path) -> Commit:
    """Read the commit of a checkout."""
    name, epoch = run(["git", "log", "-1", "--format=%H %ct"], root=root).decode().split()
    return Commit(name=name, epoch=int(epoch))


def read_checkout(root: Path) -> Checkout:
    """Read what the checks need."""
    changed = run(["git", "status", "--porcelain", "--untracked-files=normal"], root=root).decode().splitlines()
    paths = run(["git", "ls-tree", "-r", "--name-only", "HEAD"], root=root).decode().splitlines()
    texts = {path: run(["git", "show", f"HEAD:{path}"], root=root).decode() for path in (*PLACES, *PAGES, CHANGELOG)}
    return Checkout(texts=texts, paths=paths, changed=tuple(line[3:] for line in changed))


def write_source(root: Path, commit: Commit, target: Path) -> None:
    """Write the files of the commit, and no other, into a directory."""
    with tarfile.open(fileobj=io.BytesIO(run(["git", "archive", "--format=tar", commit.name], root=root))) as archive:
        archive.extractall(target, filter="data")


def create_packages(source: Path, target: Path, *, epoch: int) -> tuple[Path, Path]:
    """Build the wheel and the source distribution; their paths in this order."""
    target.mkdir(parents=True, exist_ok=True)
    build = [sys.executable, "-m", "hatchling", "build", "--directory", str(target)]
    for kind in ("wheel", "sdist"):
        run([*build, "--target", kind], root=source, environment={"SOURCE_DATE_EPOCH": str(epoch)})
    (wheel,), (sdist,) = target.glob("*.whl"), target.glob("*.tar.gz")
    return wheel, sdist


def run(command: list[str], *, root: Path, environment: Mapping[str, str] | None = None) -> bytes:
    """Run a program, and return what it prints.

    Raises:
        ReleaseError: it is missing, or failed; the message ends with its last words.
    """
    try:
        finished = subprocess.run(  # noqa: S603 - built in this package
            command, cwd=root, env={**os.environ, **(environment or {})}, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise ReleaseError(f"there is no {command[0]}: install it") from error
    if finished.returncode:
        words = (finished.stdout[-4000:] + finished.stderr).decode(errors="replace").strip().splitlines()
        raise ReleaseError("\n".join([f"`{' '.join(command[:4])}` failed:", *words[-LAST_LINES:]]))
    return finished.stdout
