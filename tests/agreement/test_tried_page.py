"""`docs/tried.md` names the versions with which this checkout is built and tested."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from estimatesync_cluster.go_build import NEWEST, OLDEST, parse_required_version
from estimatesync_cluster.programs import GO_MODULES, read_kubernetes_version
from estimatesync_postgres_server import NEWEST as NEWEST_POSTGRES
from estimatesync_postgres_server import OLDEST as OLDEST_POSTGRES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tried.md").read_text()
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]*) \| (.+) \|$", PAGE, re.MULTILINE)


def read_pin(module: str, name: str) -> str:
    return parse_required_version((GO_MODULES / module / "go.mod").read_text(), name).removeprefix("v")


def list_versions() -> Iterator[tuple[str, str]]:
    newest, oldest = (read_kubernetes_version(age).removeprefix("v") for age in (NEWEST, OLDEST))
    for name in (
        "Kubernetes, the newest",
        "A real node",
        "Pod Security *restricted*",
        "Upgrade from an earlier version",
    ):
        yield name, newest
    yield "Faults around the operator", newest
    yield "Kubernetes, the oldest", oldest
    yield "Helm", read_pin("helm", "helm.sh/helm/v4")
    yield "NetworkPolicies", read_pin("kube-router", "github.com/cloudnativelabs/kube-router/v2")
    yield "PostgreSQL, the newest", str(NEWEST_POSTGRES)
    yield "PostgreSQL, the oldest", str(OLDEST_POSTGRES)
    for major in ("2", "3"):
        package = json.loads((ROOT / "tests" / "support" / "payload" / major / "package.json").read_text())
        yield f"Payload CMS {major}", package["dependencies"]["payload"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    yield "Python", project["requires-python"].removeprefix(">=")
    yield (
        "Python in the images",
        re.findall(r"python:([\d.]+)-slim", (ROOT / "deploy/docker/Dockerfile").read_text())[-1],
    )
    yield "kind", read_pin("kind", "sigs.k8s.io/kind")
    yield "Gateway API", read_pin("definitions", "sigs.k8s.io/gateway-api")
    yield "Prometheus operator", read_pin("definitions", "github.com/prometheus-operator/prometheus-operator")
    yield "External Secrets", read_pin("definitions", "github.com/external-secrets/external-secrets")
    yield "trust-manager", read_pin("definitions", "github.com/cert-manager/trust-manager")
    yield "Argo CD's health script", read_pin("glua", "github.com/yuin/gopher-lua")
    yield "A release in a registry", read_pin("crane", "github.com/google/go-containerregistry")
    # Its Go module counts in its own way: v0.316.0 is Prometheus 3.16.0.
    _, both, patch = read_pin("prometheus", "github.com/prometheus/prometheus").split(".")
    yield "Prometheus and promtool", f"{both[:-2]}.{int(both[-2:])}.{patch}"


@pytest.mark.parametrize(("name", "version"), [pytest.param(*each, id=each[0]) for each in list_versions()])
def test_the_version_of_the_page_is_the_one_that_is_pinned(name: str, version: str) -> None:
    found = [row[1] for row in ROWS if row[0] == name]

    assert found == [version]


def test_a_release_is_signed_with_the_cosign_that_is_pinned() -> None:
    assert f"cosign {read_pin('cosign', 'github.com/sigstore/cosign/v2')} " in PAGE


def test_the_node_has_the_containerd_that_is_pinned() -> None:
    assert f"containerd {read_pin('containerd', 'github.com/containerd/containerd/v2')}," in PAGE
