"""Each alert, provoked in the real product: its own metrics are scraped, and promtool evaluates the rules on them.

What is true in every sample is what the operator served; only time is stretched, since alerts wait for up to an hour.
Not part of `make test`, because promtool takes minutes to build: `make test-alerts`.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from estimatesync_cluster.cluster import Cluster
from estimatesync_cluster.product_processes import Product, ProductSettings, running_product
from estimatesync_cluster.programs import PROMTOOL, find_go_tool
from estimatesync_contract.names import SYNCS_PATH
from prometheus_client.parser import text_string_to_metric_families
from sample_attic_tech import SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import running_receiver
from sample_attic_tech.server import Response

CHART = Path(__file__).parents[3] / "charts" / "estimatesync"
PASSWORD = "made-up-password-for-alerts"
RECORDS = 230
WAIT_SECONDS = 90.0
# What a Prometheus puts on every sample of a target in a cluster; names are made up.
TARGET = {"job": "sync-operator-metrics", "pod": "sync-operator-0", "service": "sync-operator-metrics"}
FAILING = tuple(f"failing {number}" for number in range(5))
"""One sample after the other of an API that counts ever more errors."""
MINUTES = {"quiet": 10, "troubled": 80, **dict.fromkeys(FAILING, 6), "away": 20}
STALE_HOURS = 1
(GROUP,) = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]
ALERTS = {rule["alert"]: rule for rule in GROUP["rules"]}
Samples = Mapping[str, float]
"""Value by series, as promtool writes a series."""


@pytest.fixture(scope="session")
def promtool() -> Path:
    return find_go_tool(PROMTOOL, environ=os.environ, report=lambda line: sys.stderr.write(f"{line}\n"))


class Troubles:
    """The product at work, and what may go wrong around it."""

    def __init__(self, product: Product, keys: Path) -> None:
        self.product = product
        self.keys = keys

    def apply(self, name: str, **spec: Any) -> None:
        sync = {"apiVersion": "botzilla.io/v1", "kind": "EstimateSync", "metadata": {"name": name}, "spec": spec}
        self.product.kubectl("apply", "--filename=-", stdin=json.dumps(sync))

    def wait_for(self, name: str, path: str, value: str) -> None:
        """Wait for a value in the status of a sync."""
        expected = f"--for=jsonpath={{.status.{path}}}={value}"
        self.product.kubectl("wait", f"estimatesync/{name}", expected, f"--timeout={WAIT_SECONDS:.0f}s")

    def write_status(self, name: str, status: dict[str, Any]) -> None:
        patch = json.dumps({"status": status})
        self.product.kubectl("patch", "estimatesync", name, "--subresource=status", "--type=merge", f"--patch={patch}")

    def scrape(self) -> Samples:
        """Read the pages of operator and API, as Prometheus does; nothing where nothing answers."""
        return {**scrape(f"{self.product.api_url}/metrics"), **scrape(self.product.metrics_url)}

    def fail_as_api(self) -> Samples:
        """Have the API, which has no right to the cluster any more, answer one more request with an error."""
        series = format_series(
            "estimatesync_api_requests_total", {"method": "GET", "route": "/readyz", "status": "503"}
        )
        url, deadline = f"{self.product.api_url}/metrics", time.monotonic() + WAIT_SECONDS
        before = scrape(url).get(series, 0)
        while (samples := scrape(url)).get(series, 0) <= before:
            assert time.monotonic() < deadline, "the API never failed"
            httpx.get(f"{self.product.api_url}/readyz", trust_env=False, timeout=WAIT_SECONDS)
        return samples

    def wait_for_sample(self, name: str, **labels: str) -> None:
        series, deadline = format_series(name, labels), time.monotonic() + WAIT_SECONDS
        while not self.scrape().get(series):
            assert time.monotonic() < deadline, f"never counted: {series}"
            time.sleep(0.1)


def scrape(url: str) -> Samples:
    try:
        page = httpx.get(url, trust_env=False, timeout=10).text
    except httpx.TransportError:
        return {}
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return {format_series(each.name, each.labels): each.value for each in samples}


def format_series(name: str, labels: Mapping[str, str]) -> str:
    pairs = ",".join(
        f'{key}="{value}"' for key, value in sorted({**labels, **TARGET, "namespace": "estimates"}.items())
    )
    return f"{name}{{{pairs}}}"


@pytest.fixture
def troubles(cluster: Cluster, namespace: str, database_url: str, tmp_path: Path) -> Iterator[Troubles]:
    records = build_records(RECORDS, 7, datetime.now(UTC))
    records[5] = {**records[5], "final_price": "a lot"}
    keys = tmp_path / "keys"
    keys.write_text("# Nobody else yet.\n")
    answers = [Response(status=410), *[Response(status=503, headers={"Retry-After": "600"})] * 9]
    with running_sample(SampleConfig(records=records, password=PASSWORD)) as sample, running_receiver(answers) as hook:
        settings = ProductSettings(
            source_url=sample.url,
            source_email=SampleConfig().email,
            source_password=PASSWORD,
            database_url=database_url,
            api_key="made-up-key-for-alerts-0123",
            callback_url=f"{hook.url}/hook",
            api={"API_KEYS_FILE": str(keys)},
        )
        with running_product(
            cluster, namespace=namespace, settings=settings, state_dir=tmp_path, with_api=False
        ) as product:
            product.start_api()
            yield Troubles(product, keys)


def provoke(troubles: Troubles) -> None:
    """Bring about what each alert is for, but the operator's absence."""
    # An estimate is left out; Make.com says that the webhook is gone: the callback is given up.
    troubles.apply("skipping")
    troubles.wait_for("skipping", "callback.state", "Failed")
    # A sync of days that have no estimates is the newest that has succeeded.
    troubles.apply("empty", dateRange={"start": "2001-01-01", "end": "2001-01-02"})
    troubles.wait_for("empty", "phase", "Succeeded")
    # A wrong password; and Make.com cannot take the callback now.
    troubles.product.write_credentials(password="another-made-up-password")
    troubles.apply("failing")
    troubles.wait_for("failing", "callback.state", "Retrying")
    # No operator continues it.
    troubles.apply("waiting", suspend=True)
    troubles.wait_for("waiting", "phase", "Queued")
    # The test writes a status that no operator would write: no other way to a defect is known.
    troubles.apply("broken", suspend=True)
    troubles.wait_for("broken", "phase", "Queued")
    troubles.write_status(
        "broken", {"phase": "Succeeded", "dateRange": None, "callback": {"state": "Pending", "id": "x"}}
    )
    troubles.wait_for_sample("estimatesync_reconcile_errors_total", kind="defect")
    # Somebody adds a key that is too short, and somebody sends one that nobody has.
    troubles.keys.write_text("intern:short\n")
    wrong = {"X-API-KEY": "made-up-key-that-nobody-has"}
    answer = httpx.get(f"{troubles.product.api_url}{SYNCS_PATH}", headers=wrong, trust_env=False, timeout=WAIT_SECONDS)
    assert answer.status_code == 403
    troubles.wait_for_sample("estimatesync_api_key_faults")


