"""The trigger's request as its fields describe it, over real HTTP to a running server."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from estimatesync_contract.names import START_PATH
from estimatesync_make.modules import HTTP
from estimatesync_make.scenarios import API_ADDRESS, API_KEY, BLUEPRINTS
from estimatesync_make.simulator import ModuleFault, Simulator

KEY = "made-up-key-of-this-test"
READ_ONLY_KEY = "made-up-key-that-only-looks"
DOCS = Path(__file__).parents[3] / "docs"


def request(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Do what the HTTP module does with its fields."""
    answer = httpx.request(
        fields["method"],
        fields["url"],
        # Make.com rewrites the names of headers.
        headers={"Content-Type": "application/json"}
        | {each["name"].title(): each["value"] for each in fields["headers"]},
        content=fields["jsonStringBodyContent"],
        follow_redirects=fields["allowRedirects"],
        timeout=fields["timeout"],
        trust_env=False,
    )
    if fields["stopOnHttpError"] and answer.is_error:
        raise ModuleFault(f"HTTP {answer.status_code}: {answer.text}")
    return {"statusCode": answer.status_code, "headers": dict(answer.headers), "data": answer.json()}


def lose_first_answer() -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """Do the same, but the first answer is lost on its way."""
    lost: list[Mapping[str, Any]] = []

    def ask(fields: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = request(fields)
        if not lost:
            lost.append(answer)
            raise ModuleFault("The request has timed out")
        return answer

    return ask


def import_trigger(machine: Any, account: Any, *, key: str = KEY, deed: Callable[..., Any] = request) -> Simulator:
    text = json.dumps(BLUEPRINTS["trigger.blueprint.json"]).replace(API_ADDRESS, machine.url).replace(API_KEY, key)
    return Simulator(json.loads(text), {HTTP: deed}, clock=lambda: account.now, execution_id="e1")


def test_the_request_is_answered_at_once_with_the_id_of_a_sync(machine: Any, account: Any) -> None:
    simulator = import_trigger(machine, account)
    simulator.execution_id = "answered"

    run = simulator.run()

    answer = run.outputs[2]
    assert answer["statusCode"] == 202
    assert answer["data"]["status"] == "processing"
    assert machine.ask("GET", answer["headers"]["location"])["sync_id"] == answer["data"]["sync_id"]
    assert (run.operations, run.incomplete, run.is_failed) == (2, [], False)


def test_a_request_whose_answer_was_lost_is_repeated_and_starts_no_second_sync(machine: Any, account: Any) -> None:
    simulator = import_trigger(machine, account, deed=lose_first_answer())
    simulator.execution_id = "lost"
    run = simulator.run()
    known = {sync["sync_id"] for sync in machine.ask("GET", "/api/automations/estimates/syncs?limit=100")["syncs"]}
    simulator.execution_id = "the-repetition-may-have-another-id"
    account.now += timedelta(minutes=15)

    (kept,) = run.incomplete
    repeated = simulator.retry(kept)
    another = simulator.run()

    assert not run.is_failed
    assert repeated.outputs[2]["data"]["sync_id"] in known
    assert another.outputs[2]["data"]["sync_id"] not in known


def test_two_runs_have_different_keys_even_where_make_gives_no_execution_id(machine: Any, account: Any) -> None:
    simulator = import_trigger(machine, account)
    simulator.execution_id = ""
    first = simulator.run()
    account.now += timedelta(minutes=15)

    second = simulator.run()

    assert first.outputs[2]["data"]["sync_id"] != second.outputs[2]["data"]["sync_id"]


def replace_header(name: str, value: str | None) -> Callable[[dict[str, Any]], None]:
    def change(fields: dict[str, Any]) -> None:
        others = [each for each in fields["headers"] if each["name"] != name]
        fields["headers"] = others + ([{"name": name, "value": value}] if value else [])

    return change


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        pytest.param(lambda it: it.update(jsonStringBodyContent='{"startDate": "31.12.2025"}'), 400, "invalid_request"),
        pytest.param(replace_header("X-API-KEY", None), 401, "api_key_missing"),
        pytest.param(replace_header("X-API-KEY", API_KEY), 403, "api_key_wrong"),
        pytest.param(replace_header("X-API-KEY", READ_ONLY_KEY), 403, "api_key_read_only"),
        pytest.param(lambda it: it.update(url=it["url"] + "s"), 404, "not_found"),
        pytest.param(lambda it: it.update(method="get", jsonStringBodyContent=""), 405, "method_not_allowed"),
        pytest.param(replace_header("Idempotency-Key", "taken"), 422, "idempotency_key_reused"),
    ],
)
def test_a_refusal_is_kept_and_is_the_one_on_the_page(
    machine: Any, account: Any, change: Callable[[dict[str, Any]], None], status: int, code: str
) -> None:
    taken = {"X-API-KEY": KEY, "Idempotency-Key": "taken"}
    days = {"startDate": "2025-01-01", "endDate": "2025-01-02"}
    httpx.post(f"{machine.url}{START_PATH}", headers=taken, json=days, trust_env=False)
    answers: list[str] = []

    def ask(fields: Mapping[str, Any]) -> Mapping[str, Any]:
        changed = dict(fields)
        change(changed)
        try:
            return request(changed)
        except ModuleFault as fault:
            answers.append(str(fault))
            raise

    run = import_trigger(machine, account, deed=ask).run()

    assert (len(run.incomplete), run.is_failed) == (1, False)
    assert answers[0].startswith(f"HTTP {status}: ")
    assert f'"code":"{code}"' in answers[0]
    assert f"| {status} | `{code}` |" in (DOCS / "make.md").read_text()
