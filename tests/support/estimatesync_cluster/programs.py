"""Which programs a control plane is made of and which versions of them: decisions on text, no files, no network.

The Go modules under tests/support/go are the one place where versions are written.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

KUBERNETES_MODULE = "k8s.io/kubernetes"
GIT_VERSION_VARIABLE = "k8s.io/component-base/version.gitVersion"


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


PROGRAMS = (
    Program(name="etcd", module="etcd", package="go.etcd.io/etcd/server/v3"),
    Program(name="kube-apiserver", module="kubernetes", package="k8s.io/kubernetes/cmd/kube-apiserver"),
    Program(
        name="kube-controller-manager", module="kubernetes", package="k8s.io/kubernetes/cmd/kube-controller-manager"
    ),
    Program(name="kube-scheduler", module="kubernetes", package="k8s.io/kubernetes/cmd/kube-scheduler"),
)
PROGRAM_NAMES = tuple(program.name for program in PROGRAMS)


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
    """Compute the checksum of everything a build depends on: the module files by name, the platform, the programs."""
    digest = hashlib.sha256(repr((platform, PROGRAMS)).encode())
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
