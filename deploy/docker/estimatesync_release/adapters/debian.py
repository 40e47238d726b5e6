"""Makes a base image of Debian's packages, the same way for either architecture, where no registry can be reached.

The packages are unpacked and none of their programs is run, since those of another architecture could not be. What
their scripts would have made and Python needs is made here, such as the bundle of certificate authorities.
`/var/lib/dpkg/status.d` lists the packages, as in Distroless images.
"""

import io
import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import Final

from estimatesync_images.commands import DEBIAN_PACKAGES, DEBIAN_SUITE

from estimatesync_release.adapters.checkout import run
from estimatesync_release.core.errors import ReleaseError
from estimatesync_release.core.images import Base, build_base

NAME: Final = "debian"
BUNDLE: Final = "etc/ssl/certs/ca-certificates.crt"
MADE: Final = {
    "etc/group": b"root:x:0:\n",
    "etc/nsswitch.conf": b"hosts: files dns\n",
    "etc/passwd": b"root:x:0:0:root:/root:/usr/sbin/nologin\n",
}
AUTHORITIES: Final = "usr/share/ca-certificates/"
LISTS: Final = "var/lib/dpkg/status.d"
# Without it nothing is where other packages' programs expect their loader.
PACKAGES: Final = ("base-files", *DEBIAN_PACKAGES)
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIST_PACKAGES: Final = f"""
mkdir -p "$1/{LISTS}"
for deb in "$1"/var/cache/apt/archives/*.deb; do
  dpkg-deb --field "$deb" > "$1/{LISTS}/$(dpkg-deb --field "$deb" Package)"
done
"""
DROPPED: Final = ("dev/", "usr/share/doc/", "usr/share/man/", "usr/share/locale/", "var/cache/", "var/log/", "etc/apt/")
OF_THIS_MACHINE: Final = frozenset({"etc/hostname", "etc/resolv.conf"})
KEPT: Final = "/copyright"


def create_debian_base(architecture: str) -> Base:
    """Make the base, from a file tree that stays in the cache: packages that are newer tomorrow would be another base.

    Raises:
        ReleaseError: mmdebstrap is missing, or Debian's packages cannot be reached.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "estimatesync", "images")
    tree = cache / f"draft-base-{DEBIAN_SUITE}-{architecture}.tar"
    if not tree.exists():
        if shutil.which("mmdebstrap") is None:
            raise ReleaseError("There is no mmdebstrap to make a base image with: install it, or name one with BASE=")
        cache.mkdir(parents=True, exist_ok=True)
        draft = tree.with_name(f"unfinished-{os.getpid()}-{architecture}.tar")
        try:
            run(build_command(architecture, draft), root=cache, environment={"SOURCE_DATE_EPOCH": "0"})
            draft.write_bytes(build_tree(draft))
            draft.replace(tree)
        finally:
            draft.unlink(missing_ok=True)
    name = f"{NAME} ({DEBIAN_SUITE}, unpacked packages)"
    return build_base(name, tree.read_bytes(), architecture=architecture, environment={"PATH": PATH})


def build_command(architecture: str, output: Path) -> list[str]:
    """Build the command line that unpacks the packages into an archive."""
    return [
        "mmdebstrap",
        "--quiet",
        "--variant=extract",
        f"--architectures={architecture}",
        f"--include={','.join(PACKAGES)}",
        f"--extract-hook={LIST_PACKAGES}",
        DEBIAN_SUITE,
        str(output),
    ]


def build_tree(draft: Path) -> bytes:
    """Build the tree of the base: sorted, without what nothing of ours reads, with what scripts would have made."""
    whole = io.BytesIO()
    with tarfile.open(draft) as source, tarfile.open(fileobj=whole, mode="w", format=tarfile.GNU_FORMAT) as target:
        members = {str(PurePosixPath(each.name)): each for each in source if str(PurePosixPath(each.name)) != "."}
        authorities = [name for name in sorted(members) if name.startswith(AUTHORITIES) and name.endswith(".crt")]
        made = {**MADE, BUNDLE: b"".join(_read(source, members[name]) for name in authorities)}
        for name in sorted({*members, *made}):
            member = members.get(name) or tarfile.TarInfo(name)
            if _is_dropped(name) or not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
                continue
            content = made.get(name) or (b"" if member.isdir() or member.issym() else _read(source, member))
            if member.islnk():
                # In another order it would come before what it links to.
                member.type, member.linkname = tarfile.REGTYPE, ""
            member.name, member.mtime, member.size, member.uid, member.gid = name, 0, len(content), 0, 0
            member.uname = member.gname = ""
            target.addfile(member, io.BytesIO(content))
    return whole.getvalue()


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(member)
    return content.read() if content else b""


def _is_dropped(name: str) -> bool:
    return name in OF_THIS_MACHINE or (name.startswith(DROPPED) and not name.endswith(KEPT))
