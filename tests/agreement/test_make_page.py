"""`docs/make.md`, in both languages, shows what the blueprints really do and what the API really answers."""

import html
import json
import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import pytest
from estimatesync_api.core.problems import Problem
from estimatesync_api.core.representation import to_accepted_body
from estimatesync_api.openapi.operations import OPERATIONS
from estimatesync_api.status_page.core import addresses
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.spec import EstimateSyncSpec
from estimatesync_contract.status import AlertStatus, CallbackState, CallbackStatus, EstimateSyncStatus, Phase
from estimatesync_make.modules import ADD_RECORD, EXIST_RECORD, GMAIL, HTTP
from estimatesync_make.rules import walk
from estimatesync_make.scenarios import API_ADDRESS, API_KEY, BLUEPRINTS, RECIPIENT, SIGNING_SECRET
from estimatesync_make.simulator import Simulator, build_webhook_bundle
from estimatesync_operator.callback.body import CANCELLED, build_alert_body, build_callback_body

ROOT = Path(__file__).parents[2]
PAGES = [pytest.param(ROOT / "docs" / folder / "make.md", id=folder or "en") for folder in ("", "es")]
NOW = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)


def name_blueprint(page: Path, name: str) -> str:
    """The file of the page's language."""
    return f"{name}.es.blueprint.json" if page.parent.name == "es" else f"{name}.blueprint.json"


def find_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)\n```$", page.read_text(), re.MULTILINE | re.DOTALL)


def find_callback(page: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(find_blocks(page, "json")[0])
    return body


def find_alert(page: Path) -> dict[str, Any]:
    _, block = find_blocks(page, "json")
    body: dict[str, Any] = json.loads(block)
    return body


def build_failure(success: dict[str, Any]) -> dict[str, Any]:
    return success | {
        "status": "error",
        "results": dict.fromkeys(success["results"], 0),
        "performance": {"duration_seconds": 12, "duration_minutes": 0.2},
        "error": "Login to Attic Tech failed: Invalid credentials",
    }


def write_mail(body: dict[str, Any], blueprint: str = "callback.blueprint.json") -> str:
    mails: list[Any] = []
    simulator = Simulator(BLUEPRINTS[blueprint], {GMAIL: mails.append}, clock=lambda: NOW, execution_id="e1")
    simulator.run(build_webhook_bundle(json.dumps(body).encode()))
    (mail,) = mails
    return f"{mail['subject']}\n\n{html.unescape(mail['content'].replace('<br>', ''))}"


@pytest.mark.parametrize("page", PAGES)
def test_the_callback_on_the_page_has_the_fields_of_a_real_one(page: Path) -> None:
    status = EstimateSyncStatus(phase=Phase.SUCCEEDED, completion_time=NOW)
    metadata = Metadata(name="x", namespace="x", uid="x", resource_version="1", creation_timestamp=NOW)
    real = json.loads(build_callback_body(EstimateSync(metadata=metadata, spec=EstimateSyncSpec(), status=status)))

    shown = find_callback(page)

    assert list(shown) == list(real)
    for name in ("results", "date_range", "performance"):
        assert list(shown[name]) == list(real[name])


@pytest.mark.parametrize("page", PAGES)
def test_the_alert_on_the_page_has_the_fields_of_a_real_one(page: Path) -> None:
    delivery = CallbackStatus(state=CallbackState.PENDING, environment="production")
    alert = AlertStatus(time=NOW, since=NOW, stale_after_hours=26, delivery=delivery)
    status = EstimateSyncStatus(phase=Phase.SUCCEEDED, completion_time=NOW, alert=alert)
    real = json.loads(build_alert_body(EstimateSync(metadata=Metadata(name="x"), status=status)))

    shown = find_alert(page)

    assert list(shown) == list(real)
    assert list(shown["last_success"]) == list(real["last_success"])
    assert {name: shown[name] for name in ("event", "status")} == {name: real[name] for name in ("event", "status")}


@pytest.mark.parametrize("page", PAGES)
def test_the_mails_on_the_page_are_those_that_the_blueprint_writes(page: Path) -> None:
    success = find_callback(page)

    failure = build_failure(success)
    cancel = failure | {"error": CANCELLED}
    mails = [write_mail(each, name_blueprint(page, "callback")) for each in (success, failure, cancel)]
    assert find_blocks(page, "text") == [*mails, write_mail(find_alert(page), name_blueprint(page, "alert"))]


@pytest.mark.parametrize(
    ("blueprint", "lines"),
    [
        pytest.param("alert.blueprint.json", ("- Sync: none yet", "- Ended: never", "- Start: "), id="en"),
        pytest.param("alert.es.blueprint.json", ("- Sync: todavía ninguno", "- Terminó: nunca", "- Inicio: "), id="es"),
    ],
)
def test_the_mail_says_where_no_sync_has_ever_succeeded(blueprint: str, lines: tuple[str, ...]) -> None:
    alert = find_alert(PAGES[0].values[0])
    nothing = {"sync_id": None, "timestamp": None, "date_range": {"start_date": None, "end_date": None}}

    mail = write_mail(alert | {"last_success": nothing}, blueprint).splitlines()

    assert set(lines) <= set(mail)


@pytest.mark.parametrize("page", PAGES)
def test_the_answer_on_the_page_is_the_one_that_is_sent(page: Path) -> None:
    answer = msgspec.to_builtins(to_accepted_body("est-20251016-140900000-k3x9q2ab", NOW))

    rows = dict(re.findall(r"^ *\| Data: `(\w+)` \| (.+) \|$", page.read_text(), re.MULTILINE))

    assert rows == {name: str(answer[name]).replace("True", "true") for name in rows}
    assert set(answer) - set(rows) == {"timestamp"}


@pytest.mark.parametrize("page", PAGES)
def test_the_errors_on_the_page_are_those_of_the_api(page: Path) -> None:
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", page.read_text(), re.MULTILINE)

    existing = {(str(problem.status.value), problem.code) for problem in Problem}
    assert rows
    assert set(rows) <= existing


@pytest.mark.parametrize("page", PAGES)
def test_the_page_says_what_each_file_costs(page: Path) -> None:
    rows = re.findall(r"^ *\| `(\S+\.blueprint\.json)` \| .* \| (\d) \|$", page.read_text(), re.MULTILINE)

    # One for every module on the way to one of the three mails; a router and handlers are free.
    paid = {
        name: len([each for each in walk(blueprint["flow"]) if not each.module["module"].startswith("builtin:")]) - 2
        for name, blueprint in BLUEPRINTS.items()
        if name.startswith("callback") and ".es." not in name
    }
    assert {name: int(count) for name, count in rows} == paid


@pytest.mark.parametrize("page", PAGES)
def test_the_page_names_all_that_a_person_replaces_and_every_module(page: Path) -> None:
    text = page.read_text()
    names = {each.module["metadata"]["designer"]["name"] for one in BLUEPRINTS.values() for each in walk(one["flow"])}

    for word in (API_ADDRESS, API_KEY, SIGNING_SECRET, RECIPIENT):
        assert f"`{word}" in text
    for name in names - {"Try again", "Drop it"}:
        assert f"**{name}**" in text or f" {name}" in text


