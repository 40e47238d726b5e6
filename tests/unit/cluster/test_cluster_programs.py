"""Reading versions, and naming what is built."""

import re

import pytest
from estimatesync_cluster.go_build import (
    CONTROL_PLANES,
    NEWEST,
    OLDEST,
    Program,
    build_go_command,
    compute_fingerprint,
    parse_go_version,
    parse_required_version,
)
from estimatesync_cluster.programs import GO_MODULES, read_kubernetes_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        pytest.param("go version go1.26.8 linux/amd64", (1, 26, 8), id="go version"),
        pytest.param("go version go1.26rc1 linux/amd64", (1, 26, 0), id="release candidate"),
        pytest.param("module x\n\ngo 1.26.0\n", (1, 26, 0), id="go.mod"),
        pytest.param("module x\n\ngo 1.9\n\nrequire y v1.2.3\n", (1, 9, 0), id="go.mod without patch"),
    ],
)
def test_go_version_is_read(text: str, version: tuple[int, int, int]) -> None:
    parsed = parse_go_version(text)

    assert parsed == version


def test_text_without_go_version_is_an_error() -> None:
    with pytest.raises(ValueError, match="no Go version"):
        parse_go_version("command not found")


@pytest.mark.parametrize(
    "go_mod",
    [
        pytest.param("require k8s.io/kubernetes v1.36.3\n", id="one line"),
        pytest.param("require (\n\tk8s.io/kube v0.1.0\n\tk8s.io/kubernetes v1.36.3\n)\n", id="block"),
    ],
)
def test_required_version_is_read(go_mod: str) -> None:
    version = parse_required_version(go_mod, "k8s.io/kubernetes")

    assert version == "v1.36.3"


def test_module_that_is_only_replaced_is_not_required() -> None:
    with pytest.raises(ValueError, match="does not require"):
        parse_required_version("replace k8s.io/kubernetes => ../kubernetes v1.0.0\n", "k8s.io/kubernetes")


@pytest.mark.parametrize(
    "program",
    [pytest.param(each, id=f"{age} {each.name}") for age, programs in CONTROL_PLANES.items() for each in programs],
)
def test_every_program_is_pinned_by_its_module(program: Program) -> None:
    pinned = (GO_MODULES / program.module / "tools.go").read_text()

    assert f'"{program.package}"' in pinned


@pytest.mark.parametrize("age", [pytest.param(each, id=each) for each in CONTROL_PLANES])
def test_every_part_of_a_control_plane_is_of_its_version(age: str) -> None:
    """A library of another version, put in its place by hand, would make it neither the one nor the other."""
    module = CONTROL_PLANES[age][-1].module
    minor = read_kubernetes_version(age).removeprefix("v1.").partition(".")[0]

    placed = re.findall(r" => (k8s\.io/\S+) v0\.(\d+)\.", (GO_MODULES / module / "go.mod").read_text())

    assert len(placed) > 20
    assert [name for name, theirs in placed if theirs != minor] == []


def test_the_oldest_kubernetes_is_older_than_the_newest() -> None:
    oldest, newest = ([int(part) for part in read_kubernetes_version(age)[1:].split(".")] for age in (OLDEST, NEWEST))

    assert oldest < newest


def test_build_stamps_the_version_and_changes_no_module_file() -> None:
    command = build_go_command(CONTROL_PLANES[NEWEST][1], go="/go", git_version="v1.36.3", output="/out/kube-apiserver")

    assert command[:4] == ["/go", "build", "-mod=readonly", "-trimpath"]
    assert command[5] == "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3"
    assert command[-2:] == ["/out/kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"]


def test_fingerprint_distinguishes_contents_names_and_platforms() -> None:
    base = compute_fingerprint({"a": b"1", "b": b"2"}, "Linux-x86_64")

    others = {
        compute_fingerprint({"a": b"1", "b": b"3"}, "Linux-x86_64"),
        compute_fingerprint({"a": b"1", "c": b"2"}, "Linux-x86_64"),
        compute_fingerprint({"a": b"1", "b": b"2"}, "Linux-aarch64"),
    }

    assert len(others | {base}) == 4
    assert compute_fingerprint({"b": b"2", "a": b"1"}, "Linux-x86_64") == base
