"""The product under a small load, scraped by a real Prometheus of this machine, whose data go with it.

The load has something of everything: syncs in a row and at once, changes, failures, a webhook that is unavailable.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import msgspec
from estimatesync_cluster.cluster import Cluster
from estimatesync_cluster.guarded_process import guarded
from estimatesync_cluster.product_processes import Product, ProductSettings, choose_port, running_product
from estimatesync_cluster.programs import PROMETHEUS, find_go_tool
from estimatesync_cluster.terminal import report
from sample_attic_tech import RunningSample, SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import Receiver, running_receiver
from sample_attic_tech.server import Response

API_KEY: Final = "dashboard-key-0123456789abcdef"
_RECORDS: Final = 1609
_PAUSE_SECONDS: Final = 12.0
_PAGE_SECONDS: Final = 0.25
_BUSY: Final = Response(status=503, body=b"busy")
_GONE: Final = Response(status=410, body=b"Webhook not found.")

SCRAPE_SECONDS: Final = 5
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 10.0


class Load:
    """One product, and what happens to it."""

    def __init__(self, product: Product, sample: RunningSample, receiver: Receiver, password: str) -> None:
        self.product = product
        self._sample = sample
        self._receiver = receiver
        self._password = password
        self._asked = 0

    def run(self, *, minutes: float) -> None:
        """Let one thing after another happen until the time is over."""
        actions = self._iterate_actions()
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            next(actions)()
            time.sleep(_PAUSE_SECONDS)

    def _iterate_actions(self) -> Iterator[Callable[[], None]]:
        while True:
            yield from (
                self._ask,
                self._change_and_ask,
                self._ask_for_many,
                self._ask_while_the_webhook_is_busy,
                self._ask_with_a_wrong_password,
                self._ask_and_cancel,
                self._ask_while_the_webhook_is_gone,
                self._ask_wrongly,
            )

    def _ask(self) -> None:
        """Ask for other days each time, so that no request joins a sync at work."""
        self._asked += 1
        first = datetime.now(UTC).date() - timedelta(days=45 + self._asked)
        self._post({"startDate": first.isoformat()})

    def _change_and_ask(self) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for record in self._sample.store.read_all()[:: 1 + self._asked]:
            self._sample.store.update(record["id"], {"name": f"Estimate {self._asked}", "updatedAt": now})
        self._ask()

    def _ask_for_many(self) -> None:
        for _ in range(4):
            self._ask()

    def _ask_while_the_webhook_is_busy(self) -> None:
        self._receiver.answers += [_BUSY, _BUSY]
        self._ask()

    def _ask_while_the_webhook_is_gone(self) -> None:
        self._receiver.answers += [_GONE]
        self._ask()

    def _ask_with_a_wrong_password(self) -> None:
        self.product.write_credentials(password="not-the-password")  # noqa: S106 - that is the point
        self._ask()
        time.sleep(_PAUSE_SECONDS)
        self.product.write_credentials(password=self._password)

    def _ask_and_cancel(self) -> None:
        name = self._post({"startDate": "2025-01-01"})
        self._send("POST", f"/api/automations/estimates/syncs/{name}/cancel")

    def _ask_wrongly(self) -> None:
        self._send("POST", "/sync-estimates", body={"startDate": "yesterday"})
        self._send("GET", "/api/automations/estimates/syncs/unknown")

    def _post(self, body: dict[str, str]) -> str:
        return str(self._send("POST", "/api/automations/estimates/sync-external", body=body).get("sync_id", ""))

    def _send(self, method: str, path: str, *, body: dict[str, str] | None = None) -> dict[str, object]:
        with suppress(httpx.TransportError):
            url, headers = f"{self.product.api_url}{path}", {"X-API-KEY": API_KEY}
            answer = httpx.request(method, url, headers=headers, json=body, trust_env=False, timeout=30)
            return dict(json.loads(answer.content))
        return {}


@contextmanager
def running_load(cluster: Cluster, *, namespace: str, database_url: str, directory: Path) -> Iterator[Load]:
    """Run the product with a sample source and a webhook."""
    config = SampleConfig(records=build_records(_RECORDS, 7, datetime.now(UTC)), page_delay_seconds=_PAGE_SECONDS)
    with running_sample(config) as sample, running_receiver() as receiver:
        settings = ProductSettings(
            source_url=sample.url,
            source_email=config.email,
            source_password=config.password,
            database_url=database_url,
            api_key=API_KEY,
            callback_url=f"{receiver.url}/webhook",
        )
        with running_product(cluster, namespace=namespace, settings=settings, state_dir=directory) as product:
            yield Load(product, sample, receiver, config.password)


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a graph: labels, and pairs of a Unix time and a value."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


class Prometheus:
    """Asks a server."""

    def __init__(self, url: str) -> None:
        self._url = url

    def fetch_range(self, expression: str, *, start: datetime, end: datetime, step: int) -> tuple[Series, ...]:
        """Ask for the values between two aware instants, every `step` seconds.

        Raises:
            ValueError: Prometheus does not understand the expression; the message is its own.
        """
        parameters: dict[str, str | float] = {"query": expression, "step": step}
        parameters |= {"start": start.timestamp(), "end": end.timestamp()}
        answer = httpx.get(f"{self._url}/api/v1/query_range", params=parameters, trust_env=False, timeout=30).json()
        if answer["status"] != "success":
            raise ValueError(f"{expression}: {answer['error']}")
        return tuple(
            Series(labels=found["metric"], points=tuple((moment, float(value)) for moment, value in found["values"]))
            for found in answer["data"]["result"]
        )

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self._url}/-/ready", trust_env=False, timeout=5).is_success
        except httpx.TransportError:
            return False


@contextmanager
def running_prometheus(targets: Mapping[str, str], *, namespace: str, directory: Path) -> Iterator[Prometheus]:
    """Run a server that scrapes the targets, an address for each job, with the label that a cluster's would set.

    Raises:
        ComponentError: It does not start; the end of its log is in the message.
    """
    program = find_go_tool(PROMETHEUS, environ=os.environ, report=report)
    address = f"127.0.0.1:{choose_port()}"
    (directory / "prometheus.json").write_bytes(msgspec.json.encode(_build_configuration(targets, namespace)))
    places = (f"--config.file={directory / 'prometheus.json'}", f"--storage.tsdb.path={directory / 'data'}")
    command = [str(program), *places, f"--web.listen-address={address}"]
    log = directory / "prometheus.log"
    with guarded("Prometheus", command, log=log, grace=_STOP_SECONDS, environment=None) as process:
        prometheus = Prometheus(f"http://{address}")
        process.wait_until(prometheus.is_ready, seconds=_START_SECONDS)
        yield prometheus


def _build_configuration(targets: Mapping[str, str], namespace: str) -> dict[str, object]:
    """JSON is YAML, too."""
    return {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s"},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address], "labels": {"namespace": namespace}}]}
            for job, address in targets.items()
        ],
    }
