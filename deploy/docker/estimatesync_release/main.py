"""Makes a release: checks, packages, images, chart, bills of materials, provenance, checksums, in this order.

`python -m estimatesync_release VERSION` (make release VERSION=…). Everything is built from the commit's own files in a
directory of its own, and is in `build/release` once all of it is there.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from estimatesync_images.commands import CLUSTER_TARGETS, PAUSE, TARGETS, build_image_name
from estimatesync_images.engine_calls import ROOT

from estimatesync_release.adapters.bytecode import find_own_architecture
from estimatesync_release.adapters.checkout import (
    Commit,
    create_packages,
    read_checkout,
    read_commit,
    write_source,
)
from estimatesync_release.adapters.debian import NAME as DEBIAN
from estimatesync_release.adapters.debian import create_debian_base
from estimatesync_release.adapters.registry import fetch_base, read_archive
from estimatesync_release.core.bills import LICENSE, Package, build_bill
from estimatesync_release.core.chart import build_chart, format_digests
from estimatesync_release.core.checks import CHANGELOG, cut_notes, find_blockers
from estimatesync_release.core.errors import ReleaseError
from estimatesync_release.core.images import Base, build_archive, build_index
from estimatesync_release.core.locks import MACHINES, parse_lock
from estimatesync_release.core.provenance import DEFAULT_BUILDER, Build, build_statement, format_checksums
from estimatesync_release.image_builder import BuiltImage, ImageBuilder

TARGET: Final = ROOT / "build" / "release"
CHART: Final = Path("charts", "estimatesync")
WHEEL_LOCKS: Final = ("api", "operator", "one-server")
"""They have every extra together."""
NOTES: Final = "notes.md"
WHEEL, SDIST, CHART_KIND, IMAGE = "LIBRARY", "SOURCE", "INSTALL", "CONTAINER"


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a release; return the exit code."""
    settings = _build_parser().parse_args(arguments)
    try:
        check(settings)
        with tempfile.TemporaryDirectory(prefix="estimatesync-release-") as place:
            release = Release(settings, Path(place).resolve())
            release.create()
            release.move_to(settings.target)
    except ReleaseError as error:
        _report(str(error))
        return 1
    _report(describe(settings, release))
    return 0


def check(settings: argparse.Namespace) -> None:
    """Check what must be true before a release; a draft only reports it.

    Raises:
        ReleaseError: it is not.
    """
    blockers = find_blockers(read_checkout(ROOT), settings.version)
    others = [*blockers.others]
    if settings.base == DEBIAN:
        others.append(
            "BASE names no base image by its digest, such as docker.io/library/python:3.13-slim@sha256:…: "
            "one of Debian's packages is made here, which is for trying"
        )
    if blockers.versions or (others and not settings.draft):
        hint = [] if blockers.versions else ["(DRAFT=1 builds it all the same, to try it)"]
        raise ReleaseError("\n".join(["This is no release:", *blockers.versions, *others, *hint]))
    if others:
        _report("\n".join(["A draft, which is no release:", *others]))


