"""`docs/observability.md` names every metric, event, log line and span that there is, and no other."""

import ast
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

from estimatesync_api.adapters.metrics import ApiMetrics
from estimatesync_contract.causes import BLOCKERS, Reason
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.names import ANNOTATION_TRACEPARENT
from estimatesync_contract.status import (
    AlertStatus,
    CallbackState,
    CallbackStatus,
    EstimateSyncStatus,
    Phase,
    Results,
)
from estimatesync_operator.core.events import build_created_event, build_events
from estimatesync_operator.core.ports import SystemClock
from estimatesync_operator.core.sync_cache import SyncCache
from estimatesync_operator.core.watch_health import WatchHealth
from estimatesync_operator.metrics import OperatorMetrics
from estimatesync_tracing.spans import Attribute, SpanName
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "observability.md").read_text()
CAUSES = (ROOT / "docs" / "causes.md").read_text()
NOW = datetime(2025, 10, 16, tzinfo=UTC)
WAITING = {Reason.QUEUED, Reason.SUSPENDED}
AT_WORK = {Reason.STARTING, Reason.RUNNING, Reason.STOPPING}
REASONS: dict[Phase, set[Reason]] = {
    Phase.QUEUED: WAITING,
    Phase.RUNNING: {*AT_WORK, *BLOCKERS},
    Phase.SUCCEEDED: {Reason.SUCCEEDED},
    Phase.CANCELLED: {Reason.CANCELLED},
    Phase.FAILED: {*Reason} - WAITING - AT_WORK - {Reason.SUCCEEDED, Reason.CANCELLED, Reason.MALFORMED},
}
"""Which reasons a sync has in which phase."""


def read_rows(heading: str) -> dict[str, list[str]]:
    """The first table below a heading: its cells, by the name in the first one."""
    section = PAGE.partition(f"{heading}\n")[2]
    lines = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert lines is not None
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()[2:]]
    return {row[0].strip("`"): row[1:] for row in rows}


def read_names(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def describe(families: Iterable[Metric]) -> dict[str, tuple[str, set[str]]]:
    """Type and labels of each metric of ours, by the name that people write into a query."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in families
        if family.name.startswith("estimatesync_") and not family.name.endswith("_created")
    }


def read_metrics(heading: str) -> dict[str, tuple[str, set[str]]]:
    return {name: (kind, read_names(labels)) for name, (kind, labels, _) in read_rows(heading).items()}


def use_operator_metrics() -> OperatorMetrics:
    """Let everything happen once, so that each metric has a sample."""
    cache, health = SyncCache(default_ttl=timedelta(days=7)), WatchHealth()
    running = EstimateSyncStatus(phase=Phase.RUNNING, reason=Reason.RUNNING, start_time=NOW)
    sync = EstimateSync(
        metadata=Metadata(name="a", uid="u", resource_version="1", creation_timestamp=NOW), status=running
    )
    cache.upsert(sync)
    ended = EstimateSyncStatus(phase=Phase.SUCCEEDED, completion_time=NOW, results=Results())
    cache.upsert(EstimateSync(metadata=Metadata(name="b", uid="v", resource_version="1"), status=ended))
    health.note_event("estimatesyncs", now=NOW)
    metrics = OperatorMetrics()
    metrics.show(cache, health, is_leading=lambda: True, clock=SystemClock())
    delivered, counts = CallbackStatus(state=CallbackState.DELIVERED, attempts=1), Results(previous_total_fetched=0)
    done = EstimateSyncStatus(phase=Phase.SUCCEEDED, reason=Reason.SUCCEEDED, results=counts, callback=delivered)
    metrics.record_change(sync, done)
    metrics.record_pass("defect", 0.1)
    return metrics


def use_api_metrics() -> ApiMetrics:
    metrics = ApiMetrics()
    metrics.record_request(method="GET", route="/", status=200, seconds=0.1)
    metrics.record_limited("x")
    metrics.record_unauthenticated("x")
    return metrics


def test_every_metric_of_the_operator_is_there_with_its_type_and_labels() -> None:
    assert read_metrics("### Of the operator") == describe(use_operator_metrics().registry.collect())


def test_every_metric_of_the_api_is_there_with_its_type_and_labels() -> None:
    text, _ = use_api_metrics().format("text/plain")

    assert read_metrics("### Of the API") == describe(text_string_to_metric_families(text.decode()))


def iterate_statuses() -> Iterator[EstimateSyncStatus]:
    callbacks = [None, *(CallbackStatus(state=state, attempts=1) for state in CallbackState)]
    for (phase, reasons), callback in product(REASONS.items(), callbacks):
        yield from (EstimateSyncStatus(phase=phase, reason=reason, callback=callback) for reason in reasons)
    for delivery in callbacks[1:]:
        alert = AlertStatus(time=NOW, since=NOW, stale_after_hours=26, delivery=delivery) if delivery else None
        yield EstimateSyncStatus(phase=Phase.SUCCEEDED, reason=Reason.SUCCEEDED, alert=alert)


def test_every_event_is_there_with_its_type() -> None:
    reasons, _, _ = CAUSES.partition("\n## More exactly\n")
    causes = set(re.findall(r"^\| `(\w+)` \|", reasons, re.MULTILINE))
    running = [status for status in iterate_statuses() if status.phase is Phase.RUNNING]
    begun = [status for status in iterate_statuses() if status.phase is Phase.QUEUED]

    pairs = [(before, after) for before in running for after in iterate_statuses()]
    pairs += [(EstimateSyncStatus(), after) for after in begun]
    types = {event.reason: event.type for before, after in pairs for event in build_events(before, after)}
    created = build_created_event(EstimateSync(metadata=Metadata(name="a")))
    types[created.reason] = created.type

    listed = {name: cells[0] for name, cells in read_rows("## Events").items()}
    assert listed == {name: kind for name, kind in types.items() if name not in causes}
    # An object that cannot be read has no events; the page says so.
    assert {name for name in causes if types.get(name) != "Warning"} == {Reason.MALFORMED}


def find_lines() -> Iterator[tuple[str, str, set[str]]]:
    """Each call of the sync program's log: action, level, and fields."""
    for module in sorted((ROOT / "syncjob" / "estimatesync_job").rglob("*.py")):
        for call in (node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)):
            is_line = isinstance(call.func, ast.Attribute) and call.func.attr == "write" and len(call.args) == 2
            if is_line and isinstance(call.args[0], ast.Constant):
                given: dict[str, Any] = {word.arg: word.value for word in call.keywords if word.arg}
                level = given.pop("level", ast.Constant("info"))
                yield str(call.args[0].value), level.value, set(given)


def test_every_line_of_the_sync_program_is_there_with_its_level_and_fields() -> None:
    listed = {
        action: (level, read_names(fields))
        for action, (level, fields, _) in read_rows("### Of the sync program").items()
    }

    assert listed == {action: (level, fields) for action, level, fields in find_lines()}


def test_every_span_and_attribute_is_there() -> None:
    spans = PAGE.partition("### Spans\n")[2]

    assert set(read_rows("### Spans")) == {*SpanName, "{method} {route}"}
    named = set(re.findall(r"`((?:estimatesync|http)\.[\w.]+)`", spans))
    assert named == set(Attribute)
    assert ANNOTATION_TRACEPARENT in PAGE
