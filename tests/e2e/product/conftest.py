"""The whole product around each test: sample source, PostgreSQL, API and operator on a real API server, webhook."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import psycopg
import pytest
from estimatesync_cluster.audit import ApiCall, read_api_calls
from estimatesync_cluster.cluster import Cluster
from estimatesync_cluster.errors import CommandError
from estimatesync_cluster.product_processes import CRD, Product, ProductSettings, running_product
from sample_attic_tech import RunningSample, SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import Receiver, running_receiver

API_KEY = "made-up-key-for-tests-0123456789"
PASSWORD = "made-up-password-that-must-not-leak"
WEBHOOK_PATH = "/made-up-webhook-path-that-must-not-leak"
RECORDS = 230
WAIT_SECONDS = 90.0


class Scenario:
    """What a test can do with the product, and see of it."""

    def __init__(self, product: Product, sample: RunningSample, receiver: Receiver, database_url: str) -> None:
        self.product = product
        self.sample = sample
        self.receiver = receiver
        self.database_url = database_url
        self.secrets = (PASSWORD, WEBHOOK_PATH, API_KEY, database_url)

    def post(self, *, path: str = "/api/automations/estimates/sync-external", **options: Any) -> httpx.Response:
        headers = {"X-API-KEY": API_KEY, **options.pop("headers", {})}
        url = f"{self.product.api_url}{path}"
        return httpx.post(url, headers=headers, trust_env=False, timeout=WAIT_SECONDS, **options)

    def get_sync(self, name: str) -> dict[str, Any]:
        sync = self.product.cluster.api.find("EstimateSync", name, namespace=self.product.namespace)
        assert sync is not None, f"there is no sync {name}"
        return dict(sync)

    def get_phase(self, name: str) -> str:
        return str(self.get_sync(name).get("status", {}).get("phase", ""))

    def wait_until(self, what: str, condition: Callable[[], object]) -> None:
        start = time.monotonic()
        while not condition():
            waited = time.monotonic() - start
            if waited > WAIT_SECONDS:
                log = self.product.operator_log.read_text()[-4000:]
                listing = self.product.kubectl("get", "estimatesyncs,jobs,pods,events", "--output=wide")
                raise AssertionError(f"never came: {what}\n{listing}\n{log}")
            # Less often what takes long.
            time.sleep(min(0.1 + waited / 20, 0.3))

    def apply(self, name: str, **spec: Any) -> None:
        """Ask for a sync as `kubectl apply --server-side` does."""
        self.product.cluster.api.apply([build_sync(name, spec)], namespace=self.product.namespace)

    def try_apply(self, name: str, **spec: Any) -> bool:
        try:
            self.apply(name, **spec)
        except CommandError:
            return False
        return True

    def create(self, manifest: dict[str, Any], **options: str) -> dict[str, Any]:
        """Create an object in the product's namespace."""
        return dict(self.product.cluster.api.create(manifest, namespace=self.product.namespace, **options))

    def patch(self, kind: str, name: str, patch: Any) -> None:
        """Change an object of the product's namespace; `any/status` as its name, its status."""
        self.product.cluster.api.patch(kind, name, patch, namespace=self.product.namespace)

    def delete(self, kind: str, name: str) -> None:
        """Delete an object of the product's namespace."""
        self.product.cluster.api.delete(kind, name, namespace=self.product.namespace)

    def delete_all(self, kind: str, **options: str) -> None:
        """Delete all objects of a kind in the product's namespace."""
        self.product.cluster.api.delete_all(kind, namespace=self.product.namespace, **options)

    def wait_delivered(self, name: str) -> None:
        self.wait_until(f"the delivery of {name}", lambda: has_condition(self.get_sync(name), "CallbackDelivered"))

    def wait_complete_job(self) -> None:
        """Wait for the only job's end, whoever looks on."""
        self.wait_until(
            "the job's end", lambda: [has_condition(job, "Complete") for job in self.find_all("Job")] == [True]
        )

    def wait_reason(self, name: str, reason: str) -> dict[str, Any]:
        self.wait_until(f"{reason} of {name}", lambda: self.get_sync(name).get("status", {}).get("reason") == reason)
        return self.get_sync(name)

    def wait_finished(self, name: str) -> dict[str, Any]:
        self.wait_until(f"the end of {name}", lambda: self.get_phase(name) in {"Succeeded", "Failed", "Cancelled"})
        return self.get_sync(name)

    def wait_callback(self, name: str) -> dict[str, Any]:
        self.wait_until(
            f"the callback of {name}",
            lambda: any(json.loads(delivery.body)["sync_id"] == name for delivery in self.receiver.deliveries),
        )
        bodies = [json.loads(delivery.body) for delivery in self.receiver.deliveries]
        (body,) = [body for body in bodies if body["sync_id"] == name]
        return dict(body)

    def count_estimates(self) -> int:
        with psycopg.connect(self.database_url) as connection:
            if connection.execute("SELECT to_regclass('botzilla.estimate')").fetchone() == (None,):
                return 0
            row = connection.execute("SELECT count(*) FROM botzilla.estimate").fetchone()
            return int(row[0]) if row else 0

    def read_operator_calls(self) -> tuple[ApiCall, ...]:
        layout = self.product.cluster.layout
        assert layout is not None, "this needs a cluster of our own"
        user = f"system:serviceaccount:{self.product.namespace}:estimatesync-operator"
        return read_api_calls(layout.log("audit"), user=user)

    def wait_running_pod(self) -> None:
        self.wait_until(
            "a running pod", lambda: any(pod["status"].get("phase") == "Running" for pod in self.find_all("Pod"))
        )

    def count_jobs(self) -> int:
        return len(self.find_all("Job"))

    def find_all(self, kind: str, **selectors: str) -> list[dict[str, Any]]:
        """All objects of a kind in the product's namespace."""
        return list(self.product.cluster.api.find_all(kind, namespace=self.product.namespace, **selectors))

    def kill_runs(self, name: str) -> None:
        """Kill the sync program at work for this sync, as soon as it is there; not what runs it."""
        self.wait_until(f"a process of {name}", lambda: self.find_runs(name))
        for pid in self.find_runs(name):
            os.kill(pid, signal.SIGKILL)

    def find_runs(self, name: str) -> list[int]:
        """Process ids of the sync program at work for this sync; not of what runs it, with the same environment."""
        processes = (path for path in Path("/proc").iterdir() if path.name.isdigit())
        return [
            int(process.name)
            for process in processes
            if read_words(process / "cmdline")[1:3] == [b"-m", b"estimatesync_job"]
            and f"SYNC_ID={name}".encode() in read_words(process / "environ")
        ]

    @contextmanager
    def pages_held(self) -> Iterator[None]:
        """Answer no page within the block: a sync that has begun is at work, however slow this machine is."""
        end = Event()

        def hold(request: Any) -> None:
            if request.path == "/api/job-estimates":
                end.wait(WAIT_SECONDS)

        self.sample.on_request = hold
        try:
            yield
        finally:
            end.set()

    def slow_down(self, seconds: float) -> None:
        """Make every page take its time."""

        def delay(request: Any) -> None:
            if request.path == "/api/job-estimates":
                time.sleep(seconds)

        self.sample.on_request = delay


