import json
import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from estimatesync_cluster.image_archives import write_together


def write_archive(
    path: Path, images: list[dict[str, Any]], files: Mapping[str, bytes], links: Mapping[str, str]
) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in {**files, "manifest.json": json.dumps(images).encode(), "repositories": b"{}"}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, BytesIO(content))
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return path


def build_image(name: str, *layers: str) -> dict[str, Any]:
    return {"Config": f"{name}.json", "RepoTags": [f"{name}:1"], "Layers": list(layers)}


def read(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        files = [(entry.name, archive.extractfile(entry)) for entry in archive]
        return [(name, file.read() if file else b"") for name, file in files]


def test_a_layer_of_several_images_is_written_once_and_a_link_to_one_as_what_it_means(tmp_path: Path) -> None:
    api, sync = build_image("api", "base.tar", "api.tar"), build_image("sync", "base.tar", "1/layer.tar")
    archives = [
        write_archive(tmp_path / "1", [api], {"base.tar": b"base", "api.tar": b"api", "api.json": b"{1}"}, {}),
        write_archive(
            tmp_path / "2",
            [sync],
            {"base.tar": b"base", "sync.tar": b"sync", "sync.json": b"{2}"},
            {"1/layer.tar": "../sync.tar"},
        ),
    ]

    with (tmp_path / "whole").open("wb") as whole:
        assert write_together(archives, whole) == 2

    *files, (name, images) = read(tmp_path / "whole")
    assert files == [
        ("api.json", b"{1}"),
        ("base.tar", b"base"),
        ("api.tar", b"api"),
        ("sync.json", b"{2}"),
        ("1/layer.tar", b"sync"),
    ]
    assert (name, json.loads(images)) == ("manifest.json", [api, sync])


def test_an_archive_without_its_layer_is_refused(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "1", [build_image("api", "base.tar")], {"api.json": b"{}"}, {})

    with (tmp_path / "whole").open("wb") as whole, pytest.raises(KeyError, match=r"base\.tar"):
        write_together([archive], whole)
