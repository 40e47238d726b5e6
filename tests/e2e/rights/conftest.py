"""Rights are judged last. Only when every test that uses them was run, an unused one says something."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from estimatesync_cluster.audit import ApiCall, find_denied_calls, read_api_calls
from estimatesync_cluster.cluster import TEST_KUBECONFIG
from estimatesync_cluster.product_processes import Right, build_rights
from estimatesync_cluster.programs import find_helm

HERE = Path(__file__).parent
CHART = HERE.parents[2] / "charts" / "estimatesync"
PLACES = tuple(HERE.with_name(name) for name in ("api", "chart", "product"))
"""Where the tests that use rights are."""
USE, REFUSALS = HERE / "test_rights_on_cluster.py", HERE / "test_refusals_on_cluster.py"
EVERY_RIGHT = {
    "apiKeys": {"existingSecret": "any"},
    "credentials": {"existingSecret": "any"},
    "callback": {"allowedSecrets": ["any"]},
}
WAIT_SECONDS = 1200.0
POLL_SECONDS = 0.5
LEFT_OUT = pytest.StashKey[set[Path]]()


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        item.config.stash.setdefault(LEFT_OUT, set()).add(item.path.parent)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Move the judgement behind all other tests; leave out what they do not suffice for."""
    judgement = [item for item in items if item.path.parent == HERE]
    items[:] = [item for item in items if item.path.parent != HERE]
    possible = _list_possible(config, {item.path for item in items})
    items.extend(item for item in judgement if item.path in possible)
    config.hook.pytest_deselected(items=[item for item in judgement if item.path not in possible])


def _list_possible(config: pytest.Config, collected: set[Path]) -> set[Path]:
    """List what can be judged; nothing on a given cluster, because only those of our own show their audit log."""
    expected = {test for place in PLACES for test in place.glob("test_*.py")}
    left_out = config.stash.get(LEFT_OUT, set()) & set(PLACES)
    if TEST_KUBECONFIG in os.environ or not expected & collected:
        return set()
    return {USE, REFUSALS} if expected <= collected and not left_out else {REFUSALS}


@pytest.fixture(scope="session", autouse=True)
def ended_tests(request: pytest.FixtureRequest, run_directory: Path) -> None:
    """Wait for the tests that other workers are still running."""
    expected = {item.nodeid for item in request.session.items if item.path.parent in PLACES}
    deadline = time.monotonic() + WAIT_SECONDS
    while missing := expected - read_ended(run_directory):
        assert time.monotonic() < deadline, f"these have not ended after {WAIT_SECONDS:.0f} s: {sorted(missing)}"
        time.sleep(POLL_SECONDS)


@pytest.fixture(scope="session")
def granted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, frozenset[Right]]:
    """What a release with every optional right grants, by part."""
    helm = find_helm(report=lambda line: sys.stderr.write(f"{line}\n"))
    home = tmp_path_factory.mktemp("helm")
    (home / "values.json").write_text(json.dumps(EVERY_RIGHT))
    answer = subprocess.run(
        [helm, "template", "any", CHART, f"--values={home / 'values.json'}", "--show-only=templates/rights.yaml"],
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    roles = [each for each in yaml.safe_load_all(answer.stdout) if each["kind"] == "Role"]
    return {role["metadata"]["labels"]["app.kubernetes.io/component"]: build_rights(role["rules"]) for role in roles}


@pytest.fixture(scope="session")
def read_calls(audit_logs: Path) -> Callable[[str], list[ApiCall]]:
    """Read every call of a part, in whatever namespace of whatever cluster, under whatever release's name."""
    return lambda part: [call for call in read_logs(audit_logs) if call.user.endswith(f"estimatesync-{part}")]


@pytest.fixture(scope="session")
def denied_calls(audit_logs: Path) -> tuple[ApiCall, ...]:
    """Every call of a service account that lacked a right which no test had taken away."""
    return find_denied_calls(read_logs(audit_logs))


def read_ended(directory: Path) -> set[str]:
    return {line for worker in (directory / "ended").iterdir() for line in worker.read_text().splitlines()}


def read_logs(directory: Path) -> list[ApiCall]:
    return [call for log in directory.iterdir() for call in read_api_calls(log)]
