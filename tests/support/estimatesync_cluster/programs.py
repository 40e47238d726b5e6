"""Finds the programs that clusters, tests and people run: in the cache, else built from source into it.

From source, because they are then the very programs that users run, pinned by the Go modules of tests/support/go.
(Helm's SDK as a wheel, for one, neither upgrades nor rolls back as the command does.) The control plane's programs may
also come from KUBEBUILDER_ASSETS. ESTIMATESYNC_TEST_KUBERNETES says of which version they are: the newest one that is
tested, or the oldest.

The cache is `~/.cache/estimatesync/<name>/<version>` (XDG_CACHE_HOME counts). A directory in it is complete or absent:
it is built next to its final path and renamed, and a manifest with checksums lets a damaged one be recognised and built
again. How to compile is the business of go_build.py.
"""

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec
from estimatesync_local.adapters.file_lock import locked

from estimatesync_cluster.errors import SettingError
from estimatesync_cluster.go_build import (
    CONTROL_PLANES,
    KUBERNETES_MODULE,
    NEWEST,
    PROGRAM_NAMES,
    Manifest,
    Program,
    Report,
    build_missing_message,
    build_programs,
    compute_fingerprint,
    decide_reusable,
    parse_required_version,
)

TEST_KUBERNETES = "ESTIMATESYNC_TEST_KUBERNETES"
"""Which Kubernetes a control plane is of: `newest`, which is the default, or `oldest`."""
GO_MODULES = Path(__file__).parents[1] / "go"
INPUT_FILES = ("go.mod", "go.sum", "tools.go")
MANIFEST_NAME = "manifest.json"
UNFINISHED_PREFIX = ".unfinished-"
SHORT_LIVED = {"GOGC": "off", "GOMEMLIMIT": "512MiB", "GOMAXPROCS": "1"}
"""What saves a program in Go that ends within seconds, such as kubectl, a third of its work: it need not tidy up."""

HELM = Program(name="helm", module="helm", package="helm.sh/helm/v4/cmd/helm")
KIND = Program(name="kind", module="kind", package="sigs.k8s.io/kind")
# The Lua in which Argo CD runs health scripts.
GLUA = Program(name="glua", module="glua", package="github.com/yuin/gopher-lua/cmd/glua")
ACTIONLINT = Program(name="actionlint", module="actionlint", package="github.com/rhysd/actionlint/cmd/actionlint")
PROMTOOL, PROMETHEUS = (
    Program(name=name, module=name, package=f"github.com/prometheus/prometheus/cmd/{name}", tags=("remove_all_sd",))
    for name in ("promtool", "prometheus")
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
CRANE = Program(name="crane", module="crane", package="github.com/google/go-containerregistry/cmd/crane")
COSIGN = Program(name="cosign", module="cosign", package="github.com/sigstore/cosign/v2/cmd/cosign")
NODE_TOOLS = (*KUBERNETES_TOOLS, CONTAINERD, SHIM, CTR, KUBE_ROUTER)

_VERSIONED_BY = {
    "kubernetes": KUBERNETES_MODULE,
    "kubernetes-oldest": KUBERNETES_MODULE,
    "helm": "helm.sh/helm/v4",
    "kind": "sigs.k8s.io/kind",
    "glua": "github.com/yuin/gopher-lua",
    "actionlint": "github.com/rhysd/actionlint",
    "promtool": "github.com/prometheus/prometheus",
    "prometheus": "github.com/prometheus/prometheus",
    "node": KUBERNETES_MODULE,
    "containerd": "github.com/containerd/containerd/v2",
    "kube-router": "github.com/cloudnativelabs/kube-router/v2",
    "crane": "github.com/google/go-containerregistry",
    "cosign": "github.com/sigstore/cosign/v2",
}
"""The Go module whose version a directory of tests/support/go is known by."""


@dataclass(frozen=True, kw_only=True)
class Binaries:
    """The programs of one control plane."""

    directory: Path

    @property
    def etcd(self) -> Path:
        return self.directory / "etcd"

    @property
    def apiserver(self) -> Path:
        return self.directory / "kube-apiserver"

    @property
    def controller_manager(self) -> Path:
        return self.directory / "kube-controller-manager"

    @property
    def scheduler(self) -> Path:
        return self.directory / "kube-scheduler"


class Builder(Protocol):
    """Compiles programs into a directory."""

    def __call__(self, *, sources: Path, output: Path, cache: Path, git_version: str, report: Report) -> None:
        """Leave each program in `output` or raise; `cache` may keep a toolchain."""


def find_binaries(
    *,
    environ: Mapping[str, str],
    report: Report,
    sources: Path = GO_MODULES,
    builder: Builder | None = None,
) -> Binaries:
    """Find the control plane's programs, building them if need be; `report` gets lines for a person to read.

    Raises:
        SettingError: ESTIMATESYNC_TEST_KUBERNETES is neither of the two.
        ToolMissingError: a build is needed, and this machine has no Go and cannot get it.
        BuildError: the build failed.
    """
    age = choose_kubernetes(environ)
    # Of which version those are, their directory does not say.
    assets = environ.get("KUBEBUILDER_ASSETS") if age == NEWEST else None
    if assets:
        missing = [name for name in PROGRAM_NAMES if not os.access(Path(assets, name), os.X_OK)]
        if not missing:
            return Binaries(directory=Path(assets).absolute())
        report(build_missing_message(assets, missing))
    programs = CONTROL_PLANES[age]
    directory = _find_in_cache(
        "kubernetes",
        programs,
        module=programs[-1].module,
        cache=compute_cache_root(environ),
        sources=sources,
        builder=builder or partial(build_programs, programs),
        report=report,
    )
    return Binaries(directory=directory)


def choose_kubernetes(environ: Mapping[str, str]) -> str:
    """Choose between NEWEST and OLDEST, as ESTIMATESYNC_TEST_KUBERNETES says.

    Raises:
        SettingError: it says something else.
    """
    age = environ.get(TEST_KUBERNETES) or NEWEST
    if age not in CONTROL_PLANES:
        raise SettingError(f"{TEST_KUBERNETES} is {age!r}: set it to {' or '.join(CONTROL_PLANES)}, or leave it out")
    return age


def read_kubernetes_version(age: str, *, sources: Path = GO_MODULES) -> str:
    """Read which version the newest or the oldest Kubernetes is, for example `v1.36.3`."""
    module = CONTROL_PLANES[age][-1].module
    return parse_required_version((sources / module / "go.mod").read_text(), KUBERNETES_MODULE)


def find_helm(environ: Mapping[str, str] | None = None, *, report: Report) -> Path:
    """Find Helm; its version is the one that tests/support/go/helm pins, whatever is on PATH."""
    return find_go_tool(HELM, environ=os.environ if environ is None else environ, report=report)


def find_go_tool(program: Program, *, environ: Mapping[str, str], report: Report) -> Path:
    """Find one program, building it if need be; `report` gets lines for a person to read.

    Raises:
        ToolMissingError: a build is needed, and this machine has no Go and cannot get it.
        BuildError: the build failed.
    """
    directory = _find_in_cache(
        program.name,
        (program,),
        module=program.module,
        cache=compute_cache_root(environ),
        sources=GO_MODULES,
        builder=partial(build_programs, (program,)),
        report=report,
    )
    return directory / program.name


def compute_cache_root(environ: Mapping[str, str]) -> Path:
    """Compute where built programs and toolchains are kept, by the XDG base directory rules."""
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path.home(), ".cache")
    return Path(base, "estimatesync")


