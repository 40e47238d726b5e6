"""Compiles the Python files of a layer with the base image's own Python, which this machine starts by its loader.

Bytecode is the same on every architecture, so the Python of the base for this machine serves the other one, too. It is
never compared with its source, which cannot change either; bytecode with a time in it could not be reproduced.
https://docs.python.org/3/reference/import.html#pyc-invalidation
"""

import platform
import posixpath
from collections.abc import Mapping
from pathlib import Path

from estimatesync_release.adapters.checkout import run
from estimatesync_release.core.errors import ReleaseError
from estimatesync_release.core.layers import Entry
from estimatesync_release.core.locks import MACHINES
from estimatesync_release.core.systems import find_link_target
from estimatesync_release.core.wheels import Interpreter

LOADERS = ("lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1")
NEEDED = ("bin", "lib", "lib64", "usr/bin", "usr/lib", "usr/lib64", "usr/local")


def find_own_architecture() -> str:
    """Find what registries call the architecture of this machine."""
    for architecture, machine in MACHINES.items():
        if platform.machine().lower() in {machine, architecture}:
            return architecture
    raise ReleaseError(f"A release is made on a machine of {' or '.join(MACHINES)}, not of {platform.machine()}")


def write_system(system: Mapping[str, Entry], target: Path) -> None:
    """Write what Python needs of a base image's files into a directory, and nothing through a link out of it.

    Raises:
        ReleaseError: a file cannot be written there.
    """
    target.mkdir(parents=True, exist_ok=True)
    root = target.resolve()
    needed = {path: entry for path, entry in system.items() if path.startswith(NEEDED)}
    # Links come last, so that no file is written through one.
    for path, entry in sorted(needed.items(), key=lambda each: (bool(each[1].link), each[0])):
        place = root / path
        if not place.parent.resolve().is_relative_to(root):
            raise ReleaseError(f"the base image's {path} would be written outside of it")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if entry.link:
                place.symlink_to(posixpath.relpath(find_link_target(path, entry.link), posixpath.dirname(path)))
            else:
                place.write_bytes(entry.content)
                place.chmod(0o755)
        except OSError as error:
            raise ReleaseError(f"the base image's {path} cannot be written: {error}") from error


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