def build_values(spans: Mapping[str, Samples], series: str) -> str:
    """Build promtool's notation: the sample of each span for as many minutes, `_` where there is none."""
    parts = []
    for span, samples in spans.items():
        value, minutes = samples.get(series), MINUTES[span]
        parts.append(f"_x{minutes}" if value is None else f"{value:.15g}x{minutes - 1}")
    return " ".join(parts)


def build_check(minute: int, firing: set[str]) -> dict[str, Any]:
    """Build promtool's expectation of which alerts fire at a minute, and of no others."""
    expression = 'min by (alertname) (ALERTS{alertstate="firing"})'
    samples = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(firing)]
    return {"expr": expression, "eval_time": f"{minute}m", "exp_samples": samples}


AT_ONCE = {
    *("EstimateSyncFailed", "EstimateSyncCallbackFailed", "EstimateSyncSkippedEstimates", "EstimateSyncKeysRefused"),
}
LASTING = {"EstimateSyncApiKeysFaulty", "EstimateSyncEmpty"}
STUCK = {*LASTING, "EstimateSyncQueueStuck"}
HOURS = {*STUCK, "EstimateSyncCallbacksPending", "EstimateSyncCallbacksGivenUp", "EstimateSyncStale"}
FIRING = {
    9: set[str](),
    11: AT_ONCE,
    20: {*AT_ONCE, *LASTING, "EstimateSyncDefect"},
    40: {*AT_ONCE, *STUCK},
    75: HOURS,
    119: {*HOURS, "EstimateSyncApiFailing"},
    139: {"EstimateSyncOperatorAbsent", "EstimateSyncApiAbsent"},
}
"""By minute: each alert begins when its condition has lasted, and what happened once is over after an hour."""


def test_each_alert_fires_on_what_it_is_for_and_on_nothing_else(
    troubles: Troubles, promtool: Path, tmp_path: Path
) -> None:
    quiet = troubles.scrape()
    provoke(troubles)
    troubled, moment = troubles.scrape(), datetime.now(UTC)
    troubles.product.kubectl("delete", "rolebinding", "estimatesync-api")
    # The operator's samples stay, for it counts on by the clock.
    failing = {span: {**troubled, **troubles.fail_as_api()} for span in FAILING}
    troubles.product.stop_operator()
    troubles.product.stop_api()
    spans = {"quiet": quiet, "troubled": troubled, **failing, "away": troubles.scrape()}

    rules = (CHART / "files" / "alerts.yaml").read_text().replace("NAMESPACE", "estimates").replace("THRESHOLD", "0")
    rules = rules.replace("STALE_HOURS", f"{STALE_HOURS}")
    (tmp_path / "rules.yaml").write_text(rules)
    series = sorted({each for samples in spans.values() for each in samples})
    inputs = [{"series": each, "values": build_values(spans, each)} for each in series]
    checks = [build_check(minute, firing) for minute, firing in FIRING.items()]
    start = moment - timedelta(minutes=MINUTES["quiet"])
    test = {"interval": "1m", "start_timestamp": start.isoformat(), "input_series": inputs, "promql_expr_test": checks}
    content = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(content))
    command = [promtool, "test", "rules", "test.yaml"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert set().union(*FIRING.values()) == ALERTS.keys()


def test_the_dashboard_and_the_alerts_ask_for_series_that_the_running_product_shows(troubles: Troubles) -> None:
    provoke(troubles)
    troubles.scrape()

    # The API's page counts the requests that were answered before.
    shown = {series.partition("{")[0] for series in troubles.scrape()}

    texts = {name: (CHART / "files" / name).read_text() for name in ("dashboard.json", "alerts.yaml")}
    dashboard = json.dumps(json.loads(texts["dashboard.json"])["panels"])
    for asked in (dashboard, "".join(rule["expr"] for rule in ALERTS.values())):
        names = set(re.findall(r"estimatesync_\w+", asked))
        assert names
        assert names - shown == set()
