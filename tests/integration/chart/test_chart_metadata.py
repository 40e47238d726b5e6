"""What registries and catalogues of charts show of this one, and the examples of values that come with it."""

import base64
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from estimatesync_cluster.programs import SHORT_LIVED
from estimatesync_contract.crd import build_crd
from estimatesync_contract.spec import EstimateSyncSpec

CHART = Path(__file__).parents[3] / "charts" / "estimatesync"
EXAMPLES = sorted((CHART / "ci").glob("*-values.yaml"))
DESCRIPTION = yaml.safe_load((CHART / "Chart.yaml").read_text())
CATALOGUE = {
    name.removeprefix("artifacthub.io/"): yaml.safe_load(text)
    for name, text in DESCRIPTION["annotations"].items()
    if name.startswith("artifacthub.io/")
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem.removesuffix("-values"))
def test_an_example_of_values_is_complete_and_helm_has_nothing_to_say_about_it(
    render: Callable[..., Any], helm: Path, path: Path
) -> None:
    values = yaml.safe_load(path.read_text())

    rendered = render(values, base={})
    linted = subprocess.run(
        [helm, "lint", "--strict", CHART, f"--values={path}"],
        env=SHORT_LIVED | os.environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert {each["metadata"]["name"] for each in rendered.list("Deployment")} == {
        "release-estimatesync-api",
        "release-estimatesync-operator",
    }
    assert bool(rendered.list("Secret")) == (path.stem == "first-try-values")
    assert (linted.returncode, "[INFO]" in linted.stdout + linted.stderr) == (0, False), linted.stdout


def test_the_examples_and_the_picture_are_not_in_the_package() -> None:
    ignored = (CHART / ".helmignore").read_text().splitlines()

    assert {"ci/", "icon.svg"} <= set(ignored)
    assert len(EXAMPLES) >= 6


def test_the_icon_is_the_picture() -> None:
    kind, _, content = DESCRIPTION["icon"].partition(",")

    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(content) == (CHART / "icon.svg").read_bytes()


def test_the_catalogue_names_the_definition_and_shows_objects_that_it_takes() -> None:
    spec = build_crd()["spec"]

    (named,) = CATALOGUE["crds"]
    assert (named["kind"], named["version"]) == (spec["names"]["kind"], spec["versions"][0]["name"])
    assert named["name"] == f"{spec['names']['plural']}.{spec['group']}"
    known = spec["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"].keys()
    for example in CATALOGUE["crdsExamples"]:
        assert (example["apiVersion"], example["kind"]) == (f"{spec['group']}/{named['version']}", named["kind"])
        assert example["spec"].keys() <= known
        assert msgspec.convert(example["spec"], EstimateSyncSpec)


def test_the_catalogue_says_whether_a_version_is_a_release() -> None:
    assert CATALOGUE["prerelease"] == ("-" in DESCRIPTION["version"])
    assert CATALOGUE["license"] == "Apache-2.0"
    assert {each["kind"] for each in CATALOGUE["changes"]} <= {
        "added",
        "changed",
        "deprecated",
        "removed",
        "fixed",
        "security",
    }
