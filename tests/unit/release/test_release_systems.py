"""What a base image is once its layers lie on one another, what its bill lists, and where its files are written."""

import io
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from estimatesync_release.adapters.bytecode import write_system
from estimatesync_release.core.errors import ReleaseError
from estimatesync_release.core.images import Base
from estimatesync_release.core.layers import Entry, build_gzip
from estimatesync_release.core.systems import merge_layers
from estimatesync_release.core.wheels import Interpreter
from estimatesync_release.image_builder import find_own_python, read_debian_packages, read_python_packages

OWN = Interpreter(home="/usr/local/bin", version="3.13")
STATUS = "var/lib/dpkg/status"


def list_package(name: str) -> bytes:
    return f"Package: {name}\nVersion: 1\nArchitecture: all\nStatus: install ok installed\n\n".encode()


def build_layer(files: Mapping[str, bytes | tarfile.TarInfo]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path) if isinstance(content, bytes) else content
            data = content if isinstance(content, bytes) else b""
            member.name, member.size = path, len(data)
            archive.addfile(member, io.BytesIO(data))
    return build_gzip(whole.getvalue())


def link(target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo()
    member.type, member.linkname = kind, target
    return member


def test_the_last_layer_counts_and_what_a_layer_removes_is_gone(base: Base) -> None:
    lower = {"./etc/a": b"1", "etc/b": b"1", "opt/tool/x": b"1", "usr/lib/d/x": b"1", "srv/file": b"1", "bin/one": b"1"}
    upper = {
        "etc/a": b"2",
        "etc/.wh.b": b"",
        "opt/.wh.tool": b"",
        "usr/lib/d/y": b"2",
        "usr/lib/d/.wh..wh..opq": b"",
        "srv/file": link("", tarfile.DIRTYPE),
        "srv/file/in": b"2",
        "bin/two": link("bin/one", tarfile.LNKTYPE),
    }

    merged = merge_layers(replace(base, layers=(build_layer(lower), build_layer(upper))))

    assert {path: entry.content for path, entry in merged.items()} == {
        "etc/a": b"2",
        "usr/lib/d/y": b"2",
        "srv/file/in": b"2",
        "bin/one": b"1",
        "bin/two": b"1",
    }


def test_a_bill_lists_what_is_left_in_the_base_with_its_own_python_and_pip(base: Base) -> None:
    pip = "usr/local/lib/python3.13/site-packages/pip-25.3.dist-info/METADATA"
    layers = (
        {STATUS: list_package("libc6") + list_package("gcc"), "usr/local/bin/python3.13": b""},
        {
            STATUS: list_package("libc6"),
            pip: b"Metadata-Version: 2.4\nName: pip\nVersion: 25.3\n",
            "usr/local/include/python3.13/patchlevel.h": b'#define PY_VERSION  "3.13.9"\n',
        },
    )

    system = merge_layers(replace(base, layers=tuple(build_layer(each) for each in layers)))

    assert [each.name for each in read_debian_packages(system)] == ["libc6"]
    assert [each.locator for each in read_python_packages(system)] == ["pkg:pypi/pip@25.3"]
    assert [each.locator for each in find_own_python(system, OWN, {})] == ["pkg:generic/python@3.13.9"]


def test_the_version_of_a_python_without_headers_is_what_the_image_says() -> None:
    said = find_own_python({}, OWN, {"Env": ["PATH=/bin", "PYTHON_VERSION=3.13.9"]})

    assert [each.version for each in said] == ["3.13.9"]
    assert find_own_python({}, Interpreter(home="/usr/bin", version="3.13"), {}) == []


def test_nothing_is_written_through_a_link_out_of_the_directory(base: Base, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"mine")
    layers = (
        {"usr/lib/a": link(f"{outside}/file"), "usr/lib/d": link(str(outside)), "lib": link("usr/lib")},
        {"usr/lib/a": b"theirs", "usr/lib/d/file": b"theirs", "lib/../../../../outside/file": b"theirs"},
    )
    system = merge_layers(replace(base, layers=tuple(build_layer(each) for each in layers)))

    write_system(system, tmp_path / "system")

    assert (outside / "file").read_bytes() == b"mine"
    assert (tmp_path / "system" / "usr" / "lib" / "a").read_bytes() == b"theirs"
    assert (tmp_path / "system" / "lib").resolve() == tmp_path / "system" / "usr" / "lib"


def test_a_file_is_where_the_links_above_it_lead_and_a_circle_is_said(base: Base) -> None:
    def merge(**links: str) -> list[str]:
        layers = ({name: link(target) for name, target in links.items()}, {"lib/x": b"1"})
        merged = merge_layers(replace(base, layers=tuple(build_layer(each) for each in layers)))
        return sorted(path for path, entry in merged.items() if not entry.link)

    assert merge(lib="usr/lib") == ["usr/lib/x"]
    assert merge(lib="/a", a="usr/lib") == ["usr/lib/x"]
    with pytest.raises(ReleaseError, match="lead in a circle"):
        merge(lib="a", a="lib")


@pytest.mark.parametrize("target", ["/usr/lib/there", "there", "../../../../../../usr/lib/there"])
def test_a_link_leads_to_where_it_leads_in_the_image(tmp_path: Path, target: str) -> None:
    write_system({"usr/lib/there": Entry(content=b"x"), "usr/lib/here": Entry(link=target)}, tmp_path)

    assert (tmp_path / "usr" / "lib" / "here").resolve() == tmp_path / "usr" / "lib" / "there"


def test_a_directory_that_leads_out_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "usr").symlink_to("/")

    with pytest.raises(ReleaseError, match="would be written outside of it"):
        write_system({"usr/lib/a": Entry(content=b"x")}, tmp_path)
