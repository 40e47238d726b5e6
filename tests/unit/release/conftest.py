"""Small wheels and base images, made in memory."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping

import pytest
from estimatesync_release.core.images import Base, build_base
from estimatesync_release.core.wheels import Interpreter

DEBIAN_PACKAGE = "Package: libc6\nVersion: 2.41-12\nArchitecture: arm64\nStatus: install ok installed\n"


@pytest.fixture
def interpreter() -> Interpreter:
    return Interpreter(home="/usr/bin", version="3.13")


@pytest.fixture
def build_wheel() -> Callable[..., bytes]:
    """Build a wheel from files by path; its records are added."""

    def build(files: Mapping[str, str | bytes], *, name: str = "tool", points: str = "") -> bytes:
        information = f"{name}-1.0.dist-info"
        records = {
            f"{information}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\nLicense-Expression: MIT\n",
            f"{information}/RECORD": "",
            **({f"{information}/entry_points.txt": points} if points else {}),
        }
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w") as archive:
            for path, content in {**files, **records}.items():
                archive.writestr(path, content)
        return whole.getvalue()

    return build


@pytest.fixture
def build_tree() -> Callable[..., bytes]:
    """Build the file tree of a system, a tar archive, from files by path."""

    def build(files: Mapping[str, bytes]) -> bytes:
        whole = io.BytesIO()
        with tarfile.open(fileobj=whole, mode="w") as archive:
            for path, content in files.items():
                member = tarfile.TarInfo(path)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return whole.getvalue()

    return build


@pytest.fixture
def base(build_tree: Callable[..., bytes]) -> Base:
    """A base for arm64 with a Python that nobody can run."""
    tree = build_tree({"usr/bin/python3.13": b"", "var/lib/dpkg/status": DEBIAN_PACKAGE.encode()})
    return build_base("made up", tree, architecture="arm64", environment={"PATH": "/bin", "LANG": "C"})
