import json
import subprocess
import sys
from pathlib import Path

import pytest
from estimatesync_images.commands import (
    DEFAULT_BASE,
    ENGINES,
    Engine,
    Recipe,
    build_build_command,
    build_image_name,
    build_python_command,
    build_save_command,
)

ROOT = Path(__file__).parents[3]
RECIPE = Recipe(target="api", tag="estimatesync-api:1", base="base:1", epoch=7, arguments={"VERSION": "1"})


@pytest.mark.parametrize(
    ("registry", "name"),
    [
        pytest.param("", "estimatesync-api:1", id="no registry"),
        pytest.param("registry.test/team", "registry.test/team/estimatesync-api:1", id="a registry"),
        pytest.param("registry.test/", "registry.test/estimatesync-api:1", id="a slash too many"),
    ],
)
def test_an_image_is_named_as_the_chart_names_it(registry: str, name: str) -> None:
    assert build_image_name("api", registry=registry, version="1") == name


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gets_target_tag_base_and_time(engine: Engine) -> None:
    command = build_build_command(engine, RECIPE)

    assert command[0] == engine
    assert command[-1] == "."
    assert {"--target=api", "--tag=estimatesync-api:1"} < set(command)
    assert {"--build-arg=PYTHON_IMAGE=base:1", "--build-arg=SOURCE_DATE_EPOCH=7"} < set(command)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_certificate_authority_is_a_secret_of_the_build_never_an_argument(engine: Engine) -> None:
    recipe = Recipe(target="api", tag="t", base="b", epoch=0, authority="/etc/ca.pem")

    command = build_build_command(engine, recipe)

    assert [each for each in command if "/etc/ca.pem" in each] == ["--secret=id=cacert,src=/etc/ca.pem"]
    assert not any("--secret" in each for each in build_build_command(engine, RECIPE))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_program_in_an_image_does_not_import_what_lies_next_to_it(engine: Engine) -> None:
    assert build_python_command(engine, "place")[-2:] == ["-I", "-"]


@pytest.mark.parametrize(
    ("engine", "image", "named"),
    [
        pytest.param("podman", "estimatesync-api:1", "docker.io/library/estimatesync-api:1", id="podman"),
        pytest.param("buildah", "estimatesync-api:1", "docker.io/library/estimatesync-api:1", id="buildah"),
        pytest.param("podman", "registry.test/estimatesync-api:1", "registry.test/estimatesync-api:1", id="a registry"),
    ],
)
def test_an_archive_names_its_image_as_a_node_expects_it(engine: Engine, image: str, named: str) -> None:
    command = build_save_command(engine, image, "/archives/api.tar")

    assert command == [engine, "push", "--quiet", image, f"docker-archive:/archives/api.tar:{named}"]


def test_docker_names_its_images_so_itself() -> None:
    command = build_save_command("docker", "estimatesync-api:1", "/archives/api.tar")

    assert command == ["docker", "save", "--output=/archives/api.tar", "estimatesync-api:1"]


def test_the_bill_of_materials_lists_what_is_installed_here() -> None:
    contents = ROOT / "deploy" / "docker" / "estimatesync_images" / "contents.py"

    printed = subprocess.run([sys.executable, contents], capture_output=True, check=True, timeout=60).stdout

    components = {each["name"]: each for each in json.loads(printed)["components"]}
    assert components["msgspec"]["purl"].startswith("pkg:pypi/msgspec@")


def test_the_default_base_is_the_one_of_the_dockerfile() -> None:
    dockerfile = (ROOT / "deploy" / "docker" / "Dockerfile").read_text()

    assert f"\nARG PYTHON_IMAGE={DEFAULT_BASE}\n" in dockerfile
