"""Writes archives of images as one, in which a layer that several of them have stands once: a node unpacks it once.

Called by real_node.py. The archives are those of `docker save`, also as other engines write them.
"""

import json
import tarfile
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final

MANIFEST: Final = "manifest.json"
"""Names each image's files in the archive; these are named by their own digests."""


def write_together(archives: Iterable[Path], target: IO[bytes]) -> int:
    """Write the images of all archives into one; return how many there are."""
    images: list[Mapping[str, Any]] = []
    written: set[str] = set()
    with tarfile.open(fileobj=target, mode="w|") as whole:
        for archive in archives:
            with tarfile.open(archive) as content:
                own = json.loads(_open(content, MANIFEST).read())
                for name in (name for image in own for name in (image["Config"], *image["Layers"])):
                    if name not in written:
                        _add(whole, name, _open(content, name))
                        written.add(name)
                images += own
        _add(whole, MANIFEST, BytesIO(json.dumps(images).encode()))
    return len(images)


def _open(content: tarfile.TarFile, name: str) -> IO[bytes]:
    """Open a file; what docker calls a layer may be a link to it."""
    file = content.extractfile(name)
    if file is None:
        raise tarfile.ReadError(f"{name} is not a file")
    return file


def _add(whole: tarfile.TarFile, name: str, file: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = file.seek(0, 2)
    file.seek(0)
    whole.addfile(entry, file)
