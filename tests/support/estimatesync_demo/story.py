"""The story itself, the same in both modes: a POST, the answer at once, progress, the callback, the rows."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
from estimatesync_contract.names import START_PATH

from estimatesync_demo.findings import Findings, find_differences
from estimatesync_demo.narration import ProgressLine, quote, quote_json, tell, tell_step
from estimatesync_demo.scenery import API_KEY, Scenery, count_rows

_SYNC_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.25
_ENDED: Final = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where the product can be reached and looked at."""

    api_url: str
    database_url: str
    read_log: Callable[[str], Sequence[str]]
    """The sync's log lines, by sync id."""


def tell_story(scenery: Scenery, stage: Stage) -> bool:
    """Play the whole story and say whether all witnesses agree."""
    answer = _post(stage)
    sync_id = str(answer.json().get("sync_id", ""))
    status = _follow(stage, sync_id)
    _show_log(stage, sync_id)
    callbacks = _show_callbacks(scenery)
    findings = Findings(
        sync_id=sync_id,
        accepted_code=answer.status_code,
        accepted=answer.json(),
        status=status,
        callbacks=callbacks,
        rows=count_rows(stage.database_url, sync_id),
    )
    return _conclude(findings)


def _post(stage: Stage) -> httpx.Response:
    tell_step("Make.com posts, and is answered at once")
    tell(f"POST {START_PATH}")
    began = time.perf_counter()
    answer = httpx.post(f"{stage.api_url}{START_PATH}", headers={"X-API-KEY": API_KEY}, trust_env=False, timeout=40)
    milliseconds = 1000 * (time.perf_counter() - began)
    tell(f"HTTP {answer.status_code} after {milliseconds:.0f} ms; Location: {answer.headers.get('Location')}")
    quote_json(answer.json())
    return answer


def _follow(stage: Stage, sync_id: str) -> dict[str, Any]:
    tell_step("The sync runs; anybody may look how far it is")
    line = ProgressLine()
    deadline = time.monotonic() + _SYNC_SECONDS
    status = _read_status(stage, sync_id)
    while not _has_ended(status) and time.monotonic() < deadline:
        line.show(_describe(status))
        time.sleep(_LOOK_SECONDS)
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
    told = f", callback {callback['state']}" if callback else ""
    return f"{status.get('status'):<10} {progress.get('text', '-'):>6}  {status.get('message') or ''}{told}"


def _show_log(stage: Stage, sync_id: str) -> None:
    tell_step("What the sync said")
    quote(stage.read_log(sync_id))


def _show_callbacks(scenery: Scenery) -> tuple[dict[str, Any], ...]:
    tell_step("The callback, as it arrived at the webhook")
    deliveries = list(scenery.receiver.deliveries)
    bodies = tuple(json.loads(delivery.body) for delivery in deliveries)
    for delivery, body in zip(deliveries, bodies, strict=True):
        tell(f"POST {delivery.path}, webhook-id: {delivery.headers.get('webhook-id')}")
        quote_json(body)
    return bodies


def _conclude(findings: Findings) -> bool:
    tell_step("The rows, as PostgreSQL counts them")
    rows = findings.rows
    tell(f"{rows.total} estimates; {rows.new} are new since this sync, {rows.updated} were updated by it")
    differences = find_differences(findings)
    tell_step("The verdict")
    for difference in differences:
        tell(f"✗ {difference}")
    if not differences:
        tell("✓ answer, status, callback and database agree")
        tell(f"✓ New: {rows.new}, Updated: {rows.updated}")
    return not differences