@pytest.fixture
def run_scenario(cluster: Cluster, restricted_namespace: str, database_url: str, tmp_path: Path) -> Callable[..., Any]:
    """Run the product with settings of the test's own."""

    @contextmanager
    def run(*, with_api: bool = True, api: Mapping[str, str] | None = None, **operator: str) -> Iterator[Scenario]:
        records = build_records(RECORDS, 7, datetime.now(UTC))
        with running_sample(SampleConfig(records=records, password=PASSWORD)) as sample, running_receiver() as receiver:
            settings = ProductSettings(
                source_url=sample.url,
                source_email=SampleConfig().email,
                source_password=PASSWORD,
                database_url=database_url,
                api_key=API_KEY,
                callback_url=f"{receiver.url}{WEBHOOK_PATH}",
                operator=operator,
                api=api or {},
            )
            with running_product(
                cluster, namespace=restricted_namespace, settings=settings, state_dir=tmp_path, with_api=with_api
            ) as product:
                yield Scenario(product, sample, receiver, database_url)

    return run


@pytest.fixture
def scenario(run_scenario: Callable[..., Any]) -> Iterator[Scenario]:
    with run_scenario() as running:
        yield running


@pytest.fixture
def installed(cluster: Cluster, namespace: str) -> Callable[[str, dict[str, Any]], str]:
    """Write an EstimateSync, with nothing but its definition in the cluster; returns why it is refused, or nothing."""
    cluster.define(CRD)

    def apply(name: str, spec: dict[str, Any]) -> str:
        stored = cluster.api.find("EstimateSync", name, namespace=namespace)
        write = cluster.api.replace if stored else cluster.api.create
        try:
            # As kubectl asks.
            write({**(stored or build_sync(name, spec)), "spec": spec}, namespace=namespace, fieldValidation="Strict")
        except CommandError as refusal:
            return str(refusal)
        return ""

    return apply


def build_sync(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "botzilla.io/v1", "kind": "EstimateSync", "metadata": {"name": name}, "spec": spec}


def has_condition(thing: dict[str, Any], name: str) -> bool:
    conditions = thing.get("status", {}).get("conditions", [])
    return any((each["type"], each["status"]) == (name, "True") for each in conditions)


def read_words(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\0")
    except OSError:
        return []
