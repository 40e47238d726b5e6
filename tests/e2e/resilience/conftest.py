"""A world for each resilience test: the product's operator as a real process behind a proxy that sees all it does.

The control plane is real and our own, as these tests kill the operator, the pods' processes and the API server.
"""

import json
import os
import secrets
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml
from estimatesync_cluster.cluster import Cluster, running_cluster
from estimatesync_cluster.control_plane import create_admin_client
from estimatesync_cluster.credentials import build_cluster_entry, build_kubeconfig
from estimatesync_cluster.fault_proxy import FaultProxy, ProxiedRequest, running_fault_proxy
from estimatesync_cluster.guarded_process import GuardedProcess, guarded
from estimatesync_cluster.layout import write_private
from estimatesync_cluster.product_processes import Product, ProductSettings
from psycopg import sql
from sample_attic_tech import RunningSample, SampleConfig, build_records, running_sample
from sample_attic_tech.server import Delay, Request

RECORDS = 20
PASSWORD = "made-up-password"
WAIT_SECONDS = 120.0
GRACE_SECONDS = 60.0
POLL_SECONDS = 0.05
SYNCS = "/apis/botzilla.io/v1/namespaces/{}/estimatesyncs"
JOBS = "/apis/batch/v1/namespaces/{}/jobs"
PODS = "/api/v1/namespaces/{}/pods"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/{}/leases/estimatesync-operator"
EVENTS = "/api/v1/namespaces/{}/events"


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What must be true of a sync that is over, whatever died in between.

    Attributes:
        phase: its last phase, which an event of the same name reports.
        jobs: how many jobs are left; one was created in any case.
        pods: how many pods there may be.
        rows: estimates in the database.
        new: how many of them this sync added; None when other syncs ran as well.
        may_lose: how many of its events may be missing; none may be there twice.
        may_repeat: how many callbacks there may be besides the first.
    """

    phase: str = "Succeeded"
    jobs: int = 1
    pods: int = 1
    rows: int = RECORDS
    new: int | None = RECORDS
    may_lose: int = 0
    may_repeat: int = 0

    @property
    def events(self) -> tuple[str, ...]:
        return ("JobCreated", self.phase, "CallbackDelivered")

    @property
    def conditions(self) -> dict[str, str]:
        good = self.phase == "Succeeded"
        return {"Finished": "True", "Complete": str(good), "Failed": str(not good), "CallbackDelivered": "True"}


class Operator:
    """One operator process."""

    def __init__(self, process: GuardedProcess, liveness: str) -> None:
        self.process = process
        self.liveness = liveness

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self.process.stop(grace=0)

    def stop(self) -> None:
        """SIGTERM; returns when it has ended."""
        self.process.stop(grace=GRACE_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the operator itself, which its guard does not see."""
        (child,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        os.kill(int(child), number)

    def read_state(self) -> str:
        """What it says of itself where a kubelet asks."""
        state: str = httpx.get(self.liveness, trust_env=False, timeout=5).json()["watch"]
        return state

    def is_healthy(self) -> bool:
        """Ask as a kubelet would."""
        try:
            return httpx.get(self.liveness, trust_env=False, timeout=5).status_code == 200
        except httpx.TransportError:
            return False


class World:
    """A namespace in which the product is installed. Its operators come and go; all they do passes the proxy."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        product: Product,
        proxy: FaultProxy,
        sample: RunningSample,
        client: httpx.Client,
        state_dir: Path,
        stack: ExitStack,
    ) -> None:
        self.cluster = cluster
        self.product = product
        self.proxy = proxy
        self.sample = sample
        self.client = client
        self.namespace = product.namespace
        self.operators: list[Operator] = []
        self.operator_log = state_dir / "operator.log"
        self._state_dir = state_dir
        self._stack = stack

    def launch_operator(self, **settings: str) -> Operator:
        """Start an operator process without waiting for it."""
        kubeconfig = self._write_kubeconfig()
        liveness = f"http://127.0.0.1:{choose_port()}/healthz"
        command = [str(Path(sys.executable).with_name("kopf")), "run", "--module=estimatesync_operator.main"]
        command += [f"--namespace={self.namespace}", f"--liveness={liveness}", "--log-format=full"]
        bare = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        identity = {"KUBECONFIG": str(kubeconfig), "NAMESPACE": self.namespace}
        # Any free port for the metrics: there may be two operators.
        environment = {**bare, **identity, **self.product.build_operator_settings(), "METRICS_PORT": "0", **settings}
        process = self._stack.enter_context(
            guarded("operator", command, log=self.operator_log, environment=environment)
        )
        operator = Operator(process, liveness)
        self.operators.append(operator)
        return operator

    def start_operator(self, **settings: str) -> Operator:
        """Start an operator and wait until it is alive."""
        operator = self.launch_operator(**settings)
        self.wait_until("a live operator", operator.is_healthy)
        return operator

    def start_two(self) -> tuple[Operator, Operator]:
        """Start two operators: the first one leads, the second one stands by."""
        first = self.start_operator(POD_NAME="operator-a")
        self.wait_until("a leader", lambda: self.read_leader() == "operator-a")
        return first, self.start_operator(POD_NAME="operator-b")

    def read_leader(self) -> str:
        """Name the pod that leads; empty while none does."""
        answer = self.client.get(LEASE.format(self.namespace))
        holder = answer.json()["spec"].get("holderIdentity", "") if answer.status_code == 200 else ""
        return str(holder).partition("/")[2].rpartition("_")[0]

    def kill_operators(self) -> None:
        """SIGKILL every operator there is."""
        while self.operators:
            self.operators.pop().kill()

    def create_sync(self, name: str, **spec: Any) -> None:
        self.create_object({"name": name}, spec)

    def create_object(self, metadata: dict[str, Any], spec: dict[str, Any] | None = None) -> None:
        body = {"apiVersion": "botzilla.io/v1", "kind": "EstimateSync", "metadata": metadata, "spec": spec or {}}
        self.client.post(SYNCS.format(self.namespace), json=body).raise_for_status()

    def patch_sync(self, name: str, patch: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}
        url = f"{SYNCS.format(self.namespace)}/{name}"
        self.client.patch(url, content=json.dumps(patch), headers=headers).raise_for_status()

    def delete_sync(self, name: str) -> bool:
        """Delete it as kubectl does; return whether it is gone at once."""
        url = f"{SYNCS.format(self.namespace)}/{name}"
        self.client.delete(url)
        return self.client.get(url).status_code == 404

    def read_sync(self, name: str) -> dict[str, Any]:
        """Read the object as it is stored; empty when there is none."""
        answer = self.client.get(f"{SYNCS.format(self.namespace)}/{name}")
        found: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
        return found

    def read_status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.read_sync(name).get("status", {})
        return status

    def read_list(self, path: str, selector: str = "") -> list[dict[str, Any]]:
        answer = self.client.get(path.format(self.namespace), params={"labelSelector": selector} if selector else {})
        items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
        return items

    def count_events(self, uid: str) -> Counter[str]:
        """Count the events of a sync, by reason; an event that counts twice is two."""
        counts: Counter[str] = Counter()
        for event in self.read_list(EVENTS):
            if event["involvedObject"].get("uid") == uid:
                counts[event["reason"]] += event.get("count") or 1
        return counts

    def list_jobs(self, name: str) -> list[dict[str, Any]]:
        return self.read_list(JOBS, f"botzilla.io/sync={name}")

    def list_creations(self, name: str) -> list[ProxiedRequest]:
        """Every creation of a job for this sync that the API server has carried out, ever."""
        return [
            request
            for request in list(self.proxy.requests)
            if request.method == "POST"
            and request.path.endswith("/jobs")
            # What is only checked at the start is not stored.
            and "dryRun" not in request.query
            and request.is_done
            and name in read_labels(request)
        ]

    def list_deliveries(self, name: str) -> list[ProxiedRequest]:
        """Every callback of this sync that has arrived."""
        return [
            request
            for request in list(self.proxy.requests)
            if request.is_callback and request.is_done and json.loads(request.body)["sync_id"] == name
        ]

    def is_over(self, name: str) -> bool:
        """Return whether nothing is left to do: the phase is final and so is the callback."""
        status = self.read_status(name)
        ended = status.get("phase") in {"Succeeded", "Failed", "Cancelled"}
        return ended and status.get("callback", {}).get("state") in {"Delivered", "Failed", "Disabled"}

    def wait_over(self, name: str, *, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        self.wait_until(f"the end of {name}", lambda: self.is_over(name), seconds=seconds)
        return self.read_sync(name)

    def wait_until(self, what: str, condition: Callable[[], object], *, seconds: float = WAIT_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"never came within {seconds:.0f} s: {what}\n{self.describe()}")
            time.sleep(POLL_SECONDS)

    def describe(self) -> str:
        """Say all that is known, for a failure's message."""
        kinds = "estimatesyncs,jobs,pods,events"
        kubectl = ("get", kinds, f"--namespace={self.namespace}", "--output=wide")
        listing = self.cluster.kubectl(*kubectl, check=False).stdout
        log = self.operator_log.read_text() if self.operator_log.exists() else ""
        return f"{listing}\n{log[-6000:]}"

    def forget(self) -> None:
        """Start afresh: no rows, no requests remembered."""
        self.sample.requests.clear()
        with psycopg.connect(self.product.settings.database_url) as connection:
            if connection.execute("SELECT to_regclass(%s)", [f"{self._schema}.estimate"]).fetchone() != (None,):
                connection.execute(sql.SQL("DELETE FROM {}.estimate").format(sql.Identifier(self._schema)))

    def count_estimates(self) -> int:
        with psycopg.connect(self.product.settings.database_url) as connection:
            if connection.execute("SELECT to_regclass(%s)", [f"{self._schema}.estimate"]).fetchone() == (None,):
                return 0
            query = sql.SQL("SELECT count(*) FROM {}.estimate").format(sql.Identifier(self._schema))
            row = connection.execute(query).fetchone()
            return int(row[0]) if row else 0

    def find_faults(self, name: str, promise: Promise) -> list[str]:
        """Compare a sync with what is promised; empty when every promise was kept."""
        if not self.is_over(name):
            return [f"it is not over: {self.read_status(name)}"]
        sync = self.read_sync(name)
        return [
            *self._find_job_faults(sync, promise),
            *self._find_result_faults(sync, promise),
            *self._find_callback_faults(sync, promise),
            *self._find_event_faults(sync, promise),
        ]

    def list_lasting_faults(self, name: str, promise: Promise) -> list[str]:
        """Events follow their status by a moment, and garbage is collected in time: what is still wrong then, is."""
        deadline = time.monotonic() + GRACE_SECONDS
        while (faults := self.find_faults(name, promise)) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return faults

    def _find_job_faults(self, sync: dict[str, Any], promise: Promise) -> Iterator[str]:
        name, uid = sync["metadata"]["name"], sync["metadata"]["uid"]
        jobs, creations = self.list_jobs(name), self.list_creations(name)
        if (len(creations), len(jobs)) != (1, promise.jobs):
            yield f"{len(creations)} jobs were created, {len(jobs)} are there"
        if any(job["metadata"]["ownerReferences"][0]["uid"] != uid for job in jobs):
            yield "the job is not owned by the sync"
        if len(pods := self.read_list(PODS, f"botzilla.io/sync={name}")) > promise.pods:
            yield f"{len(pods)} pods are there"

    def _find_result_faults(self, sync: dict[str, Any], promise: Promise) -> Iterator[str]:
        status, rows = sync["status"], self.count_estimates()
        results = status.get("results", {})
        processed, new = results.get("totalProcessed"), results.get("newEstimates")
        if (status["phase"], processed, rows) != (promise.phase, promise.rows, promise.rows):
            yield f"ended {status['phase']}, {status.get('message')}: {results} and {rows} rows"
        if promise.new not in {None, new}:
            yield f"{new} estimates are called new"

    def _find_callback_faults(self, sync: dict[str, Any], promise: Promise) -> Iterator[str]:
        deliveries, callback = self.list_deliveries(sync["metadata"]["name"]), sync["status"]["callback"]
        if not 1 <= len(deliveries) <= 1 + promise.may_repeat:
            yield f"the callback arrived {len(deliveries)} times"
        if {delivery.headers.get("webhook-id") for delivery in deliveries} != {callback.get("id")}:
            yield "a callback has another id than the status"
        if len({delivery.body for delivery in deliveries}) != 1:
            yield "the callbacks differ"
        processed = {json.loads(delivery.body)["results"]["total_processed"] for delivery in deliveries}
        if (callback["state"], processed) != ("Delivered", {promise.rows}):
            yield f"the callback is {callback['state']} and reported {processed} estimates"

    def _find_event_faults(self, sync: dict[str, Any], promise: Promise) -> Iterator[str]:
        metadata, events = sync["metadata"], self.count_events(sync["metadata"]["uid"])
        if len(lost := [reason for reason in promise.events if not events[reason]]) > promise.may_lose:
            yield f"events are missing: {lost}"
        if twice := [reason for reason, count in events.items() if count > 1]:
            yield f"events were repeated: {twice}"
        conditions = {each["type"]: each for each in sync["status"]["conditions"]}
        if any(conditions[kind]["status"] != status for kind, status in promise.conditions.items()):
            yield f"the conditions are {conditions}"
        if any(each["observedGeneration"] != metadata["generation"] for each in conditions.values()):
            yield "a condition speaks of another generation"
        if metadata.get("finalizers"):
            yield f"the sync has finalizers: {metadata['finalizers']}"

    def slow_down(self, seconds: float, *, until: Callable[[], object] = lambda: True, before: float = 0.0) -> None:
        """Make every page take its time, so that a test can act in the middle of a sync.

        A page takes `before` instead while what the test waits for, `until`, has not happened yet.
        """

        def delay(request: Request) -> Delay | None:
            if not request.path.endswith("/job-estimates"):
                return None
            return Delay(seconds=seconds if until() else before)

        self.sample.on_request = delay

    @property
    def _schema(self) -> str:
        return self.product.settings.operator["DATABASE_SCHEMA"]

    def _write_kubeconfig(self) -> Path:
        """The operator's own service account, with the proxy in the API server's place."""
        path = self._state_dir / "operator.kubeconfig"
        if not path.exists():
            account = "estimatesync-operator"
            self.cluster.create_service_account_kubeconfig(path, namespace=self.namespace, name=account)
            user = yaml.safe_load(path.read_text())["users"][0]["user"]
            entry = build_cluster_entry(server=self.proxy.url, authority=self.proxy.authority)
            write_private(path, build_kubeconfig(cluster=entry, user=user, namespace=self.namespace))
        return path


@pytest.fixture(scope="session")
def cluster(cluster: Cluster) -> Iterator[Cluster]:
    """The session's cluster if it is ours, else one of our own."""
    if cluster.control_plane:
        yield cluster
    else:
        with running_cluster() as own:
            yield own


OpenWorld = Callable[..., AbstractContextManager[World]]


@pytest.fixture
def open_world(cluster: Cluster, database_url: str, tmp_path: Path) -> OpenWorld:
    """Open worlds, as many as a test needs, with settings for their operators; each has its own database schema."""

    @contextmanager
    def opened(where: Cluster = cluster, **operator: str) -> Iterator[World]:
        with ExitStack() as stack:
            yield _build_world(stack, where, database_url, tmp_path, operator)

    return opened


@pytest.fixture
def world(open_world: OpenWorld) -> Iterator[World]:
    """One world, without an operator yet."""
    with open_world() as opened:
        yield opened


def _build_world(
    stack: ExitStack, cluster: Cluster, database_url: str, directory: Path, operator: dict[str, str]
) -> World:
    plane, layout = cluster.control_plane, cluster.layout
    assert plane is not None
    assert layout is not None
    name = f"world-{secrets.token_hex(4)}"
    state_dir = directory / name
    state_dir.mkdir()
    client = stack.enter_context(create_admin_client(layout, plane.server))
    client.timeout = httpx.Timeout(30)
    proxy = stack.enter_context(running_fault_proxy(plane.server, layout.certificate("ca").read_bytes()))
    records = build_records(RECORDS, 7, datetime.now(UTC))
    sample = stack.enter_context(running_sample(SampleConfig(records=records, password=PASSWORD)))
    settings = ProductSettings(
        source_url=sample.url,
        source_email=SampleConfig().email,
        source_password=PASSWORD,
        database_url=database_url,
        api_key="made-up-key-for-tests-0123456789",
        callback_url=f"{proxy.webhook_url}/made-up-path",
        operator={"DATABASE_SCHEMA": name.replace("-", "_"), **operator},
    )
    cluster.kubectl("create", "namespace", name)
    stack.callback(cluster.kubectl, "delete", "namespace", name, "--wait=false")
    product = Product(cluster=cluster, namespace=name, settings=settings, state_dir=state_dir)
    product.install()
    return World(
        cluster=cluster, product=product, proxy=proxy, sample=sample, client=client, state_dir=state_dir, stack=stack
    )


def choose_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def read_labels(request: ProxiedRequest) -> set[str]:
    labels: dict[str, str] = json.loads(request.body)["metadata"].get("labels", {})
    return set(labels.values())


@pytest.fixture(scope="session")
def promise() -> type[Promise]:
    """Say what must be true of a sync in the end."""
    return Promise


@pytest.fixture(scope="session")
def kill_pods() -> Callable[[str], int]:
    """SIGKILL the sync program of every pod of a sync; return how many there were."""

    def kill(name: str) -> int:
        found = [
            int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and runs_sync(entry, name)
        ]
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return len(found)

    return kill


def runs_sync(process: Path, name: str) -> bool:
    try:
        command = (process / "cmdline").read_bytes().split(b"\0")
        environment = (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return command[1:3] == [b"-m", b"estimatesync_job"] and f"SYNC_ID={name}".encode() in environment
