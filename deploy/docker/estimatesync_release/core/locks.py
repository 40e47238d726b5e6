"""What a lock means on another machine than this one: which wheels it installs there. Called by main.py.

pip compares the lock's markers with the machine that it runs on. Here they are compared with the machine of the image,
and what remains has no marker left.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from packaging.markers import Marker
from packaging.utils import canonicalize_name, parse_wheel_filename

from estimatesync_release.core.errors import ReleaseError

MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
"""What Python calls an architecture, by what registries call it."""
NEWEST_GLIBC: Final = 28
"""Wheels for glibc up to 2.28 run on every base that is in support (Debian 10, RHEL 8 and later)."""
OLDEST_GLIBC: Final = {"amd64": 5, "arm64": 17}


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One wheel that a lock asks for: its version and the checksums that it may have."""

    name: str
    version: str
    hashes: tuple[str, ...]


def parse_lock(text: str, *, architecture: str, python: str) -> dict[str, Pin]:
    """Read the pins of a lock that count for a machine, by name.

    Args:
        text: a requirement file with hashes, as uv writes it.
        architecture: amd64 or arm64.
        python: such as `3.13`.
    """
    environment = build_environment(architecture, python)
    pins: dict[str, Pin] = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        requirement, *hashes = line.partition("#")[0].split("--hash=")
        pinned, _, marker = (part.strip() for part in requirement.partition(";"))
        if not pinned or (marker and not Marker(marker).evaluate(environment)):
            continue
        name, _, version = pinned.partition("==")
        if not version or not hashes:
            raise ReleaseError(f"the lock has {pinned!r} without a version or a checksum: run make lock")
        pins[canonicalize_name(name)] = Pin(
            name=canonicalize_name(name), version=version, hashes=tuple(each.strip() for each in hashes)
        )
    return pins


def build_environment(architecture: str, python: str) -> dict[str, str]:
    """Build what markers are compared with."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": MACHINES[architecture],
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }


def format_lock(pins: Mapping[str, Pin]) -> str:
    """Write pins as a requirement file that counts on every machine."""
    lines = (
        " ".join([f"{pin.name}=={pin.version}", *(f"--hash={each}" for each in pin.hashes)])
        for _, pin in sorted(pins.items())
    )
    return "".join(f"{line}\n" for line in lines)


def list_platforms(architecture: str) -> list[str]:
    """List the platforms whose wheels run on the machine, the best first."""
    machine = MACHINES[architecture]
    return [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, OLDEST_GLIBC[architecture] - 1, -1)] + [
        f"{legacy}_{machine}"
        for legacy in ("manylinux2014", *(("manylinux2010", "manylinux1") * (machine == "x86_64")))
    ]


def choose_wheels(pins: Mapping[str, Pin], filenames: list[str]) -> list[str]:
    """Choose the wheel of each pin from those that are there.

    Raises:
        ReleaseError: one is missing.
    """
    found = {
        (str(name), str(version)): each for each in filenames for name, version, *_ in [parse_wheel_filename(each)]
    }
    missing = [f"{pin.name} {pin.version}" for pin in pins.values() if (pin.name, pin.version) not in found]
    if missing:
        raise ReleaseError(f"no wheel was fetched of {', '.join(missing)}")
    return [found[pin.name, pin.version] for _, pin in sorted(pins.items())]
