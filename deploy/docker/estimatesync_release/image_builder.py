"""Builds the images of a release, one layer each on a base: what the Dockerfile says, laid out without running it.

Called by main.py. The one program that is run is the base image's own Python, for bytecode, see adapters/bytecode.py.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from estimatesync_release.core.systems import merge_layers
from estimatesync_release.core.wheels import (
    Interpreter,
    build_environment_entries,
    build_wheel_entries,
    find_interpreter,
    join_entries,
)

STATUS = "var/lib/dpkg/status"
LISTS = "var/lib/dpkg/status.d/"
OWN_PYTHON = "/usr/local/bin"
PYTHON_LICENSE = "PSF-2.0"


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
    _base_packages: dict[str, tuple[Package, ...]] = field(init=False, default_factory=dict)
    _interpreters: dict[str, Interpreter] = field(init=False)
    _fetched: dict[str, dict[str, bytes]] = field(init=False, default_factory=dict)
    _installed: dict[tuple[str, Interpreter, str], dict[str, Entry]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._stages = parse_stages((self.source / DOCKERFILE).read_text())
        systems = {each: merge_layers(base) for each, base in self.bases.items()}
        self._interpreters = {each: find_interpreter(system) for each, system in systems.items()}
        if len({each.version for each in self._interpreters.values()}) > 1:
            raise ReleaseError(f"The base images have different Pythons: {self._interpreters}")
        for architecture, base in self.bases.items():
            system, interpreter = systems[architecture], self._interpreters[architecture]
            if foreign := find_foreign(read_heads(system), architecture):
                raise ReleaseError(f"The base image {base.name} is not for {architecture}: {foreign[0]}")
            self._base_packages[architecture] = (
                *read_debian_packages(system),
                *read_python_packages(system),
                *find_own_python(system, interpreter, base.config.get("config") or {}),
            )
        own = find_own_architecture()
        if own not in self.bases:
            raise ReleaseError(f"A release needs a base image for {own}, too, whose Python compiles the programs")
        write_system(systems[own], self.place / "system")

    @property
    def python(self) -> str:
        """The version of the Python of every base image, such as `3.13`."""
        return next(iter(self._interpreters.values())).version

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
        packages = (*read_python_packages(entries), *self._base_packages[architecture])
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


def read_debian_packages(system: Mapping[str, Entry]) -> list[Package]:
    """Read which Debian packages a base image lists; none of another system's."""
    lists = (entry for path, entry in system.items() if path == STATUS or path.startswith(LISTS))
    return [package for entry in lists for package in parse_debian_packages(entry.content.decode())]


def find_own_python(system: Mapping[str, Entry], interpreter: Interpreter, config: Mapping[str, Any]) -> list[Package]:
    """Find the Python that a base image has built itself, which no package manager lists."""
    if interpreter.home != OWN_PYTHON:
        return []
    header = system.get(f"usr/local/include/python{interpreter.version}/patchlevel.h", Entry()).content.decode()
    written = re.search(r'^#define PY_VERSION\s+"([^"]+)"', header, re.MULTILINE)
    environment = dict(each.split("=", 1) for each in config.get("Env") or [])
    version = written[1] if written else environment.get("PYTHON_VERSION", interpreter.version)
    return [Package(name="python", version=version, locator=f"pkg:generic/python@{version}", license=PYTHON_LICENSE)]


def read_heads(system: Mapping[str, Entry]) -> Iterator[tuple[str, bytes]]:
    """Read the first bytes of each file of a base image."""
    return ((path, entry.content[:ELF_HEADER]) for path, entry in system.items())