@dataclass
class Release:
    """One release while it is made: its files are in `files` until they are moved."""

    settings: argparse.Namespace
    place: Path
    commit: Commit = field(init=False)
    bases: dict[str, Base] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.commit = read_commit(ROOT)
        self.source, self.files = self.place / "source", self.place / "files"
        self.created = datetime.fromtimestamp(self.commit.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        write_source(ROOT, self.commit, self.source)
        self.files.mkdir()

    def create(self) -> None:
        """Make every file of the release."""
        _report(f"building {self.settings.version} from {self.commit.name[:12]}")
        wheel, sdist = create_packages(self.source, self.files, epoch=self.commit.epoch)
        builder = self._create_builder(wheel)
        digests = {target: self._write_images(builder, target) for target in TARGETS}
        if self.settings.pause:
            self._write_pause(builder, self.settings.pause)
        installed = {target: digests[target] for target in CLUSTER_TARGETS}
        chart = self._write_chart(installed)
        needed = list_needed(self.source, python=builder.python)
        self._write_bill(wheel, needs=needed, purpose=WHEEL)
        self._write_bill(sdist, needs=needed, purpose=SDIST)
        self._write_bill(chart, needs=_list_images(installed, self.settings.version), purpose=CHART_KIND)
        # A draft may have none.
        if notes := cut_notes((self.source / CHANGELOG).read_text(), self.settings.version):
            (self.files / NOTES).write_text(notes)
        self._write_provenance()

    def move_to(self, target: Path) -> None:
        """Put the finished files into the place of those of an earlier build."""
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(self.files, target)

    def _create_builder(self, wheel: Path) -> ImageBuilder:
        self.bases = {each: find_base(self.settings.base, each) for each in MACHINES}
        arguments = {"VERSION": self.settings.version, "REVISION": self.commit.name, "CREATED": self.created}
        builder = ImageBuilder(
            source=self.source,
            place=self.place / "images",
            bases=self.bases,
            wheel=wheel,
            arguments=arguments,
            epoch=self.commit.epoch,
        )
        builder.fetch(TARGETS)
        return builder

    def _write_pause(self, builder: ImageBuilder, archive: Path) -> None:
        """Write the image that holds a pod's namespaces on test nodes, which is no part of a release."""
        built = builder.build(PAUSE, find_own_architecture())
        reference = f"docker.io/library/{build_image_name(PAUSE, registry='', version=self.settings.version)}"
        archive.parent.mkdir(parents=True, exist_ok=True)
        archive.write_bytes(build_archive(built.image, reference=reference, epoch=self.commit.epoch))

    def _write_images(self, builder: ImageBuilder, target: str) -> str:
        """Write an image for every architecture, and return the digest that is all of them."""
        folder = self.files / "images"
        folder.mkdir(exist_ok=True)
        name = f"estimatesync-{target}"
        built = [builder.build(target, architecture) for architecture in MACHINES]
        for each in built:
            reference = f"docker.io/library/{build_image_name(target, registry='', version=self.settings.version)}"
            archive = build_archive(each.image, reference=reference, epoch=self.commit.epoch)
            (folder / f"{name}-{each.image.architecture}.oci.tar").write_bytes(archive)
            self._write_image_bill(name, each)
        index = folder / f"{name}.index.json"
        index.write_bytes(build_index(each.image for each in built))
        _report(f"built {name} for {' and '.join(MACHINES)}")
        return f"sha256:{compute_checksum(index)}"

    def _write_chart(self, digests: Mapping[str, str]) -> Path:
        root = self.source / CHART
        files = {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
        chart = self.files / f"estimatesync-{self.settings.version}.tgz"
        chart.write_bytes(build_chart(files, epoch=self.commit.epoch))
        (self.files / "images.yaml").write_text(format_digests(digests))
        return chart

    def _write_bill(self, file: Path, *, needs: Sequence[Package], purpose: str) -> None:
        whole = self._describe(file.name, compute_checksum(file), f"pkg:generic/{file.name}@{self.settings.version}")
        bill = build_bill(whole, needs=needs, purpose=purpose, created=self.created)
        (self.files / f"{file.name}.spdx.json").write_bytes(bill)

    def _write_image_bill(self, name: str, built: BuiltImage) -> None:
        architecture, digest = built.image.architecture, built.image.digest.removeprefix("sha256:")
        locator = f"pkg:oci/{name}@sha256%3A{digest}?arch={architecture}&tag={self.settings.version}"
        whole = self._describe(f"{name}-{architecture}", digest, locator)
        bill = build_bill(whole, built.packages, purpose=IMAGE, created=self.created)
        (self.files / f"{name}-{architecture}.spdx.json").write_bytes(bill)

    def _describe(self, name: str, digest: str, locator: str) -> Package:
        return Package(name=name, version=self.settings.version, locator=locator, license=LICENSE, digest=digest)

    def _write_provenance(self) -> None:
        locks = sorted((self.source / "requirements").glob("*.txt"))
        build = Build(
            version=self.settings.version,
            commit=self.commit.name,
            source=self.settings.source,
            builder=self.settings.builder,
            epoch=self.commit.epoch,
            locks={str(path.relative_to(self.source)): compute_checksum(path) for path in locks},
            bases={f"{base.name} ({architecture})": base.digest for architecture, base in self.bases.items()},
            draft=self.settings.draft,
        )
        (self.files / "provenance.intoto.jsonl").write_bytes(build_statement(build, read_checksums(self.files)))
        (self.files / "SHA256SUMS").write_text(format_checksums(read_checksums(self.files)))


def list_needed(source: Path, *, python: str) -> list[Package]:
    """List what the wheel needs where it is installed with all extras, in the versions of the locks."""
    texts = [(source / "requirements" / f"{lock}.txt").read_text() for lock in WHEEL_LOCKS]
    pins = {pin for text in texts for pin in parse_lock(text, architecture="amd64", python=python).values()}
    return [Package(name=pin.name, version=pin.version, locator=f"pkg:pypi/{pin.name}@{pin.version}") for pin in pins]


def find_base(text: str, architecture: str) -> Base:
    """Find the base image that was asked for: of a registry, of an archive, or made of Debian's packages."""
    if text == DEBIAN:
        return create_debian_base(architecture)
    if Path(text).is_file():
        return read_archive(Path(text), architecture)
    return fetch_base(text, architecture)


def read_checksums(folder: Path) -> dict[str, str]:
    """Read the checksum of each file in a directory."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): compute_checksum(path) for path in files}


def compute_checksum(path: Path) -> str:
    """Compute the sha256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(settings: argparse.Namespace, release: Release) -> str:
    """Say what there is now, and what was not tried."""
    sums = compute_checksum(settings.target / "SHA256SUMS")
    return "\n".join(
        [
            f"{settings.version} is in {settings.target}; the checksum of its SHA256SUMS is {sums}",
            *(f"base for {architecture}: {base.name}, {base.digest}" for architecture, base in release.bases.items()),
            "Nothing of arm64 was run: its images were laid out and their contents checked.",
        ]
    )


def _list_images(digests: Mapping[str, str], version: str) -> list[Package]:
    return [
        Package(
            name=f"estimatesync-{target}",
            version=version,
            locator=f"pkg:oci/estimatesync-{target}@{digest.replace(':', '%3A')}?tag={version}",
            license=LICENSE,
            digest=digest.removeprefix("sha256:"),
        )
        for target, digest in digests.items()
    ]


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m estimatesync_release", description="Make a release.")
    parser.add_argument("version", help="what the checkout says it is, such as 1.0.0")
    parser.add_argument("--target", type=Path, default=TARGET, help="directory; default: %(default)s")
    parser.add_argument("--base", default=DEBIAN, help="base image by digest, an OCI archive, or `debian` (default)")
    parser.add_argument("--draft", action="store_true", help="build it though it is no release, to try it")
    parser.add_argument("--builder", default=DEFAULT_BUILDER, help="URI of who builds it")
    parser.add_argument("--source", default="pkg:generic/estimatesync", help="URI of the source")
    parser.add_argument("--pause", type=Path, help="write the image that test nodes need, too: an archive")
    return parser


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
