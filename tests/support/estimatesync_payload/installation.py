"""Finds Payload in the cache, else installs it there with npm, exactly as its lock says.

The cache is `~/.cache/estimatesync/payload/<version>-<checksum of the lock>` (XDG_CACHE_HOME counts). npm checks every
package against the lock's checksums and runs none of their scripts. A directory in the cache is complete or absent: it
is filled next to its final path and renamed.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

from estimatesync_cluster.programs import compute_cache_root
from estimatesync_local.adapters.file_lock import locked

SOURCES: Final = Path(__file__).parents[1] / "payload"
OLDEST_NODE: Final = (20, 9)
_LOCKED_FILES: Final = ("package.json", "package-lock.json", ".npmrc")
_INSTALL_SECONDS: Final = 900


class Version(StrEnum):
    """The major versions under test, each a folder of `SOURCES`."""

    NEWEST = "3"
    LAST_OF_2 = "2"


class InstallationError(Exception):
    """Payload cannot be installed here; the message says what to do."""


def find_node() -> Path:
    """Find Node.

    Raises:
        InstallationError: There is none, or it is too old, or it has no npm.
    """
    needed = ".".join(map(str, OLDEST_NODE))
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise InstallationError(f"Payload needs Node {needed} or newer with npm: install it.")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603  found on PATH
    if _parse_version(said) < OLDEST_NODE:
        raise InstallationError(f"Payload needs Node {needed} or newer, and {node} is {said.strip() or 'not usable'}.")
    return Path(node)


def _parse_version(said: str) -> tuple[int, ...]:
    found = re.match(r"v(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else (0, 0)


def find_installation(version: Version, *, report: Callable[[str], None]) -> Path:
    """Find the directory that holds `node_modules`, installing it if need be; `report` gets lines for a person.

    Raises:
        InstallationError: npm cannot install it.
    """
    directory = _compute_directory(version)
    lock = directory.with_name(f"{directory.name}.lock")
    with locked(lock, on_wait=lambda: report(f"waiting for another installation of Payload {version} to end")):
        if not directory.exists():
            started = time.monotonic()
            report(f"installing Payload {version} with npm; this takes about a minute")
            _install(version, directory)
            report(f"installed Payload {version} in {time.monotonic() - started:.0f} s")
    return directory


def _compute_directory(version: Version) -> Path:
    contents = [(SOURCES / version / name).read_bytes() for name in _LOCKED_FILES]
    checksum = hashlib.sha256(b"\0".join(contents)).hexdigest()[:16]
    return compute_cache_root(os.environ) / "payload" / f"{version}-{checksum}"


def _install(version: Version, directory: Path) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=directory.parent))
    try:
        for name in _LOCKED_FILES:
            shutil.copy(SOURCES / version / name, unfinished)
        answer = subprocess.run(
            ["npm", "ci", "--loglevel=error"],  # noqa: S607  found on PATH like node
            cwd=unfinished,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
        if answer.returncode:
            raise InstallationError(f"npm cannot install Payload {version}:\n{answer.stdout}{answer.stderr}")
        unfinished.rename(directory)
    except subprocess.TimeoutExpired as error:
        raise InstallationError(f"npm did not install Payload {version} within {_INSTALL_SECONDS} s.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
