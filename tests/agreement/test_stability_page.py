"""`docs/stability.md` has the one table of supported versions: what is built and tested, which other pages refer to."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from estimatesync_cluster.go_build import NEWEST, OLDEST, parse_required_version
from estimatesync_cluster.programs import GO_MODULES, read_kubernetes_version
from estimatesync_postgres_server import NEWEST as NEWEST_POSTGRES
from estimatesync_postgres_server import OLDEST as OLDEST_POSTGRES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "stability.md").read_text()
ROWS = re.findall(r"^\| ([^|,]+)[^|]* \| ([\d.]+) \| ([\d.]+) \| .+ \|$", PAGE, re.MULTILINE)


def shorten(version: str) -> str:
    """`v1.36.3` is `1.36`."""
    return ".".join(version.removeprefix("v").split(".")[:2])


def read_helm() -> tuple[str, str]:
    newest = parse_required_version((GO_MODULES / "helm" / "go.mod").read_text(), "helm.sh/helm/v4")
    return newest.removeprefix("v").partition(".")[0], shorten(newest)


def read_python() -> tuple[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    recipe = (ROOT / "deploy" / "docker" / "Dockerfile").read_text()
    return project["requires-python"].removeprefix(">="), re.findall(r"python:([\d.]+)-slim", recipe)[-1]


def read_payload() -> tuple[str, ...]:
    files = [ROOT / "tests" / "support" / "payload" / major / "package.json" for major in ("2", "3")]
    return tuple(shorten(json.loads(each.read_text())["dependencies"]["payload"]) for each in files)


@pytest.mark.parametrize(
    ("name", "versions"),
    [
        pytest.param(
            "Kubernetes",
            lambda: tuple(shorten(read_kubernetes_version(age)) for age in (OLDEST, NEWEST)),
            id="Kubernetes",
        ),
        pytest.param("Helm", read_helm, id="Helm"),
        pytest.param("PostgreSQL", lambda: (str(OLDEST_POSTGRES), str(NEWEST_POSTGRES)), id="PostgreSQL"),
        pytest.param("Python", read_python, id="Python"),
        pytest.param("Payload CMS", read_payload, id="Payload"),
    ],
)
def test_a_supported_version_is_one_that_is_built_and_tested(
    name: str, versions: Callable[[], tuple[str, ...]]
) -> None:
    assert [row[1:] for row in ROWS if row[0] == name] == [versions()]


def test_the_table_has_no_other_rows() -> None:
    assert [row[0] for row in ROWS] == ["Kubernetes", "Helm", "PostgreSQL", "Python", "Payload CMS"]


def test_the_workflow_tests_the_newest_python_too() -> None:
    workflow = (ROOT / ".github" / "workflows" / "test.yaml").read_text()

    assert f'python: ["{read_python()[1]}"]' in workflow
    assert f'python-version: "{read_python()[0]}"' in workflow


@pytest.mark.parametrize("page", ["README.md", "SECURITY.md", "docs/install.md", "docs/tried.md"])
def test_other_pages_refer_to_the_table_or_to_what_may_change(page: str) -> None:
    assert re.search(r"\]\((docs/)?stability\.md(#supported-versions)?\)", (ROOT / page).read_text())
