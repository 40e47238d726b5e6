"""Finds a program that tests and people run beside a cluster (helm, kind, promtool): in the cache, else built into it.

As for the control plane's programs (binaries.py): pinned by a Go module of tests/support/go, complete or absent,
recognised by checksum. From source, because it is then the very program that users run; Helm's SDK as a wheel
neither upgrades nor rolls back as the command does.
"""

import hashlib
import os
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from estimatesync_cluster.binaries import GO_MODULES, INPUT_FILES, MANIFEST_NAME, compute_cache_root
from estimatesync_cluster.file_lock import locked
from estimatesync_cluster.go_build import Report, compile_program
from estimatesync_cluster.go_toolchain import find_go
from estimatesync_cluster.programs import (
    KUBERNETES_MODULE,
    Manifest,
    Program,
    build_go_command,
    compute_fingerprint,
    decide_reusable,
    parse_go_version,
    parse_required_version,
)

HELM = Program(name="helm", module="helm", package="helm.sh/helm/v4/cmd/helm")
KIND = Program(name="kind", module="kind", package="sigs.k8s.io/kind")
PROMTOOL = Program(
    name="promtool", module="promtool", package="github.com/prometheus/prometheus/cmd/promtool", tags=("remove_all_sd",)
)
PROMETHEUS = Program(
    name="prometheus",
    module="prometheus",
    package="github.com/prometheus/prometheus/cmd/prometheus",
    tags=("remove_all_sd",),
)
KUBERNETES_TOOLS = tuple(
    Program(name=name, module="node", package=f"k8s.io/kubernetes/cmd/{name}") for name in ("kubelet", "kube-proxy")
)
CONTAINERD, SHIM, CTR = (
    Program(name=name, module="containerd", package=f"github.com/containerd/containerd/v2/cmd/{name}")
    for name in ("containerd", "containerd-shim-runc-v2", "ctr")
)
KUBE_ROUTER = Program(
    name="kube-router", module="kube-router", package="github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"
)
NODE_TOOLS = (*KUBERNETES_TOOLS, CONTAINERD, SHIM, CTR, KUBE_ROUTER)
_MODULES = {
    "helm": "helm.sh/helm/v4",
    "kind": "sigs.k8s.io/kind",
    "promtool": "github.com/prometheus/prometheus",
    "prometheus": "github.com/prometheus/prometheus",
    "node": KUBERNETES_MODULE,
    "containerd": "github.com/containerd/containerd/v2",
    "kube-router": "github.com/cloudnativelabs/kube-router/v2",
}


def find_go_tool(program: Program, *, environ: Mapping[str, str], report: Report) -> Path:
    """Find the program, building it if need be; `report` gets lines for a person to read.

    Raises:
        ToolMissingError: a build is needed and this machine has no Go and cannot get it.
        BuildError: the build failed.
    """
    sources, cache = GO_MODULES / program.module, compute_cache_root(environ)
    inputs = {name: (sources / name).read_bytes() for name in INPUT_FILES}
    version = parse_required_version(inputs["go.mod"].decode(), _MODULES[program.module])
    fingerprint = compute_fingerprint({**inputs, "program": repr(program).encode()}, _describe_machine())
    directory = cache / program.name / version
    with locked(
        directory.with_name(f"{version}.lock"), on_wait=lambda: report(f"waiting for a build of {program.name}")
    ):
        if not _is_usable(directory, program, fingerprint):
            _fill(directory, program, fingerprint, version=version, cache=cache, report=report)
    return directory / program.name


def _describe_machine() -> str:
    return f"{platform.system()}-{platform.machine()}"


def _is_usable(directory: Path, program: Program, fingerprint: str) -> bool:
    try:
        manifest = msgspec.json.decode((directory / MANIFEST_NAME).read_bytes(), type=Manifest)
        checksums = _read_checksums(directory / program.name)
    except (OSError, msgspec.MsgspecError):
        return False
    return decide_reusable(manifest, fingerprint=fingerprint, checksums=checksums)


def _read_checksums(path: Path) -> dict[str, str]:
    with path.open("rb") as program:
        return {path.name: hashlib.file_digest(program, "sha256").hexdigest()}


def _fill(directory: Path, program: Program, fingerprint: str, *, version: str, cache: Path, report: Report) -> None:
    """Build beside the final place and rename, so that an interrupted build leaves nothing that looks finished."""
    sources = GO_MODULES / program.module
    go = find_go(needed=parse_go_version((sources / "go.mod").read_text()), cache=cache, report=report)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=directory) as place:
        draft = Path(place, program.name)
        command = build_go_command(program, go=str(go), git_version=version, output=str(draft))
        compile_program(command, directory=sources, program=program, title=f"building {program.name}", report=report)
        manifest = Manifest(inputs=fingerprint, programs=_read_checksums(draft))
        draft.rename(directory / program.name)
    (directory / MANIFEST_NAME).write_bytes(msgspec.json.encode(manifest))


def find_helm(environ: Mapping[str, str] | None = None, *, report: Report) -> Path:
    """Find Helm; its version is the one that tests/support/go/helm pins, whatever is on PATH."""
    return find_go_tool(HELM, environ=os.environ if environ is None else environ, report=report)
