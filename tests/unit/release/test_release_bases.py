import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from estimatesync_release.adapters import debian
from estimatesync_release.adapters.debian import build_tree
from estimatesync_release.adapters.registry import Reference, parse_reference, read_archive, read_base
from estimatesync_release.core.errors import ReleaseError
from estimatesync_release.core.images import Base, Image, build_archive, build_image, build_index
from estimatesync_release.core.layers import compute_digest

DIGEST = f"sha256:{'ab' * 32}"


@pytest.fixture
def image(base: Base) -> Image:
    return build_image(base, {}, config={"Env": ["A=1"]}, epoch=0, created="", annotations={})


def read_from(blobs: Mapping[str, bytes]) -> Callable[[str, str], bytes]:
    return lambda _, digest: blobs[digest]


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        pytest.param(
            f"docker.io/library/python:3.13-slim@{DIGEST}",
            Reference(host="docker.io", name="library/python", digest=DIGEST),
            id="with a tag",
        ),
        pytest.param(
            f"127.0.0.1:5000/python@{DIGEST}",
            Reference(host="127.0.0.1:5000", name="python", digest=DIGEST),
            id="with a port",
        ),
    ],
)
def test_a_base_is_named_by_its_digest(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference


@pytest.mark.parametrize("text", ["python:3.13-slim", f"python@{DIGEST}", f"docker.io/python@{DIGEST[:-1]}", ""])
def test_a_base_without_a_digest_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ReleaseError, match=r"names no image by digest: give one such as docker\.io"):
        parse_reference(text)


def test_the_image_of_an_architecture_is_found_through_an_index(image: Image) -> None:
    index = build_index([image])
    blobs = {**image.blobs, compute_digest(index): index}

    found = read_base("base", compute_digest(index), "arm64", read_from(blobs))

    assert (found.digest, found.config["config"]) == (image.digest, {"Env": ["A=1"]})
    assert len(found.layers) == 2
    with pytest.raises(ReleaseError, match="base has no image for amd64"):
        read_base("base", compute_digest(index), "amd64", read_from(blobs))


def test_an_image_for_another_architecture_is_refused(image: Image) -> None:
    with pytest.raises(ReleaseError, match="base is for arm64, not for amd64"):
        read_base("base", image.digest, "amd64", read_from(image.blobs))


def test_what_a_registry_sends_is_compared_with_its_digest(image: Image) -> None:
    layer = json.loads(image.manifest)["layers"][1]["digest"]

    with pytest.raises(ReleaseError, match=f"what came for {layer} is sha256:"):
        read_base("base", image.digest, "arm64", read_from({**image.blobs, layer: b"another"}))


def test_a_base_is_read_from_an_archive(image: Image, tmp_path: Path) -> None:
    path = tmp_path / "base.oci.tar"
    path.write_bytes(build_archive(image, reference="docker.io/library/base:1", epoch=0))

    found = read_archive(path, "arm64")

    assert (found.name, found.digest) == ("base.oci.tar", image.digest)


def test_a_file_that_is_no_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"x")

    with pytest.raises(ReleaseError, match=r"x\.tar is no OCI archive"):
        read_archive(tmp_path / "x.tar", "arm64")


def test_unpacked_debian_packages_become_a_tree_that_is_always_the_same(tmp_path: Path) -> None:
    draft = tmp_path / "draft.tar"
    with tarfile.open(draft, "w") as archive:
        for name, content in {
            "./usr/share/ca-certificates/mozilla/b.crt": b"B\n",
            "./usr/share/ca-certificates/mozilla/a.crt": b"A\n",
            "./usr/share/doc/libc6/changelog.gz": b"long",
            "./usr/share/doc/libc6/copyright": b"GPL",
            "./usr/bin/python3.13": b"\x7fELF",
            "./etc/hostname": b"of-this-machine\n",
            "./etc/resolv.conf": b"nameserver 192.0.2.1\n",
            "./etc/resolv.conf.d/kept": b"",
        }.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uname = len(content), 99, "somebody"
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("./usr/bin/python3")
        link.type, link.linkname = tarfile.LNKTYPE, "./usr/bin/python3.13"
        archive.addfile(link)

    with tarfile.open(fileobj=io.BytesIO(build_tree(draft))) as tree:
        members = {each.name: each for each in tree}
        bundle = tree.extractfile("etc/ssl/certs/ca-certificates.crt")
        python = tree.extractfile("usr/bin/python3")
        assert bundle
        assert python
        assert (bundle.read(), python.read()) == (b"A\nB\n", b"\x7fELF")
    assert list(members) == sorted(members)
    assert "usr/share/doc/libc6/copyright" in members
    assert "usr/share/doc/libc6/changelog.gz" not in members
    assert {(each.mtime, each.uname) for each in members.values()} == {(0, "")}
    assert [name for name in members if name.startswith(("etc/host", "etc/resolv"))] == ["etc/resolv.conf.d/kept"]


def test_a_tree_that_was_written_half_is_not_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(command: list[str], **_: object) -> None:
        tarfile.open(command[-1], "w").close()

    def fail(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError("the disk is full")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(debian, "run", unpack)
    monkeypatch.setattr(debian.shutil, "which", lambda name: name)
    monkeypatch.setattr(Path, "write_bytes", fail)

    with pytest.raises(OSError, match="the disk is full"):
        debian.create_debian_base("arm64")

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
