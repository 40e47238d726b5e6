"""The workflows run this project's own tasks, with no more rights than they need, on actions that nobody can exchange.

What is wrong in one file, actionlint and zizmor find (`make check-workflows`); this compares the files.
"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
TEXTS = "".join(path.read_text() for path in WORKFLOWS)
MAKE_TASKS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
WRITES = {
    ("release", "registry"): {"packages", "id-token"},
    ("release", "python-package"): {"id-token"},
    ("release", "site"): {"pages", "id-token"},
    ("release", "notes"): {"contents"},
}
"""What each job may change; the others may read the code, and nothing else."""


def read(path: Path) -> Any:
    # `on` is a flag in YAML 1.1, and a plain word for GitHub.
    return yaml.load(path.read_text(), yaml.BaseLoader)  # noqa: S506 - this loader makes nothing but texts


JOBS = [
    pytest.param(path.stem, name, job, id=f"{path.stem} {name}")
    for path in WORKFLOWS
    for name, job in read(path)["jobs"].items()
]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_rights_of_its_own_and_does_not_run_twice(path: Path) -> None:
    workflow = read(path)

    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]


@pytest.mark.parametrize(("workflow", "name", "job"), JOBS)
def test_a_job_has_the_rights_that_it_needs_and_an_end(workflow: str, name: str, job: dict[str, Any]) -> None:
    rights = job["permissions"]

    assert {right for right, kind in rights.items() if kind == "write"} == WRITES.get((workflow, name), set())
    assert {right for right, kind in rights.items() if kind != "write"} <= {"contents"}
    assert "uses" in job or int(job["timeout-minutes"]) > 0


@pytest.mark.parametrize(("workflow", "name", "job"), JOBS)
def test_a_checkout_keeps_no_credentials(workflow: str, name: str, job: dict[str, Any]) -> None:
    checkouts = [step for step in job.get("steps", []) if "actions/checkout@" in step.get("uses", "")]

    assert [step for step in checkouts if step["with"]["persist-credentials"] != "false"] == [], (workflow, name)


def test_an_action_is_pinned_by_one_digest_with_its_version_beside_it() -> None:
    used = re.findall(r"uses: (?!\./)(\S+)(.*)", TEXTS)
    pins = {(action.partition("@")[0], action.partition("@")[2], comment) for action, comment in used}

    assert {pin for pin in pins if not re.fullmatch(r"[0-9a-f]{40}", pin[1])} == set()
    assert {pin for pin in pins if not re.fullmatch(r" # v\d+\.\d+\.\d+", pin[2])} == set()
    assert len({action for action, _, _ in pins}) == len(pins)


def test_every_task_that_a_workflow_runs_is_one_of_the_makefile() -> None:
    called = set(re.findall(r"\bmake ([a-z][a-z-]*)", TEXTS)) | {
        task
        for path in WORKFLOWS
        for job in read(path)["jobs"].values()
        for task in job.get("strategy", {}).get("matrix", {}).get("task", [])
    }

    assert {"lock", "release", "test", "test-fast"} <= called
    assert called - MAKE_TASKS == set()


def test_a_release_is_tested_by_the_gate_before_anything_is_built() -> None:
    test, release = (read(ROOT / ".github" / "workflows" / f"{name}.yaml") for name in ("test", "release"))

    assert ".ci/run" in [step.get("run") for step in test["jobs"]["gate"]["steps"]]
    assert release["jobs"]["test"]["uses"] == "./.github/workflows/test.yaml"
    assert release["jobs"]["build"]["needs"] == "test"
    assert {name for name, job in release["jobs"].items() if not job.get("needs")} == {"test"}


def test_a_tag_that_is_no_version_is_built_by_nobody_and_its_name_is_never_in_a_line_of_a_shell() -> None:
    release = read(ROOT / ".github" / "workflows" / "release.yaml")
    build = "".join(step.get("run", "") for step in release["jobs"]["build"]["steps"])
    lines = "".join(step.get("run", "") for job in release["jobs"].values() for step in job.get("steps", []))

    assert release["on"]["push"]["tags"] == ["v[0-9]+.[0-9]+.[0-9]+"]
    assert 0 < build.index("[[ $TAG =~ ^v[0-9]+\\.[0-9]+\\.[0-9]+$ ]] ||") < build.index("make release")
    assert "${{" not in lines
    assert "make release VERSION=" not in lines


def test_a_release_is_published_as_a_whole_of_parts_that_their_own_tools_take() -> None:
    jobs = read(ROOT / ".github" / "workflows" / "release.yaml")["jobs"]
    build = "".join(step.get("run", "") for step in jobs["build"]["steps"])

    assert build.index("set -euo pipefail") < build.index("skopeo inspect")
    assert build.index("make release") < build.index("helm lint")
    assert jobs["site"]["needs"] == jobs["notes"]["needs"] == ["registry", "python-package"]
    (cosign,) = (step for step in jobs["registry"]["steps"] if "cosign-installer@" in step.get("uses", ""))
    pinned = (ROOT / "tests" / "support" / "go" / "cosign" / "go.mod").read_text()
    assert f"github.com/sigstore/cosign/v2 {cosign['with']['cosign-release']}\n" in pinned


def test_nothing_that_another_run_has_left_goes_into_a_release() -> None:
    gate = read(ROOT / ".github" / "workflows" / "test.yaml")["jobs"]["gate"]
    release = (ROOT / ".github" / "workflows" / "release.yaml").read_text()

    caches = [step for step in gate["steps"] if "actions/cache@" in step.get("uses", "")]
    assert [step["if"] for step in caches] == ["github.ref_type != 'tag'"]
    assert "actions/cache" not in release
    assert "cache:" not in release


def test_dependabot_looks_at_every_program_of_the_tests_but_kubernetes() -> None:
    text = (ROOT / ".github" / "dependabot.yml").read_text()
    (go,) = (each for each in yaml.safe_load(text)["updates"] if each["package-ecosystem"] == "gomod")
    modules = {f"/{path.parent.relative_to(ROOT)}" for path in (ROOT / "tests" / "support" / "go").glob("*/go.mod")}

    left_out = modules - {*go["directories"]}

    assert {*go["directories"]} <= modules
    assert {path.rpartition("/")[2] for path in left_out} == {"kubernetes", "kubernetes-oldest", "node"}
