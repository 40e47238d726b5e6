"""Runs the product on a cluster from this checkout: API and operator as local processes, each as its service account.

The end-to-end tests and the cluster demo use it; a real installation is the chart's business. The API server, the jobs
and their pods are real, and the accounts have the very rights that the chart gives them; only the two long-running
parts are outside the cluster.
"""

import os
import socket
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from estimatesync_cluster.cluster import Cluster
from estimatesync_cluster.control_plane import LocalNode
from estimatesync_cluster.credentials import LOOPBACK
from estimatesync_cluster.guarded_process import GuardedProcess, guarded, start_on_free_ports

CHART_FILES = Path(__file__).parents[3] / "charts" / "estimatesync" / "files"
PARTS = ("api", "operator")
RBAC_GROUP = "rbac.authorization.k8s.io"
Rule = dict[str, list[str]]
Right = tuple[str, str]
"""Verb and resource, as an audit log has them: `update`, `estimatesyncs/status`."""

ROOT = Path(__file__).parents[3]
CRD = ROOT / "charts" / "estimatesync" / "files" / "crd.yaml"
SYNC_IMAGE = "estimatesync-sync:dev"
CREDENTIALS_SECRET = "estimatesync-credentials"  # noqa: S105  the Secret's name
START_SECONDS = 60.0
STOP_SECONDS = 10.0


def read_rules(part: str) -> list[Rule]:
    """Read what the chart lets a part do, by default."""
    rules: list[Rule] = yaml.safe_load((CHART_FILES / f"{part}-rules.yaml").read_text())
    return rules


def build_rights(rules: Iterable[Rule]) -> frozenset[Right]:
    """Build the single rights that RBAC rules grant."""
    return frozenset((verb, resource) for rule in rules for verb in rule["verbs"] for resource in rule["resources"])


