"""What an installed environment consists of: the files of wheels, where an installer puts them, and links to Python.

Nothing of the wheels is run, so this works for any architecture. The paths are those of the Dockerfile's environment.
https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

import base64
import configparser
import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from estimatesync_release.core.errors import ReleaseError
from estimatesync_release.core.layers import FILE, PROGRAM, Entry

ROOT: Final = "opt/estimatesync"
PYTHON: Final = f"/{ROOT}/bin/python"
INSTALLER: Final = "estimatesync_release"
INTERPRETER: Final = re.compile(r"(usr/local|usr)/bin/python3\.(\d+)")


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """The Python of a base image: its directory, such as `/usr/bin`, and its version, such as `3.13`."""

    home: str
    version: str


def find_interpreter(paths: Iterable[str]) -> Interpreter:
    """Find the Python of a base image among its files.

    Raises:
        ReleaseError: it has none, or several.
    """
    found = sorted({match[0] for path in paths if (match := INTERPRETER.fullmatch(path))})
    # An image that has its own Python next to the system's runs its own.
    own = [path for path in found if path.startswith("usr/local/")] or found
    if len(own) != 1:
        raise ReleaseError(
            f"the base image must have one Python 3 in /usr/local/bin or /usr/bin; it has {own or 'none'}"
        )
    path = PurePosixPath(own[0])
    return Interpreter(home=f"/{path.parent}", version=path.name.removeprefix("python"))


def build_environment_entries(interpreter: Interpreter) -> dict[str, Entry]:
    """Build an empty environment, as `python -m venv --without-pip` makes it, without its scripts for shells."""
    name = f"python{interpreter.version}"
    configuration = (
        f"home = {interpreter.home}\ninclude-system-site-packages = false\nversion = {interpreter.version}\n"
    )
    return {
        f"{ROOT}/pyvenv.cfg": Entry(content=configuration.encode()),
        f"{ROOT}/bin/python": Entry(link=f"{interpreter.home}/{name}"),
        f"{ROOT}/bin/python3": Entry(link="python"),
        f"{ROOT}/bin/{name}": Entry(link="python"),
        f"{ROOT}/lib64": Entry(link="lib"),
    }


def build_wheel_entries(filename: str, wheel: bytes, interpreter: Interpreter) -> dict[str, Entry]:
    """Build what a wheel becomes when it is installed, by path in the image.

    Raises:
        ReleaseError: it holds what would leave the environment, or is no wheel.
    """
    packages = f"{ROOT}/lib/python{interpreter.version}/site-packages"
    prefix = "-".join(filename.split("-")[:2])
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        members = {each.filename: each for each in archive.infolist() if not each.is_dir()}
        records = [name for name in members if re.fullmatch(r"[^/]+\.dist-info/RECORD", name)]
        if len(records) != 1:
            raise ReleaseError(f"{filename} is not a wheel: it has {len(records)} RECORD files")
        information = str(PurePosixPath(records[0]).parent)
        entries: dict[str, Entry] = {}
        for name, member in members.items():
            if name == records[0]:
                continue
            path = _place(name, packages=packages, prefix=prefix)
            executable = bool(member.external_attr >> 16 & 0o111) or path.startswith(f"{ROOT}/bin/")
            content = archive.read(name)
            if path.startswith(f"{ROOT}/bin/"):
                content = _name_interpreter(content)
            entries[path] = Entry(content=content, mode=PROGRAM if executable else FILE)
    points = entries.get(f"{packages}/{information}/entry_points.txt")
    entries |= {f"{ROOT}/bin/{name}": script for name, script in _build_scripts(points)}
    entries[f"{packages}/{information}/INSTALLER"] = Entry(content=f"{INSTALLER}\n".encode())
    entries[f"{packages}/{information}/RECORD"] = _build_record(entries, packages, f"{information}/RECORD")
    return entries


def _place(name: str, *, packages: str, prefix: str) -> str:
    """Say where a file of a wheel goes."""
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise ReleaseError(f"{prefix} holds {name!r}, which would be outside of the environment")
    data = re.fullmatch(r"[^/]+\.data/([^/]+)/(.+)", name)
    if data is None:
        return f"{packages}/{name}"
    places = {"purelib": packages, "platlib": packages, "scripts": f"{ROOT}/bin", "data": ROOT}
    if data[1] not in places:
        raise ReleaseError(f"{prefix} holds {name!r}, for which an image has no place")
    return f"{places[data[1]]}/{data[2]}"


def _name_interpreter(script: bytes) -> bytes:
    """Replace the `#!python` of a script in a wheel."""
    return re.sub(rb"\A#!pythonw?\b.*", f"#!{PYTHON}".encode(), script)


def _build_scripts(points: Entry | None) -> Iterator[tuple[str, Entry]]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    # Names of commands keep their case.
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(points.content.decode() if points else "")
    for name, target in parser.items("console_scripts") if parser.has_section("console_scripts") else []:
        module, _, function = target.partition("[")[0].strip().partition(":")
        first = function.partition(".")[0]
        text = f"#!{PYTHON}\nimport sys\n\nfrom {module} import {first}\n\nsys.exit({function}())\n"
        yield name, Entry(content=text.encode(), mode=PROGRAM)


def _build_record(entries: Mapping[str, Entry], packages: str, own: str) -> Entry:
    """Build the list of what was installed, with checksums, as importlib.metadata and scanners read it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    up = "../" * len(PurePosixPath(packages).relative_to(ROOT).parts)
    for path, entry in sorted(entries.items()):
        relative = (
            path.removeprefix(f"{packages}/") if path.startswith(packages) else up + path.removeprefix(f"{ROOT}/")
        )
        digest = base64.urlsafe_b64encode(hashlib.sha256(entry.content).digest()).rstrip(b"=").decode()
        writer.writerow((relative, f"sha256={digest}", len(entry.content)))
    writer.writerow((own, "", ""))
    return Entry(content=text.getvalue().encode())


def join_entries(parts: Iterable[tuple[str, Mapping[str, Entry]]]) -> dict[str, Entry]:
    """Join the files of several wheels.

    Raises:
        ReleaseError: two of them have the same path with different contents, which one would lose.
    """
    whole: dict[str, Entry] = {}
    for name, entries in parts:
        if clash := next((path for path in entries.keys() & whole.keys() if whole[path] != entries[path]), None):
            raise ReleaseError(f"{name} and another wheel both bring {clash}")
        whole |= entries
    return whole
