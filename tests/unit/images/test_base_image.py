"""Engines that reach no registry: scripts that write down what they are asked, and say no to a few things."""

import sys
from pathlib import Path

import pytest
from estimatesync_images.base_image import create_base
from estimatesync_images.commands import Engine
from estimatesync_images.engine_calls import ImageError, read_output

OFFLINE_ENGINE = """#!/bin/sh
echo "$(basename "$0") $*" >> "$(dirname "$0")/asked"
case "$1" in image | inspect | pull) exit 1 ;; from) echo place ;; esac
"""
MMDEBSTRAP = """#!/bin/sh
for last in "$@"; do :; done
echo tree > "$last"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_program(tmp_path / "docker", OFFLINE_ENGINE)
    write_program(tmp_path / "podman", OFFLINE_ENGINE)
    write_program(tmp_path / "buildah", OFFLINE_ENGINE)
    # The scripts need a shell and little else, wherever the system keeps them; mmdebstrap is not among it.
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "basename", "dirname"):
        (tools / name).symlink_to(Path("/bin", name) if Path("/bin", name).exists() else Path("/usr/bin", name))
    monkeypatch.setenv("PATH", f"{tmp_path}:{tools}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("engine", "asked"),
    [
        pytest.param("docker", ["docker import {tree} base:1"], id="docker"),
        pytest.param("podman", ["podman import {tree} base:1"], id="podman"),
        pytest.param(
            "buildah",
            [
                "buildah from scratch",
                "buildah add --quiet place {tree} /",
                "buildah commit --quiet --timestamp=0 place base:1",
                "buildah rm place",
            ],
            id="buildah",
        ),
    ],
)
def test_where_no_registry_is_reached_any_engine_gets_a_base_of_debian_packages(
    place: Path, engine: Engine, asked: list[str]
) -> None:
    write_program(place / "mmdebstrap", MMDEBSTRAP)
    said: list[str] = []

    create_base(engine, "base:1", said.append)

    tree = place / "cache" / "estimatesync" / "images" / "base-trixie.tar"
    assert (place / "asked").read_text().splitlines()[2:] == [line.format(tree=tree) for line in asked]
    assert tree.read_text() == "tree\n"
    assert said == ["base:1 cannot be pulled: making an image of this name from Debian's packages"]


def test_where_no_base_can_be_made_the_message_says_what_to_do(place: Path) -> None:
    said: list[str] = []

    with pytest.raises(ImageError, match=r"base:1 cannot be pulled.*--base, or install mmdebstrap"):
        create_base("docker", "base:1", said.append)

    assert (place / "asked").read_text().splitlines() == ["docker image inspect base:1", "docker pull base:1"]
    assert not said


def test_an_older_docker_is_asked_for_buildkit() -> None:
    program = "import os; print(os.environ['DOCKER_BUILDKIT'])"

    assert read_output([sys.executable, "-c", program]) == "1\n"


def test_what_fails_is_said_with_the_programs_last_words() -> None:
    with pytest.raises(ImageError, match=r"failed:\nno space left"):
        read_output([sys.executable, "-c", "import sys; sys.exit('no space left')"])
