"""Compiles the Python files of a layer with the base image's own Python, which this machine starts by its loader.

Bytecode is the same on every architecture, so the Python of the base for this machine serves the other one, too. It is
never compared with its source, which cannot change either; bytecode with a time in it could not be reproduced.
https://docs.python.org/3/reference/import.html#pyc-invalidation
"""

import io
import platform
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from estimatesync_release.adapters.checkout import run
from estimatesync_release.core.errors import ReleaseError
from estimatesync_release.core.images import Base
from estimatesync_release.core.layers import Entry
from estimatesync_release.core.locks import MACHINES
from estimatesync_release.core.wheels import Interpreter

LOADERS = ("lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1")
NEEDED = ("bin", "lib", "lib64", "usr/bin", "usr/lib", "usr/lib64", "usr/local")


def find_own_architecture() -> str:
    """Find what registries call the architecture of this machine."""
    for architecture, machine in MACHINES.items():
        if platform.machine().lower() in {machine, architecture}:
            return architecture
    raise ReleaseError(f"A release is made on a machine of {' or '.join(MACHINES)}, not of {platform.machine()}")


def write_system(base: Base, target: Path) -> None:
    """Write what Python needs of a base image's files into a directory."""
    for layer in base.layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
            for member in archive:
                if _is_needed(member):
                    archive.extract(member, target, set_attrs=False, filter=_keep)
                    path = target / member.name
                    if member.isfile():
                        path.chmod(0o755)


def _is_needed(member: tarfile.TarInfo) -> bool:
    name = str(PurePosixPath(member.name))
    return (member.isfile() or member.issym() or member.islnk()) and name.startswith(NEEDED)


def _keep(member: tarfile.TarInfo, _: str) -> tarfile.TarInfo:
    """Absolute links lead out of the directory, and are only read as such by this machine's own programs."""
    return member


def compile_entries(
    entries: Mapping[str, Entry], *, system: Path, interpreter: Interpreter, place: Path, uncompiled: str = ""
) -> dict[str, Entry]:
    """Compile each Python file whose path does not have the pattern `uncompiled`; the results by path."""
    for path, entry in entries.items():
        if path.endswith(".py"):
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(entry.content)
    loader = next((system / each for each in LOADERS if (system / each).exists()), None)
    if loader is None:
        raise ReleaseError("the base image has no glibc: name one that has, such as python:3.13-slim")
    python = system / interpreter.home.removeprefix("/") / f"python{interpreter.version}"
    home = python.parents[1]
    libraries = [home / "lib", *sorted(system.glob("usr/lib/*-linux-gnu")), *sorted(system.glob("lib/*-linux-gnu"))]
    command = [str(loader), "--library-path", ":".join(map(str, libraries)), str(python), "-S", "-m", "compileall"]
    command += ["-q", "--invalidation-mode=unchecked-hash", "-s", str(place), "-p", "/", str(place / "opt")]
    command[-1:-1] = ["-x", uncompiled] if uncompiled else []
    environment = {"PYTHONHOME": str(home), "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PYTHONPATH": ""}
    run(command, root=place, environment=environment)
    return {str(path.relative_to(place)): Entry(content=path.read_bytes()) for path in sorted(place.rglob("*.pyc"))}