@pytest.mark.parametrize("page", PAGES)
def test_the_settings_on_the_page_are_those_of_the_files(page: Path) -> None:
    text = page.read_text()
    (request,) = (
        each.module for each in walk(BLUEPRINTS["trigger.blueprint.json"]["flow"]) if each.module["module"] == HTTP
    )
    retries = request["onerror"][0]["mapper"]
    record = next(
        each.module["mapper"]
        for each in walk(BLUEPRINTS["callback-once.blueprint.json"]["flow"])
        if each.module["module"] == ADD_RECORD
    )

    assert f"| Timeout | {request['mapper']['timeout']} " in text
    assert (retries["count"], retries["interval"]) == (8, 15)
    assert all(f"`{name}`" in text for name in record["data"])
    assert EXIST_RECORD in {each.module["module"] for each in walk(BLUEPRINTS["callback-once.blueprint.json"]["flow"])}


@pytest.mark.parametrize("page", PAGES)
def test_the_proxy_of_the_page_lets_all_through_that_callers_need_and_nothing_else(page: Path) -> None:
    patterns = re.findall(r"^\t@public path (.*)$", page.read_text(), re.MULTILINE)[0].split()
    inside = {"/metrics", "/readyz"}
    needed = {operation.path for operation in OPERATIONS} - inside
    needed |= {addresses.HOME, addresses.BASE, addresses.SIGN_IN, addresses.SYNC, "/docs", "/openapi.json"}

    passed = {path for path in needed | inside for pattern in patterns if fnmatchcase(path, pattern)}

    assert passed == needed
