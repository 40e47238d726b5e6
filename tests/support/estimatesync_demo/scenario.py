"""The scenario, the same in both modes: a POST, the answer at once, progress, the callback, the rows, the verdict."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
from estimatesync_contract.names import START_PATH

from estimatesync_demo.console import ProgressLine, print_fact, print_step, quote, quote_json
from estimatesync_demo.sample_environment import API_KEY, KNOWN, NEW, TOTAL, Rows, SampleEnvironment, count_rows

_SYNC_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.25
_ENDED: Final = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything that was observed of one sync: answer, status, callback, database."""

    sync_id: str
    accepted_code: int
    accepted: dict[str, Any]
    status: dict[str, Any]
    callbacks: tuple[dict[str, Any], ...]
    rows: Rows


def find_differences(findings: Findings) -> tuple[str, ...]:
    """Compare what was observed with what must be; every difference is a sentence, none means success."""
    expected = {
        "HTTP status of the POST": (findings.accepted_code, 202),
        "success in the answer": (findings.accepted.get("success"), True),
        "status in the answer": (findings.accepted.get("status"), "processing"),
        "status of the sync": (findings.status.get("status"), "succeeded"),
        "results in the status": (_get_counts(findings.status, "new_estimates", "updated_estimates"), (NEW, KNOWN)),
        "number of callbacks": (len(findings.callbacks), 1),
        "rows in the database": (findings.rows, Rows(total=TOTAL, new=NEW, updated=KNOWN)),
    }
    for callback in findings.callbacks:
        expected |= {
            "status in the callback": (callback.get("status"), "success"),
            "sync_id in the callback": (callback.get("sync_id"), findings.sync_id),
            "results in the callback": (
                _get_counts(callback, "total_fetched", "new_estimates", "updated_estimates", "total_processed"),
                (TOTAL, NEW, KNOWN, TOTAL),
            ),
        }
    return tuple(f"{what}: expected {wanted}, got {got}" for what, (got, wanted) in expected.items() if got != wanted)


def _get_counts(body: dict[str, Any], *names: str) -> tuple[Any, ...]:
    results = body.get("results") or {}
    return tuple(results.get(name) for name in names)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where the product can be reached and observed."""

    api_url: str
    database_url: str
    read_log: Callable[[str], Sequence[str]]
    """The sync's log lines, by sync id."""


def play_scenario(environment: SampleEnvironment, stage: Stage) -> bool:
    """Play the whole scenario; true when all observations agree."""
    answer = _post(stage)
    sync_id = str(answer.json().get("sync_id", ""))
    status = _follow(stage, sync_id)
    _show_log(stage, sync_id)
    callbacks = _show_callbacks(environment)
    findings = Findings(
        sync_id=sync_id,
        accepted_code=answer.status_code,
        accepted=answer.json(),
        status=status,
        callbacks=callbacks,
        rows=count_rows(stage.database_url, sync_id),
    )
    return _judge(findings)


def _post(stage: Stage) -> httpx.Response:
    print_step("Make.com posts, and is answered at once")
    print_fact(f"POST {START_PATH}")
    began = time.perf_counter()
    answer = httpx.post(f"{stage.api_url}{START_PATH}", headers={"X-API-KEY": API_KEY}, trust_env=False, timeout=40)
    milliseconds = 1000 * (time.perf_counter() - began)
    print_fact(f"HTTP {answer.status_code} after {milliseconds:.0f} ms; Location: {answer.headers.get('Location')}")
    quote_json(answer.json())
    return answer


def _follow(stage: Stage, sync_id: str) -> dict[str, Any]:
    print_step("The sync runs; its progress can be read at any time")
    line = ProgressLine()
    deadline = time.monotonic() + _SYNC_SECONDS
    status = _read_status(stage, sync_id)
    while not _has_ended(status) and time.monotonic() < deadline:
        line.show(_describe(status))
        time.sleep(_POLL_SECONDS)
        status = _read_status(stage, sync_id)
    line.show(_describe(status))
    line.end()
    return status


def _read_status(stage: Stage, sync_id: str) -> dict[str, Any]:
    url = f"{stage.api_url}/api/automations/estimates/syncs/{sync_id}"
    answer: dict[str, Any] = httpx.get(url, headers={"X-API-KEY": API_KEY}, trust_env=False, timeout=10).json()
    return answer


def _has_ended(status: dict[str, Any]) -> bool:
    callback = status.get("callback") or {}
    return status.get("status") in _ENDED and callback.get("state") not in {"pending", "retrying"}


def _describe(status: dict[str, Any]) -> str:
    progress = status.get("progress") or {}
    callback = status.get("callback") or {}
    delivery = f", callback {callback['state']}" if callback else ""
    return f"{status.get('status'):<10} {progress.get('text', '-'):>6}  {status.get('message') or ''}{delivery}"


def _show_log(stage: Stage, sync_id: str) -> None:
    print_step("What the sync logged")
    quote(stage.read_log(sync_id))


def _show_callbacks(environment: SampleEnvironment) -> tuple[dict[str, Any], ...]:
    print_step("The callback, as it arrived at the webhook")
    deliveries = list(environment.receiver.deliveries)
    bodies = tuple(json.loads(delivery.body) for delivery in deliveries)
    for delivery, body in zip(deliveries, bodies, strict=True):
        print_fact(f"POST {delivery.path}, webhook-id: {delivery.headers.get('webhook-id')}")
        quote_json(body)
    return bodies


def _judge(findings: Findings) -> bool:
    print_step("The rows, as PostgreSQL counts them")
    rows = findings.rows
    print_fact(f"{rows.total} estimates; {rows.new} are new since this sync, {rows.updated} were updated by it")
    differences = find_differences(findings)
    print_step("The verdict")
    for difference in differences:
        print_fact(f"✗ {difference}")
    if not differences:
        print_fact("✓ answer, status, callback and database agree")
        print_fact(f"✓ New: {rows.new}, Updated: {rows.updated}")
    return not differences
