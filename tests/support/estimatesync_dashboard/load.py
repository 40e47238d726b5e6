"""A small load with something of everything: syncs in a row and at once, changes, failures, a webhook that is away."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
from estimatesync_cluster.cluster import Cluster
from estimatesync_cluster.product_processes import Product, ProductSettings, running_product
from sample_attic_tech import RunningSample, SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import Receiver, running_receiver
from sample_attic_tech.server import Response

API_KEY: Final = "dashboard-key-0123456789abcdef"
_RECORDS: Final = 1609
_PAUSE_SECONDS: Final = 12.0
_PAGE_SECONDS: Final = 0.25
_BUSY: Final = Response(status=503, body=b"busy")
_GONE: Final = Response(status=410, body=b"Webhook not found.")


class Load:
    """One product, and what happens to it."""

    def __init__(self, product: Product, sample: RunningSample, receiver: Receiver, password: str) -> None:
        """Begin with nothing."""
        self.product = product
        self._sample = sample
        self._receiver = receiver
        self._password = password
        self._asked = 0

    def run(self, *, minutes: float) -> None:
        """Let one thing after another happen until the time is over."""
        happenings = self._iterate_happenings()
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            next(happenings)()
            time.sleep(_PAUSE_SECONDS)

    def _iterate_happenings(self) -> Iterator[Callable[[], None]]:
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
        self._send("GET", "/api/automations/estimates/syncs/nobody")

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
