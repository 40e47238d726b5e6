"""Builds the images of a release, one layer each on a base: what the Dockerfile says, laid out without running it.

Called by main.py. The one program that is run is the base image's own Python, for bytecode, see adapters/bytecode.py.
"""

import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from estimatesync_images.commands import DOCKERFILE

from estimatesync_release.adapters.bytecode import compile_entries, find_own_architecture, write_system
from estimatesync_release.adapters.wheelhouse import fetch_wheels
from estimatesync_release.core.bills import Package, parse_debian_packages, parse_metadata
from estimatesync_release.core.contents import ELF_HEADER, find_faults, find_foreign
from estimatesync_release.core.errors import ReleaseError
from estimatesync_release.core.images import Base, Image, build_image
from estimatesync_release.core.layers import Entry
from estimatesync_release.core.locks import Pin, choose_wheels, parse_lock
from estimatesync_release.core.recipe import (
    ImageSettings,
    Stage,
    build_config,
    build_settings,
    find_lock,
    find_uncompiled,
    parse_stages,
)
from estimatesync_release.core.wheels import (
    Interpreter,
    build_environment_entries,
    build_wheel_entries,
    find_interpreter,
    join_entries,
)

STATUS = "var/lib/dpkg/status"
LISTS = "var/lib/dpkg/status.d/"


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """A finished image, and what is in it."""

    target: str
    image: Image
    entries: Mapping[str, Entry]
    packages: tuple[Package, ...]


@dataclass(kw_only=True)
class ImageBuilder:
    """Builds images of one commit.

    Attributes:
        source: The files of the commit.
        place: A directory for what is needed meanwhile; it is in no image.
        bases: The base image of each architecture.
        wheel: The wheel of this project.
        arguments: Build arguments of the Dockerfile: VERSION, REVISION, CREATED.
        epoch: The time of every file.
    """

    source: Path
    place: Path
    bases: Mapping[str, Base]
    wheel: Path
    arguments: Mapping[str, str]
    epoch: int
    _stages: dict[str, Stage] = field(init=False)
    _interpreters: dict[str, Interpreter] = field(init=False)
    _fetched: dict[str, dict[str, bytes]] = field(init=False, default_factory=dict)
    _installed: dict[tuple[str, Interpreter, str], dict[str, Entry]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._stages = parse_stages((self.source / DOCKERFILE).read_text())
        self._interpreters = {each: find_interpreter(list_paths(base)) for each, base in self.bases.items()}
        if len({each.version for each in self._interpreters.values()}) > 1:
            raise ReleaseError(f"The base images have different Pythons: {self._interpreters}")
        for architecture, base in self.bases.items():
            if foreign := find_foreign(read_heads(base), architecture):
                raise ReleaseError(f"The base image {base.name} is not for {architecture}: {foreign[0]}")
        own = find_own_architecture()
        if own not in self.bases:
            raise ReleaseError(f"A release needs a base image for {own}, too, whose Python compiles the programs")
        write_system(self.bases[own], self.place / "system")

    def fetch(self, targets: Iterable[str]) -> None:
        """Fetch the wheels of every target, once for each architecture."""
        names = tuple(targets)
        for architecture, interpreter in self._interpreters.items():
            pins: dict[str, Pin] = {}
            for target in names:
                pins |= self.read_pins(target, architecture)
            self._fetched[architecture] = fetch_wheels(
                pins, self.place / f"wheels-{architecture}", architecture=architecture, python=interpreter.version
            )

    def read_pins(self, target: str, architecture: str) -> dict[str, Pin]:
        """Read what the lock of a target asks for on an architecture."""
        lock = find_lock(self._stages, self._read_settings(target))
        python = self._interpreters[architecture].version
        return parse_lock((self.source / lock).read_text(), architecture=architecture, python=python)

    def build(self, target: str, architecture: str) -> BuiltImage:
        """Build one image, and check what is in it.

        Raises:
            ReleaseError: it holds what it should not, or lacks something.
        """
        base, interpreter = self.bases[architecture], self._interpreters[architecture]
        settings = self._read_settings(target)
        fetched = self._fetched[architecture]
        chosen = choose_wheels(self.read_pins(target, architecture), list(fetched))
        wheels = {**{name: fetched[name] for name in chosen}, self.wheel.name: self.wheel.read_bytes()}
        uncompiled = find_uncompiled(self._stages, settings)
        installed = ((name, self._install(name, wheel, interpreter, uncompiled)) for name, wheel in wheels.items())
        entries = join_entries([("the environment", build_environment_entries(interpreter)), *installed])
        self._check(target, architecture, entries, settings)
        created = self.arguments["CREATED"]
        image = build_image(
            base,
            entries,
            config=build_config(settings, base.config.get("config") or {}),
            epoch=self.epoch,
            created=created,
            annotations=settings.labels,
        )
        packages = (*read_python_packages(entries), *read_debian_packages(base))
        return BuiltImage(target=target, image=image, entries=entries, packages=packages)

    def _read_settings(self, target: str) -> ImageSettings:
        return build_settings(self._stages, target, self.arguments)

    def _install(self, name: str, wheel: bytes, interpreter: Interpreter, uncompiled: str) -> dict[str, Entry]:
        """Lay out a wheel with its bytecode; many are in several images."""
        key = (name, interpreter, uncompiled)
        if key not in self._installed:
            entries = build_wheel_entries(name, wheel, interpreter)
            compiled = compile_entries(
                entries,
                system=self.place / "system",
                interpreter=interpreter,
                place=self.place / "compiled" / str(len(self._installed)),
                uncompiled=uncompiled,
            )
            self._installed[key] = entries | compiled
        return self._installed[key]

    def _check(self, target: str, architecture: str, entries: Mapping[str, Entry], settings: ImageSettings) -> None:
        faults = find_faults(
            entries,
            architecture=architecture,
            python=self._interpreters[architecture].version,
            entrypoint=settings.entrypoint,
            secrets=(str(self.source).encode(), str(self.place).encode()),
        )
        if faults:
            raise ReleaseError("\n".join([f"The image {target} for {architecture} cannot be released:", *faults[:10]]))


def read_python_packages(entries: Mapping[str, Entry]) -> list[Package]:
    """Read which distributions a layer holds, from their own records."""
    found = (entry for path, entry in entries.items() if path.endswith(".dist-info/METADATA"))
    return [parse_metadata(entry.content.decode()) for entry in found]


def read_debian_packages(base: Base) -> list[Package]:
    """Read which Debian packages a base image lists; none of another system's."""
    found: list[Package] = []
    for member, archive in _list_members(base):
        name = str(PurePosixPath(member.name))
        if name == STATUS or name.startswith(LISTS):
            content = archive.extractfile(member) if member.isfile() else None
            found += parse_debian_packages(content.read().decode()) if content else []
    return found


def list_paths(base: Base) -> list[str]:
    """List the files and links of a base image."""
    return [str(PurePosixPath(member.name)) for member, _ in _list_members(base) if not member.isdir()]


def read_heads(base: Base) -> Iterator[tuple[str, bytes]]:
    """Read the first bytes of each file of a base image."""
    for member, archive in _list_members(base):
        content = archive.extractfile(member) if member.isfile() else None
        if content:
            yield member.name, content.read(ELF_HEADER)


def _list_members(base: Base) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    for layer in base.layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
            for member in archive:
                yield member, archive
