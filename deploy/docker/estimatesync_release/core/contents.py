"""Checks what an image contains, without running any of it: one architecture, whole packages, nothing of the build.

Called by main.py for each architecture, also for the one that this machine is not of.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final

from estimatesync_release.core.layers import Entry
from estimatesync_release.core.locks import MACHINES
from estimatesync_release.core.wheels import ROOT

ELF: Final = b"\x7fELF"
ELF_MACHINES: Final = {62: "amd64", 183: "arm64"}
"""e_machine of an ELF header: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html."""
ELF_HEADER: Final = 20


def read_architecture(head: bytes) -> str | None:
    """Read for which architecture a program or library is; None where it is neither."""
    if not head.startswith(ELF) or len(head) < ELF_HEADER:
        return None
    number = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    return ELF_MACHINES.get(number, f"ELF machine {number}")


def find_foreign(heads: Iterable[tuple[str, bytes]], architecture: str) -> list[str]:
    """Find programs and libraries of another architecture, given the first bytes of each file by path."""
    read = ((path, read_architecture(head)) for path, head in heads)
    return [
        f"{path} is for {found}, not for {architecture}" for path, found in read if found not in {None, architecture}
    ]


def find_faults(
    entries: Mapping[str, Entry], *, architecture: str, python: str, entrypoint: Iterable[str], secrets: Iterable[bytes]
) -> list[str]:
    """Find what is wrong with the layer of an image; each is a sentence.

    Args:
        entries: the layer.
        architecture: amd64 or arm64.
        python: its version, such as `3.13`.
        entrypoint: of the image.
        secrets: what no file may contain, such as the directory of the build.
    """
    packages = f"{ROOT}/lib/python{python}/site-packages"
    heads = ((path, entry.content[:ELF_HEADER]) for path, entry in entries.items())
    return [
        *find_foreign(heads, architecture),
        *_find_misnamed(entries, architecture, python.replace(".", "")),
        *_find_unstartable(entries, packages, list(entrypoint)),
        *(
            f"{path} holds {each.decode()}"
            for each in secrets
            for path, entry in entries.items()
            if each in entry.content
        ),
    ]


def _find_misnamed(entries: Iterable[str], architecture: str, python: str) -> list[str]:
    """Find extension modules whose names another Python, or another machine, would import."""
    expected = f"cpython-{python}-{MACHINES[architecture]}-linux-gnu"
    named = ((path, re.search(r"\.(cpython-[^./]+)\.so$", path)) for path in entries)
    return [f"{path} is not imported: it should end in {expected}" for path, tag in named if tag and tag[1] != expected]


def _find_unstartable(entries: Mapping[str, Entry], packages: str, entrypoint: list[str]) -> list[str]:
    """Find what the entrypoint, or a command of the environment, would not find."""
    modules = [after for before, after in pairwise(entrypoint) if before == "-m"]
    missing = [
        f"the entrypoint's module {name} is not in the image"
        for name in modules
        if not {f"{packages}/{name}.py", f"{packages}/{name}/__main__.py"} & entries.keys()
    ]
    for path, entry in entries.items():
        if PurePosixPath(path).parent != PurePosixPath(ROOT, "bin") or not entry.content.startswith(b"#!"):
            continue
        interpreter = entry.content[2:].split(None, 1)[0].decode()
        if interpreter.removeprefix("/") not in entries:
            missing.append(f"{path} is run by {interpreter}, which is not in the image")
        for module in re.findall(r"^from ([\w.]+) import", entry.content.decode(), re.MULTILINE):
            place = f"{packages}/{module.replace('.', '/')}"
            if not {f"{place}.py", f"{place}/__init__.py"} & entries.keys():
                missing.append(f"{path} imports {module}, which is not in the image")
    return missing
