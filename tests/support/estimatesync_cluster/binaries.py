"""Finds the control plane's programs: KUBEBUILDER_ASSETS, then the cache, then a build from source into the cache.

Called by cluster.py and by `build`. The cache is `~/.cache/estimatesync/kubernetes/<version>` (XDG_CACHE_HOME counts).
A directory in it is complete or absent: it is built beside its place and renamed, and a manifest with checksums lets a
damaged one be recognised and built again. How to compile is go_build.py's business.
"""

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from estimatesync_cluster.file_lock import locked
from estimatesync_cluster.go_build import Report, build_programs
from estimatesync_cluster.programs import (
    KUBERNETES_MODULE,
    PROGRAM_NAMES,
    PROGRAMS,
    Manifest,
    build_missing_message,
    compute_fingerprint,
    decide_reusable,
    parse_required_version,
)

GO_MODULES = Path(__file__).parents[1] / "go"
INPUT_FILES = ("go.mod", "go.sum", "tools.go")
MANIFEST_NAME = "manifest.json"
UNFINISHED_PREFIX = ".unfinished-"


@dataclass(frozen=True, kw_only=True)
class Binaries:
    """The programs of one control plane."""

    directory: Path

    @property
    def etcd(self) -> Path:
        """Path of etcd."""
        return self.directory / "etcd"

    @property
    def apiserver(self) -> Path:
        """Path of kube-apiserver."""
        return self.directory / "kube-apiserver"

    @property
    def controller_manager(self) -> Path:
        """Path of kube-controller-manager."""
        return self.directory / "kube-controller-manager"

    @property
    def scheduler(self) -> Path:
        """Path of kube-scheduler."""
        return self.directory / "kube-scheduler"


class Builder(Protocol):
    """Compiles every program into a directory."""

    def __call__(self, *, sources: Path, output: Path, cache: Path, git_version: str, report: Report) -> None:
        """Leave each of PROGRAM_NAMES in `output` or raise; `cache` may keep a toolchain."""


def find_binaries(
    *, environ: Mapping[str, str], report: Report, sources: Path = GO_MODULES, builder: Builder = build_programs
) -> Binaries:
    """Find the programs, building them if need be; `report` gets lines for a person to read.

    Raises:
        ToolMissingError: a build is needed and this machine has no Go and cannot get it.
        BuildError: the build failed.
    """
    assets = environ.get("KUBEBUILDER_ASSETS")
    if assets:
        missing = [name for name in PROGRAM_NAMES if not os.access(Path(assets, name), os.X_OK)]
        if not missing:
            return Binaries(directory=Path(assets).absolute())
        report(build_missing_message(assets, missing))
    return _find_in_cache(compute_cache_root(environ), sources, builder, report)


def compute_cache_root(environ: Mapping[str, str]) -> Path:
    """Compute where built programs and toolchains are kept, by the XDG base directory rules."""
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path.home(), ".cache")
    return Path(base, "estimatesync")


def _find_in_cache(cache: Path, sources: Path, builder: Builder, report: Report) -> Binaries:
    inputs = _read_inputs(sources)
    version = parse_required_version(inputs["kubernetes/go.mod"].decode(), KUBERNETES_MODULE)
    fingerprint = compute_fingerprint(inputs, f"{platform.system()}-{platform.machine()}")
    directory = cache / "kubernetes" / version
    lock = directory.with_name(f"{version}.lock")
    with locked(lock, on_wait=lambda: report("waiting for another build of the Kubernetes programs to end")):
        if not _is_usable(directory, fingerprint):
            _fill(directory, fingerprint, builder, sources=sources, cache=cache, git_version=version, report=report)
    return Binaries(directory=directory)


def _read_inputs(sources: Path) -> dict[str, bytes]:
    modules = sorted({program.module for program in PROGRAMS})
    return {f"{module}/{name}": (sources / module / name).read_bytes() for module in modules for name in INPUT_FILES}


def _is_usable(directory: Path, fingerprint: str) -> bool:
    manifest = _read_manifest(directory / MANIFEST_NAME)
    return decide_reusable(manifest, fingerprint=fingerprint, checksums=_read_checksums(directory))


def _read_manifest(path: Path) -> Manifest | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError):
        return None


def _read_checksums(directory: Path) -> dict[str, str]:
    checksums = {}
    for name in PROGRAM_NAMES:
        if os.access(directory / name, os.X_OK):
            with (directory / name).open("rb") as program:
                checksums[name] = hashlib.file_digest(program, "sha256").hexdigest()
    return checksums


def _fill(
    directory: Path, fingerprint: str, builder: Builder, *, sources: Path, cache: Path, git_version: str, report: Report
) -> None:
    """Build beside the final place and rename, so that an interrupted build leaves nothing that looks finished."""
    for leftover in directory.parent.glob(f"{UNFINISHED_PREFIX}{directory.name}-*"):
        # A compiler that outlived a killed build may still be writing there; the next build looks again.
        shutil.rmtree(leftover, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{UNFINISHED_PREFIX}{directory.name}-", dir=directory.parent))
    try:
        builder(sources=sources, output=unfinished, cache=cache, git_version=git_version, report=report)
        manifest = Manifest(inputs=fingerprint, programs=_read_checksums(unfinished))
        (unfinished / MANIFEST_NAME).write_bytes(msgspec.json.encode(manifest))
        shutil.rmtree(directory, ignore_errors=True)
        unfinished.rename(directory)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
