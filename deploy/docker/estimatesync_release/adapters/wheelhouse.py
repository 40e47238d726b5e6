"""Fetches the wheels of an architecture with pip, which compares each with its checksum; installs and runs nothing."""

import sys
from collections.abc import Mapping
from pathlib import Path

from estimatesync_release.adapters.checkout import run
from estimatesync_release.core.locks import Pin, format_lock, list_platforms


def fetch_wheels(pins: Mapping[str, Pin], target: Path, *, architecture: str, python: str) -> dict[str, bytes]:
    """Fetch the wheel of each pin; contents by filename."""
    target.mkdir(parents=True, exist_ok=True)
    lock = target / "lock.txt"
    lock.write_text(format_lock(pins))
    platforms = [f"--platform={each}" for each in list_platforms(architecture)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    run([*command, *platforms, f"--dest={target}", f"--requirement={lock}"], root=target)
    return {path.name: path.read_bytes() for path in sorted(target.glob("*.whl"))}
