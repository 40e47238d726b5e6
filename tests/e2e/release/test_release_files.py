"""What `make release` leaves: the same from the same commit, what `make images` builds, and bills that SPDX takes."""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
RELEASED = Path(os.environ["ESTIMATESYNC_TEST_RELEASE"])
BUILT = Path(os.environ["ESTIMATESYNC_TEST_IMAGES"])
PARTS = ("api", "operator", "sync")
BUILD_SECONDS = 1800
ENVIRONMENT = "opt/estimatesync/"
INSTALLERS_OWN = re.compile(
    # What says who installed it and where from; scripts for shells; commands, which each installer words for itself.
    r".*\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)|bin/.*|pyvenv\.cfg|include/.*|\.gitignore"
)


def read_definition() -> Any:
    """How the release says that it was built."""
    return json.loads((RELEASED / "provenance.intoto.jsonl").read_text())["predicate"]["buildDefinition"]


def test_another_build_of_the_commit_in_another_directory_gives_the_same_checksums(tmp_path: Path) -> None:
    clone, target = tmp_path / "clone", tmp_path / "files"
    definition = read_definition()
    commit = definition["resolvedDependencies"][0]["digest"]["gitCommit"]
    for command in (["clone", "--quiet", ROOT, clone], ["-C", clone, "checkout", "--quiet", commit]):
        subprocess.run(["git", *command], check=True, capture_output=True)  # noqa: S607 - git is the user's own

    version = definition["externalParameters"]["version"]
    command = [sys.executable, "-m", "estimatesync_release", version, "--draft", f"--target={target}"]
    environment = {**os.environ, "PYTHONPATH": str(clone / "deploy" / "docker"), "TMPDIR": str(tmp_path)}
    answer = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )

    assert answer.returncode == 0, answer.stderr
    assert (target / "SHA256SUMS").read_text() == (RELEASED / "SHA256SUMS").read_text()


def test_every_file_has_the_checksum_that_is_listed_and_is_a_subject_of_the_provenance() -> None:
    sums = dict(line.split("  ")[::-1] for line in (RELEASED / "SHA256SUMS").read_text().splitlines())
    subjects = json.loads((RELEASED / "provenance.intoto.jsonl").read_text())["subject"]

    found = {str(path.relative_to(RELEASED)): path for path in RELEASED.rglob("*") if path.is_file()}
    # The signature is made when it is published.
    listed = {name: path for name, path in found.items() if name not in {"SHA256SUMS", "SHA256SUMS.sigstore.json"}}
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in listed.items()} == sums
    assert {each["name"]: each["digest"]["sha256"] for each in subjects} | {
        "provenance.intoto.jsonl": sums["provenance.intoto.jsonl"]
    } == sums


@pytest.mark.parametrize("part", PARTS)
def test_the_image_holds_what_make_images_builds(part: str) -> None:
    released = read_environment(RELEASED / "images" / f"estimatesync-{part}-amd64.oci.tar")
    built = read_environment(BUILT / f"{part}.tar")

    assert released.keys() == built.keys()
    assert [path for path in sorted(built) if released[path] != built[path]] == []


def read_environment(archive: Path) -> dict[str, str]:
    """Read what the layers of an image have in its environment: the checksum of each file by path."""
    found: dict[str, str] = {}
    with tarfile.open(archive) as whole:
        manifest = whole.extractfile("manifest.json")
        assert manifest
        for name in json.loads(manifest.read())[0]["Layers"]:
            layer = whole.extractfile(name)
            assert layer
            found |= read_layer(layer.read())
    return found


def read_layer(layer: bytes) -> Iterator[tuple[str, str]]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        for member in archive:
            path = str(PurePosixPath(member.name))
            content = archive.extractfile(member) if member.isfile() and path.startswith(ENVIRONMENT) else None
            relative = path.removeprefix(ENVIRONMENT)
            if content and not INSTALLERS_OWN.fullmatch(relative):
                yield relative, hashlib.sha256(content.read()).hexdigest()


def test_every_bill_of_materials_is_one_by_the_rules_of_spdx() -> None:
    bills = sorted(RELEASED.glob("*.spdx.json"))
    program = ROOT / ".venv-release" / "bin" / "pyspdxtools"

    # Of wheel, source, chart, and of each image for both architectures.
    assert len(bills) == 3 + len(list((RELEASED / "images").glob("*.oci.tar")))
    for bill in bills:
        answer = subprocess.run([program, f"--infile={bill}"], capture_output=True, text=True, timeout=120, check=False)
        assert answer.returncode == 0, (bill.name, answer.stderr)


def test_the_images_of_both_architectures_list_what_they_hold() -> None:
    for part in PARTS:
        listed = []
        for architecture in ("amd64", "arm64"):
            packages = json.loads((RELEASED / f"estimatesync-{part}-{architecture}.spdx.json").read_text())["packages"]
            locators = [each["externalRefs"][0]["referenceLocator"] for each in packages[1:]]
            assert f"pkg:pypi/estimatesync@{packages[0]['versionInfo']}" in locators
            assert [each for each in locators if each.startswith("pkg:deb/") and f"arch={architecture}" in each]
            listed.append([each for each in locators if each.startswith("pkg:pypi/")])
        assert listed[0] == listed[1]
