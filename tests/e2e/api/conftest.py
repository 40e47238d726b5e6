"""The deployed API on a real API server, with the rights of its own service account and no others."""

import http.client
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from estimatesync_cluster.cluster import Cluster
from estimatesync_cluster.product_processes import build_accounts
from estimatesync_processes.forked_process import StartedProcess, start_program

ROOT = Path(__file__).parents[3]
CRD = ROOT / "charts" / "estimatesync" / "files" / "crd.yaml"
API_KEY = "made-up-key-for-cluster-tests"
WAIT_SECONDS = 90.0
POLL_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Api:
    """The API as its callers see it, and the namespace behind it as kubectl sees it."""

    port: int
    log: Path
    cluster: Cluster
    namespace: str
    process: StartedProcess
    key: str = API_KEY

    def stop(self) -> None:
        """End the server, as a pod is ended."""
        self.process.terminate()
        self.process.wait(WAIT_SECONDS)

    def read_text(self, url: str) -> str:
        """Read an answer that is not JSON."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)) as connection:
            connection.request("GET", url, headers={"X-API-KEY": self.key})
            response = connection.getresponse()
            assert response.status == 200, response.read()
            return response.read().decode()

    def ask(self, method: str, url: str, *, body: str = "", key: str | None = None) -> Answer:
        """Ask with a valid key."""
        headers = {"X-API-KEY": API_KEY} | ({"Idempotency-Key": key} if key else {})
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)) as connection:
            connection.request(method, url, headers=headers, body=body)
            response = connection.getresponse()
            return Answer(status=response.status, headers=response.headers, body=json.loads(response.read()))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace, as the administrator."""
        return str(self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin).stdout)

    def create(self, manifest: dict[str, Any]) -> None:
        """Create an object in the namespace, as the administrator."""
        self.cluster.api.create(manifest, namespace=self.namespace)

    def delete(self, kind: str, name: str) -> None:
        """Delete an object of the namespace, as the administrator."""
        self.cluster.api.delete(kind, name, namespace=self.namespace)

    def run_pod(self, manifest: dict[str, Any]) -> None:
        """Create a pod, and wait until it has succeeded."""
        self.create(manifest)
        self.wait_succeeded(manifest["metadata"]["name"])

    def wait_succeeded(self, pod: str) -> None:
        """Wait until a pod has succeeded."""

        def has_succeeded() -> bool:
            found = self.cluster.api.find("Pod", pod, namespace=self.namespace) or {}
            return bool(found.get("status", {}).get("phase") == "Succeeded")

        self.wait_until(f"the success of {pod}", has_succeeded)

    def stored(self) -> list[dict[str, Any]]:
        """All syncs, as Kubernetes has them."""
        return list(self.cluster.api.find_all("EstimateSync", namespace=self.namespace))

    def write_status(self, name: str, status: dict[str, Any]) -> None:
        """Play the operator."""
        self.cluster.api.patch("EstimateSync", f"{name}/status", {"status": status}, namespace=self.namespace)

    def wait_until(self, what: str, condition: Callable[[], object]) -> Any:
        """Wait for something, and answer it."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not (found := condition()):
            assert time.monotonic() < deadline, f"never came: {what}\n{self.log.read_text()[-2000:]}"
            time.sleep(POLL_SECONDS)
        return found


@pytest.fixture
def own_control_plane(cluster: Cluster) -> None:
    """Only our own API server shows its audit log."""
    if cluster.layout is None:
        pytest.fail("unset ESTIMATESYNC_TEST_KUBECONFIG to run this test")


@pytest.fixture
def installed(cluster: Cluster, namespace: str) -> str:
    """A namespace with the definition and the API's rights."""
    cluster.define(CRD)
    cluster.api.apply(build_accounts(), namespace=namespace)
    return namespace


@pytest.fixture
def kubeconfig(cluster: Cluster, installed: str, tmp_path: Path) -> Path:
    """The API's own service account."""
    path = tmp_path / "kubeconfig"
    return cluster.create_service_account_kubeconfig(path, namespace=installed, name="estimatesync-api")


@pytest.fixture
def launch(cluster: Cluster, installed: str, tmp_path: Path) -> Iterator[Callable[..., Api]]:
    """Start any number of API servers, with settings of the test's own; ended after the test, whatever happens."""
    started: list[StartedProcess] = []

    def start(*, listener: int | None = None, **environment: str) -> Api:
        log = tmp_path / f"gunicorn-{len(started)}.log"
        own = {"BIND": "127.0.0.1:0", "API_KEYS": f"make:{API_KEY}", "REQUESTS_PER_MINUTE": "0", **environment}
        with log.open("wb") as output:
            process = start_program(
                [sys.executable, "-m", "gunicorn", "-c", "python:estimatesync_api.gunicorn_conf"],
                env={"PATH": os.environ["PATH"], **own},
                stdout=output,
                stderr=output,
                pass_fds=[] if listener is None else [listener],
            )
        started.append(process)
        port = _wait_for_port(process, log)
        return Api(port=port, log=log, cluster=cluster, namespace=installed, process=process)

    yield start
    for process in started:
        process.send_signal(signal.SIGQUIT)
        process.wait(WAIT_SECONDS)


@pytest.fixture
def api(launch: Callable[..., Api], kubeconfig: Path) -> Api:
    """One API server, which starts a sync for every request without a key."""
    api = launch(KUBECONFIG=str(kubeconfig), REPEATED_REQUESTS="start")
    api.wait_until("readiness", lambda: api.ask("GET", "/readyz").status == 200)
    return api


def _wait_for_port(process: StartedProcess, log: Path) -> int:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(POLL_SECONDS)
    return int(found[1])
