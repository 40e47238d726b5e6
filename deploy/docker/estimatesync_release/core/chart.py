"""Packs the chart, the same bytes for the same files, and names the images of a release by their digests for it.

`helm package` would write the time of each file. https://helm.sh/docs/topics/charts/#the-chart-file-structure
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final

from estimatesync_release.core.layers import Entry, build_gzip, build_tar

NAME: Final = "estimatesync"


def build_chart(files: Mapping[str, bytes], *, epoch: int) -> bytes:
    """Build the package of a chart from its files by path; what `.helmignore` names is left out."""
    ignored = files.get(".helmignore", b"").decode().split()
    kept = {path: content for path, content in files.items() if not is_ignored(path, ignored)}
    return build_gzip(
        build_tar({f"{NAME}/{path}": Entry(content=content) for path, content in kept.items()}, epoch=epoch)
    )


def is_ignored(path: str, patterns: list[str]) -> bool:
    """Decide whether patterns of `.helmignore` leave out a file: names, `*.ending`, and `directory/`."""
    parts = PurePosixPath(path).parts
    for pattern in patterns:
        names = parts[:-1] if pattern.endswith("/") else parts[-1:]
        if any(fnmatchcase(name, pattern.rstrip("/")) for name in names):
            return True
    return path == ".helmignore"


def format_digests(digests: Mapping[str, str]) -> str:
    """Write the values with which the chart takes these very images."""
    head = "# The images of this release by digest: helm install … --set images.registry=… --values images.yaml\n"
    return head + "".join(f"{part}:\n  image:\n    digest: {digest}\n" for part, digest in sorted(digests.items()))
