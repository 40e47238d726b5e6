"""Layers and archives that are the same bytes for the same contents: sorted names, one time, no owner, no chance.

tarfile writes the headers (POSIX ustar, or GNU's for long names); gzip's own header says nothing of time or system.
https://github.com/opencontainers/image-spec/blob/main/layer.md
"""

import hashlib
import io
import struct
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

FILE, PROGRAM, DIRECTORY = 0o644, 0o755, 0o755
GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
COMPRESSION: Final = 6


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file of a layer, or a link where `link` says where to."""

    content: bytes = b""
    mode: int = FILE
    link: str = ""


def build_tar(entries: Mapping[str, Entry], *, epoch: int) -> bytes:
    """Build an archive of entries by path (relative, without `./`), with every directory above them."""
    found = dict.fromkeys(_list_parents(entries))
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted({*found, *entries}):
            archive.addfile(*_build_member(path, entries.get(path), epoch))
    return whole.getvalue()


def _list_parents(paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        yield from (str(parent) for parent in PurePosixPath(path).parents if str(parent) != ".")


def _build_member(path: str, entry: Entry | None, epoch: int) -> tuple[tarfile.TarInfo, io.BytesIO | None]:
    member = tarfile.TarInfo(path)
    member.mtime = epoch
    if entry is None:
        member.type, member.mode = tarfile.DIRTYPE, DIRECTORY
        return member, None
    if entry.link:
        member.type, member.mode, member.linkname = tarfile.SYMTYPE, 0o777, entry.link
        return member, None
    member.size, member.mode = len(entry.content), entry.mode
    return member, io.BytesIO(entry.content)


def build_gzip(content: bytes) -> bytes:
    """Compress, the same for the same content and the same zlib."""
    deflate = zlib.compressobj(COMPRESSION, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(content) + deflate.flush()
    return GZIP_HEADER + body + struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)


def compute_digest(content: bytes) -> str:
    """Compute a digest as registries write it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
