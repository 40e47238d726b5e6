import io
import json
import tarfile
from dataclasses import replace
from typing import Any

import pytest
from estimatesync_release.core.images import Base, Image, build_archive, build_image, build_index
from estimatesync_release.core.layers import Entry, build_gzip, build_tar, compute_digest

ENTRIES = {"opt/estimatesync/pyvenv.cfg": Entry(content=b"home = /usr/bin\n")}
REFERENCE = "docker.io/library/estimatesync-api:1.0.0"


@pytest.fixture
def image(base: Base) -> Image:
    return build_image(
        base, ENTRIES, config={"User": "65532"}, epoch=7, created="1970-01-01T00:00:07Z", annotations={"a": "b"}
    )


def read_files(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as whole:
        return {each.name: whole.extractfile(each).read() for each in whole if each.isfile()}  # type: ignore[union-attr]


def test_an_image_is_its_base_and_one_layer_more(image: Image, base: Base) -> None:
    manifest = json.loads(image.manifest)
    config = json.loads(image.blobs[manifest["config"]["digest"]])
    tree = build_tar(ENTRIES, epoch=7)

    assert [each["digest"] for each in manifest["layers"]] == [
        compute_digest(base.layers[0]),
        compute_digest(build_gzip(tree)),
    ]
    assert config["rootfs"]["diff_ids"] == [*base.config["rootfs"]["diff_ids"], compute_digest(tree)]
    assert (config["architecture"], config["config"], config["created"]) == (
        "arm64",
        {"User": "65532"},
        "1970-01-01T00:00:07Z",
    )
    assert len(config["history"]) == 2


def test_an_image_says_what_it_was_built_on(image: Image, base: Base) -> None:
    assert json.loads(image.manifest)["annotations"] == {
        "a": "b",
        "org.opencontainers.image.base.digest": base.digest,
        "org.opencontainers.image.base.name": "made up",
    }


def test_every_part_of_an_archive_is_where_its_digest_says(image: Image) -> None:
    files = read_files(build_archive(image, reference=REFERENCE, epoch=7))

    blobs = {name: content for name, content in files.items() if name.startswith("blobs/")}
    assert {name: compute_digest(content) for name, content in blobs.items()} == {
        name: name.removeprefix("blobs/").replace("/", ":") for name in blobs
    }
    (descriptor,) = json.loads(files["index.json"])["manifests"]
    assert descriptor["digest"] == image.digest
    assert descriptor["annotations"]["io.containerd.image.name"] == REFERENCE
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}


def test_docker_of_any_version_finds_its_own_list_in_an_archive(image: Image) -> None:
    files = read_files(build_archive(image, reference=REFERENCE, epoch=7))

    (listed,) = json.loads(files["manifest.json"])
    assert listed["RepoTags"] == ["estimatesync-api:1.0.0"]
    assert {listed["Config"], *listed["Layers"]} < set(files)


def test_the_same_files_make_the_same_archive(image: Image, base: Base) -> None:
    again = build_image(
        base, ENTRIES, config={"User": "65532"}, epoch=7, created="1970-01-01T00:00:07Z", annotations={"a": "b"}
    )

    assert build_archive(image, reference=REFERENCE, epoch=7) == build_archive(again, reference=REFERENCE, epoch=7)


def test_an_index_names_every_architecture_in_one_order(image: Image, base: Base) -> None:
    def build(architecture: str, **config: Any) -> Image:
        other = replace(base, architecture=architecture, config={**base.config, **config})
        return build_image(other, ENTRIES, config={}, epoch=7, created="", annotations={})

    amd64, arm64 = build("amd64"), build("arm64")

    index = build_index([arm64, amd64])
    assert index == build_index([amd64, arm64])
    assert [each["platform"]["architecture"] for each in json.loads(index)["manifests"]] == ["amd64", "arm64"]
    assert [each["digest"] for each in json.loads(index)["manifests"]] == [amd64.digest, arm64.digest]
    assert image.digest not in index.decode()
