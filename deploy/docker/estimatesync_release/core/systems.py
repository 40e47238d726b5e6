"""What a base image is once its layers lie on one another: each file of the last layer that has it, if none removed it.

A layer removes what is below it by an empty file of another name.
https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts
"""

import io
import posixpath
import tarfile
from collections.abc import Iterable, Mapping
from typing import Final

from estimatesync_release.core.errors import ReleaseError
from estimatesync_release.core.images import Base
from estimatesync_release.core.layers import Entry

REMOVED: Final = ".wh."
EMPTIED: Final = ".wh..wh..opq"
MAX_STEPS: Final = 1000


def merge_layers(base: Base) -> dict[str, Entry]:
    """Merge the layers of a base image: files and links by path, without directories."""
    merged: dict[str, Entry] = {}
    for layer in base.layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
            _add_layer(merged, archive)
    return merged


def _add_layer(merged: dict[str, Entry], archive: tarfile.TarFile) -> None:
    read: dict[str, Entry] = {}
    covered: set[str] = set()
    emptied: set[str] = set()
    for member in archive:
        path = _follow(normalize(member.name), read, merged)
        folder, name = posixpath.split(path)
        if name == EMPTIED:
            emptied.add(folder)
        elif name.startswith(REMOVED):
            covered.add(posixpath.join(folder, name.removeprefix(REMOVED)))
        elif member.issym():
            read[path] = Entry(link=member.linkname)
        elif member.islnk():
            read[path] = _find_linked(path, _follow(normalize(member.linkname), read, merged), read, merged)
        elif member.isfile():
            content = archive.extractfile(member)
            read[path] = Entry(content=content.read() if content else b"", mode=member.mode)
        elif member.isdir():
            # In the place of a file.
            merged.pop(path, None)
    _remove(merged, covered=covered | read.keys(), emptied=emptied)
    merged |= read


def _follow(path: str, *layers: Mapping[str, Entry]) -> str:
    """Follow links to directories, as whoever unpacks a layer does: `lib/a` is written where `lib` leads."""
    done, left = "", path.split("/")
    for _ in range(MAX_STEPS):
        if len(left) == 1:
            return posixpath.join(done, left[0])
        here = posixpath.join(done, left.pop(0))
        link = next((layer[here].link for layer in layers if here in layer), "")
        if link:
            left = [*find_link_target(here, link).split("/"), *left]
        done = "" if link else here
    raise ReleaseError(f"the base image's {path} is behind links that lead in a circle")


def _find_linked(path: str, other: str, *layers: Mapping[str, Entry]) -> Entry:
    for layer in layers:
        if other in layer:
            return layer[other]
    raise ReleaseError(f"the base image's {path} is a link to {other}, which is not there")


def _remove(merged: dict[str, Entry], *, covered: Iterable[str], emptied: Iterable[str]) -> None:
    gone, inside = {*covered}, {*emptied}
    for path in [*merged]:
        parents = {*_list_parents(path)}
        if path in gone or parents & gone or parents & inside:
            del merged[path]


def _list_parents(path: str) -> Iterable[str]:
    while path:
        path = posixpath.dirname(path)
        yield path


def normalize(path: str) -> str:
    """Write a path as from the root of the image, above which nothing is: relative, and without dots."""
    return posixpath.normpath(f"/{path}").lstrip("/")


def find_link_target(path: str, link: str) -> str:
    """Find what a link at a path of the image names, as a path of the image."""
    return normalize(posixpath.join("/", posixpath.dirname(path), link))