def build_accounts() -> list[dict[str, Any]]:
    """Build the three service accounts, bound in the namespace that they are applied to."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount"}
    sync = {**account, "metadata": {"name": "estimatesync-sync"}, "automountServiceAccountToken": False}
    bound = [each for part in PARTS for each in _build_bound_account(f"estimatesync-{part}", read_rules(part))]
    return [sync, *bound]


def _build_bound_account(name: str, rules: list[Rule]) -> list[dict[str, Any]]:
    metadata = {"name": name}
    role = {"apiVersion": f"{RBAC_GROUP}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    binding = {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": "Role", "name": name},
        # Without a namespace, a service account of the binding's own namespace is meant.
        "subjects": [{"kind": "ServiceAccount", "name": name}],
    }
    return [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}, role, binding]


@dataclass(frozen=True, kw_only=True)
class ProductSettings:
    """What a deployment needs to know."""

    source_url: str
    source_email: str
    source_password: str = field(repr=False)
    database_url: str = field(repr=False)
    api_key: str = field(repr=False)
    callback_url: str | None = field(default=None, repr=False)
    operator: Mapping[str, str] = field(default_factory=dict)
    """Further settings of the operator."""
    api: Mapping[str, str] = field(default_factory=dict)
    """Further settings of the API."""


class Product:
    """The product at work in one namespace. The operator may be stopped and started again at any time."""

    def __init__(self, *, cluster: Cluster, namespace: str, settings: ProductSettings, state_dir: Path) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.settings = settings
        self.api_url = ""
        self.metrics_url = ""
        self._state_dir = state_dir
        self._api = ExitStack()
        self._operator = ExitStack()

    @property
    def operator_log(self) -> Path:
        """What every operator process of this product has printed."""
        return self._state_dir / "operator.log"

    @property
    def api_log(self) -> Path:
        """What the API has printed."""
        return self._state_dir / "api.log"

    @property
    def operator_pid(self) -> int:
        """Process id of the guard; the operator process is its child."""
        return self._operator_process.pid

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the product's namespace and return what it printed."""
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin).stdout

    def install(self) -> None:
        """Apply the CustomResourceDefinition, the rights and the credentials."""
        self.cluster.define(CRD)
        self.cluster.api.apply(build_accounts(), namespace=self.namespace)
        self.write_credentials(password=self.settings.source_password)

    def write_credentials(self, *, password: str) -> None:
        """Write the Secret that sync pods read."""
        values = {
            "ATTIC_TECH_EMAIL": self.settings.source_email,
            "ATTIC_TECH_PASSWORD": password,
            "DATABASE_URL": self.settings.database_url,
        }
        data = {name: b64encode(value.encode()).decode() for name, value in values.items()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": CREDENTIALS_SECRET}, "data": data}
        self.cluster.api.apply([secret], namespace=self.namespace)

    def start_operator(self) -> None:
        """Start an operator process and wait until it lives."""
        start_on_free_ports(self._start_operator, self._operator)

    def _start_operator(self, stack: ExitStack) -> None:
        liveness = f"http://{LOOPBACK}:{choose_port()}/healthz"
        self.metrics_url = f"http://{LOOPBACK}:{choose_port()}/metrics"
        command = ["kopf", "run", "--module=estimatesync_operator.main", f"--namespace={self.namespace}"]
        command += [f"--liveness={liveness}", "--log-format=json"]
        process = self._start(stack, "operator", command, self.operator_log, self.build_operator_settings())
        process.wait_until(lambda: _is_up(liveness), seconds=START_SECONDS)

    def stop_operator(self, *, grace: float = STOP_SECONDS) -> None:
        """Stop the operator; without grace, by SIGKILL."""
        if grace:
            self._operator.close()
        else:
            self._operator_process.stop(grace=0)
            self._operator.close()

    def start_api(self) -> None:
        """Start the API under gunicorn and wait until it is ready."""
        start_on_free_ports(self._start_api, self._api)

    def _start_api(self, stack: ExitStack) -> None:
        port = choose_port()
        self.api_url = f"http://{LOOPBACK}:{port}"
        settings = {"BIND": f"{LOOPBACK}:{port}", "API_KEYS": f"make:{self.settings.api_key}", **self.settings.api}
        command = ["gunicorn", "--config=python:estimatesync_api.gunicorn_conf"]
        process = self._start(stack, "api", command, self.api_log, settings)
        process.wait_until(lambda: _is_up(f"{self.api_url}/readyz"), seconds=START_SECONDS)

    def stop_api(self) -> None:
        """Stop the API."""
        self._api.close()

    def stop(self) -> None:
        self.stop_api()
        self._operator.close()

    def _start(
        self, stack: ExitStack, part: str, command: list[str], log: Path, settings: Mapping[str, str]
    ) -> GuardedProcess:
        program, *arguments = command
        installed = Path(sys.executable).with_name(program)
        environment = {**_build_bare_environment(), **self._build_identity(part), **settings}
        process = stack.enter_context(
            guarded(part, [str(installed), *arguments], log=log, grace=STOP_SECONDS, environment=environment)
        )
        if part == "operator":
            self._operator_process = process
        return process

    def _build_identity(self, part: str) -> dict[str, str]:
        kubeconfig = self.cluster.create_service_account_kubeconfig(
            self._state_dir / f"{part}.kubeconfig", namespace=self.namespace, name=f"estimatesync-{part}"
        )
        return {"KUBECONFIG": str(kubeconfig), "NAMESPACE": self.namespace}

    def build_operator_settings(self) -> dict[str, str]:
        """Build the operator's settings, but for its identity."""
        settings = {
            "SYNC_IMAGE": SYNC_IMAGE,
            "ATTIC_TECH_URL": self.settings.source_url,
            # The targets of tests and demos are on this machine.
            "CALLBACK_ALLOW_HTTP": "true",
            "CALLBACK_ALLOW_PRIVATE_TARGETS": "true",
            "PROGRESS_SECONDS": "1",
            "METRICS_PORT": self.metrics_url.rpartition(":")[2].partition("/")[0],
        }
        if self.settings.callback_url:
            settings["MAKE_SYNC_CALLBACK_WEBHOOK_URL"] = self.settings.callback_url
        if self.cluster.layout is not None:
            settings["SYNC_NODE_SELECTOR"] = LocalNode().labels[0]
        return {**settings, **self.settings.operator}


@contextmanager
def running_product(
    cluster: Cluster, *, namespace: str, settings: ProductSettings, state_dir: Path, with_api: bool = True
) -> Iterator[Product]:
    """Install and run the product for the time of the context; its objects stay in the namespace.

    Without its API, syncs are asked for with kubectl only.

    Raises:
        ComponentError: A part did not come up; the end of its log is in the message.
        CommandError: kubectl refused something.
    """
    product = Product(cluster=cluster, namespace=namespace, settings=settings, state_dir=state_dir)
    product.install()
    try:
        product.start_operator()
        if with_api:
            product.start_api()
        yield product
    finally:
        product.stop()


def _build_bare_environment() -> dict[str, str]:
    """Nothing of the caller's settings reaches the product by accident."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}


def choose_port() -> int:
    """Choose a port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_up(url: str) -> bool:
    try:
        # Without the certificates of authorities, which take longer to read than the answer.
        return httpx.get(url, trust_env=False, timeout=5, verify=False).is_success  # noqa: S501 - it is plain HTTP
    except httpx.TransportError:
        return False