def _find_in_cache(
    name: str,
    programs: tuple[Program, ...],
    *,
    module: str,
    cache: Path,
    sources: Path,
    builder: Builder,
    report: Report,
) -> Path:
    """Find the directory that holds the programs, of the version that `module` pins."""
    inputs = _read_inputs(programs, sources)
    version = parse_required_version(inputs[f"{module}/go.mod"].decode(), _VERSIONED_BY[module])
    fingerprint = compute_fingerprint(
        {**inputs, "programs": repr(programs).encode()}, f"{platform.system()}-{platform.machine()}"
    )
    directory = cache / name / version
    names = tuple(program.name for program in programs)
    lock = directory.with_name(f"{version}.lock")
    with locked(lock, on_wait=lambda: report(f"waiting for another build of {name} to end")):
        if not _is_usable(directory, names, fingerprint):
            build = partial(builder, sources=sources, cache=cache, git_version=version, report=report)
            _fill(directory, names, fingerprint, build)
    return directory


def _read_inputs(programs: tuple[Program, ...], sources: Path) -> dict[str, bytes]:
    modules = sorted({program.module for program in programs})
    return {f"{module}/{name}": (sources / module / name).read_bytes() for module in modules for name in INPUT_FILES}


def _is_usable(directory: Path, names: tuple[str, ...], fingerprint: str) -> bool:
    manifest = _read_manifest(directory / MANIFEST_NAME)
    return decide_reusable(manifest, fingerprint=fingerprint, checksums=_read_checksums(directory, names))


def _read_manifest(path: Path) -> Manifest | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError):
        return None


def _read_checksums(directory: Path, names: tuple[str, ...]) -> dict[str, str]:
    checksums = {}
    for name in names:
        if os.access(directory / name, os.X_OK):
            with (directory / name).open("rb") as program:
                checksums[name] = hashlib.file_digest(program, "sha256").hexdigest()
    return checksums


class _Build(Protocol):
    def __call__(self, *, output: Path) -> None:
        """Compile into a directory."""


def _fill(directory: Path, names: tuple[str, ...], fingerprint: str, build: _Build) -> None:
    """Build next to the final path and rename, so that an interrupted build leaves nothing that looks finished."""
    for leftover in directory.parent.glob(f"{UNFINISHED_PREFIX}{directory.name}-*"):
        # A compiler that outlived a killed build may still be writing there; the next build tries again.
        shutil.rmtree(leftover, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{UNFINISHED_PREFIX}{directory.name}-", dir=directory.parent))
    try:
        build(output=unfinished)
        manifest = Manifest(inputs=fingerprint, programs=_read_checksums(unfinished, names))
        (unfinished / MANIFEST_NAME).write_bytes(msgspec.json.encode(manifest))
        shutil.rmtree(directory, ignore_errors=True)
        unfinished.rename(directory)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
