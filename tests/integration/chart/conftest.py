"""Renders the chart with Helm itself, the version that the checkout pins."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from estimatesync_api.adapters.metrics import ApiMetrics
from estimatesync_cluster.programs import SHORT_LIVED, find_helm
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.status import EstimateSyncStatus, Phase, Results
from estimatesync_operator.core.ports import SystemClock
from estimatesync_operator.core.sync_cache import SyncCache
from estimatesync_operator.core.watch_health import WatchHealth
from estimatesync_operator.metrics import OperatorMetrics
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "estimatesync"
NAMESPACE = "estimates"
MADE_UP = {
    "apiKeys": {"keys": {"make": "made-up-key-0123456789"}},
    "credentials": {
        "email": "made-up@example.test",
        "password": "made-up-password",
        "databaseUrl": "postgresql://made-up:secret@db.test/estimates",
    },
    "callback": {
        "url": "https://hook.test/made-up-path",
        "signingSecrets": ["whsec_bWFkZS11cC1rZXktb2YtMzItYnl0ZXMtaGVyZSEhISE="],
        "makeApiKey": "made-up-make-key",
    },
}

QUOTATION = """
apiVersion: v1
kind: ConfigMap
metadata: {name: quotation}
data:
  notes: {{ include "estimatesync/templates/NOTES.txt" . | toJson }}
"""


class RefusedError(Exception):
    """Helm refused the values."""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """The objects of one rendering."""

    text: str
    objects: tuple[dict[str, Any], ...]

    def find(self, kind: str, name: str = "") -> dict[str, Any]:
        """Find the one object of a kind whose name ends like this."""
        (found,) = self.list(kind, name)
        return found

    def list(self, kind: str, name: str = "") -> list[dict[str, Any]]:
        return [each for each in self.objects if each["kind"] == kind and each["metadata"]["name"].endswith(name)]

    def iterate_pods(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every pod that the chart itself describes, by the name of its object."""
        for each in self.objects:
            if each["kind"] == "Deployment":
                yield each["metadata"]["name"], each["spec"]["template"]["spec"]
            if each["kind"] == "CronJob":
                yield each["metadata"]["name"], each["spec"]["jobTemplate"]["spec"]["template"]["spec"]
            if each["kind"] == "Pod":
                yield each["metadata"]["name"], each["spec"]


@pytest.fixture(scope="session")
def helm() -> Path:
    return find_helm(report=lambda line: sys.stderr.write(f"{line}\n"))


@pytest.fixture(scope="session")
def render(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Rendered]:
    """Render the chart with values; what many tests look at is rendered once, and each has a copy of its own."""
    place = tmp_path_factory.mktemp("helm")
    environment = {"PATH": os.environ["PATH"], "HOME": str(place), **SHORT_LIVED}

    @cache
    def run(layers: tuple[str, ...], arguments: tuple[str, ...], release: str, chart: Path) -> Rendered:
        files = [place / f"{number}.json" for number in range(len(layers))]
        for file, layer in zip(files, layers, strict=True):
            file.write_text(layer)
        values = [f"--values={file}" for file in files]
        answer = subprocess.run(
            [helm, "template", release, chart, f"--namespace={NAMESPACE}", *values, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if answer.returncode:
            raise RefusedError(answer.stderr)
        objects = tuple(each for text in answer.stdout.split("\n---\n") if (each := read_object(text)))
        return Rendered(text=answer.stdout, objects=objects)

    @cache
    def read_object(text: str) -> Any:
        """Read one object, most of which is the definition's, as it was in every rendering before."""
        # The loader written in Python takes as long as Helm itself.
        return yaml.load(text, yaml.CSafeLoader)

    def copy_rendering(
        values: dict[str, Any] | None = None,
        *arguments: str,
        base: dict[str, Any] = MADE_UP,
        release: str = "release",
        chart: Path = CHART,
    ) -> Rendered:
        return deepcopy(run((json.dumps(base), json.dumps(values or {})), arguments, release, chart))

    return copy_rendering


@pytest.fixture(scope="session")
def render_notes(render: Callable[..., Rendered], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """What Helm prints after an installation: `helm template` shows it only in an object that quotes it."""
    quoting = tmp_path_factory.mktemp("quoting") / "estimatesync"
    shutil.copytree(CHART, quoting)
    (quoting / "templates" / "quotation.yaml").write_text(QUOTATION)

    def run(*arguments: str, base: dict[str, Any] = MADE_UP) -> str:
        return str(render({}, *arguments, base=base, chart=quoting).find("ConfigMap", "quotation")["data"]["notes"])

    return run


@pytest.fixture
def chart() -> Path:
    return CHART


@pytest.fixture
def runbooks() -> str:
    return (ROOT / "docs" / "alerts.md").read_text()


@pytest.fixture
def metric_names() -> set[str]:
    """Every name under which Prometheus keeps something of the operator's or the API's."""
    text, _ = ApiMetrics().format("text/plain")
    operator = OperatorMetrics()
    cache, end = SyncCache(default_ttl=timedelta(days=7)), datetime(2025, 10, 16, tzinfo=UTC)
    status = EstimateSyncStatus(phase=Phase.SUCCEEDED, completion_time=end, results=Results())
    cache.upsert(EstimateSync(metadata=Metadata(name="a", uid="u", resource_version="1"), status=status))
    operator.show(cache, WatchHealth(), is_leading=lambda: True, clock=SystemClock())
    families = [*operator.registry.collect()]
    families += text_string_to_metric_families(text.decode())
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    return {f"{family.name}{suffix}" for family in families for suffix in suffixes.get(family.type, ("",))}
