"""Callbacks that a running server has delivered, played through the blueprints: the right mail comes out, once."""

import html
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from estimatesync_contract.names import SYNCS_PATH
from estimatesync_make.scenarios import BLUEPRINTS
from estimatesync_make.simulator import Run, Simulator, build_raw_webhook_bundle, build_webhook_bundle
from sample_attic_tech.receiver import Delivery

SECRET = "whsec_bWFkZS11cC1rZXktb2YtMzItYnl0ZXMtaGVyZSEhISE="
PLACEHOLDER = "PASTE-THE-SIGNING-SECRET-HERE"
CALLBACKS = [name for name in BLUEPRINTS if name.startswith("callback") and ".es." not in name]
SPANISH = [name for name in BLUEPRINTS if name.startswith("callback") and ".es." in name]
SIGNED = [name for name in BLUEPRINTS if "signed" in name]
ONCE = [name for name in CALLBACKS if "once" in name]

SUCCESS_MAIL = """\
The sync has completed successfully!

📊 Results:
- Total fetched from Attic Tech: {results[total_fetched]}
- New estimates: {results[new_estimates]}
- Updated estimates: {results[updated_estimates]}

📅 Date Range:
- Start: {date_range[start_date]}
- End: {date_range[end_date]}

⏱️ Performance:
- Duration: {performance[duration_minutes]:g} minutes

🔖 Sync: {sync_id}"""

ERROR_MAIL = """\
The sync has failed with the following error:

❌ Error: {error}

📅 Date Range:
- Start: {date_range[start_date]}
- End: {date_range[end_date]}

⏱️ Duration: {performance[duration_minutes]:g} minutes

Please check the server logs for more details.

🔖 Sync: {sync_id}"""


CANCELLED_MAIL = """\
The sync was cancelled before its end. The database is as it was before.

📅 Date Range:
- Start: {date_range[start_date]}
- End: {date_range[end_date]}

⏱️ Duration: {performance[duration_minutes]:g} minutes

🔖 Sync: {sync_id}"""


def import_callback(account: Any, name: str) -> Simulator:
    replaced = {PLACEHOLDER: SECRET} if name in SIGNED else {}
    simulator: Simulator = account.import_blueprint(name, **replaced)
    return simulator


def receive(simulator: Simulator, name: str, delivery: Delivery) -> Run:
    if name in SIGNED:
        return simulator.run(build_raw_webhook_bundle(delivery.body, delivery.headers))
    return simulator.run(build_webhook_bundle(delivery.body))


def read_as_text(mail: Mapping[str, Any]) -> str:
    return html.unescape(mail["content"].replace("<br>\n", "\n"))


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize(
    ("ended", "subject", "text", "error"),
    [
        pytest.param("success", "✅ Sync Estimates Completed - 230 estimates", SUCCESS_MAIL, None, id="success"),
        pytest.param(
            "login",
            "❌ Sync Estimates Failed",
            ERROR_MAIL,
            "Login to Attic Tech failed: Invalid credentials",
            id="login",
        ),
        pytest.param(
            "timeout", "❌ Sync Estimates Failed", ERROR_MAIL, "did not finish within 1 seconds", id="timeout"
        ),
        pytest.param("cancelled", "⏹️ Sync Estimates Cancelled", CANCELLED_MAIL, "Cancelled", id="cancelled"),
    ],
)
def test_exactly_the_right_mail_comes_out(
    callbacks: dict[str, Delivery], account: Any, name: str, ended: str, subject: str, text: str, error: str | None
) -> None:
    body = json.loads(callbacks[ended].body)

    run = receive(import_callback(account, name), name, callbacks[ended])

    (mail,) = account.mails
    assert (mail["to"], mail["subject"]) == (["admin@example.com"], subject)
    assert read_as_text(mail) == text.format(**body)
    assert (error or "") in (body["error"] or "")
    assert not run.is_failed
    assert run.incomplete == []


@pytest.mark.parametrize(
    ("name", "with_page", "without"),
    [
        pytest.param(
            "callback.blueprint.json", "Details: {}", "Please check the server logs for more details.", id="en"
        ),
        pytest.param(
            "callback.es.blueprint.json", "Detalles: {}", "Revisa los logs del servidor para más detalles.", id="es"
        ),
    ],
)
def test_the_mail_of_a_failure_names_the_page_of_the_sync_where_there_is_one(
    callbacks: dict[str, Delivery], account: Any, name: str, with_page: str, without: str
) -> None:
    url = "https://sync.example.com/page/syncs/cannot-log-in"
    named = json.dumps({**json.loads(callbacks["login"].body), "details_url": url}).encode()

    for body in (callbacks["login"].body, named):
        receive(import_callback(account, name), name, replace(callbacks["login"], body=body))

    old, new = (read_as_text(mail) for mail in account.mails)
    assert without in old.splitlines()
    assert new == old.replace(without, with_page.format(url))


@pytest.mark.parametrize("name", SPANISH)
@pytest.mark.parametrize(
    ("ended", "subject", "line"),
    [
        pytest.param(
            "success", "✅ Sync completado: 230 nuevos, 0 actualizados", "- Estimates nuevos: 230", id="success"
        ),
        pytest.param(
            "login", "❌ Sync fallido", "❌ Error: Login to Attic Tech failed: Invalid credentials", id="login"
        ),
        pytest.param("cancelled", "⏹️ Sync cancelado", "⏱️ Duración: ", id="cancelled"),
    ],
)
def test_the_mails_are_there_in_spanish_too(
    callbacks: dict[str, Delivery], account: Any, name: str, ended: str, subject: str, line: str
) -> None:
    run = receive(import_callback(account, name), name, callbacks[ended])

    (mail,) = account.mails
    assert mail["subject"] == subject
    assert line in read_as_text(mail)
    assert not run.is_failed


def test_what_others_say_cannot_become_html(callbacks: dict[str, Delivery], account: Any) -> None:
    name = "callback.blueprint.json"
    body = callbacks["login"].body.replace(b"Invalid credentials", b"<script>alert(1)</script>")

    receive(import_callback(account, name), name, replace(callbacks["login"], body=body))

    assert (
        "❌ Error: Login to Attic Tech failed: &lt;script&gt;alert(1)&lt;/script&gt;<br>" in account.mails[0]["content"]
    )


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_message_that_is_not_about_a_sync_causes_no_mail(
    callbacks: dict[str, Delivery], account: Any, name: str
) -> None:
    foreign = replace(callbacks["success"], body=b'{"event": "something_else", "status": "success", "sync_id": "x"}')

    receive(import_callback(account, name), name, foreign)

    assert account.mails == []


def tamper_with_headers(**changed: str | None) -> Callable[[Delivery], Delivery]:
    def change(delivery: Delivery) -> Delivery:
        names = {key.replace("_", "-"): value for key, value in changed.items()}
        headers = {**delivery.headers, **names}
        return replace(delivery, headers={name: value for name, value in headers.items() if value is not None})

    return change


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize(
    "tamper",
    [
        pytest.param(lambda it: replace(it, body=it.body.replace(b"230", b"999")), id="another-body"),
        pytest.param(lambda it: replace(it, body=it.body + b" "), id="one-more-byte"),
        pytest.param(tamper_with_headers(webhook_signature=None), id="no-signature"),
        pytest.param(tamper_with_headers(webhook_signature="v1,"), id="empty-signature"),
        pytest.param(tamper_with_headers(webhook_signature="v1," + "A" * 43 + "="), id="made-up-signature"),
        pytest.param(tamper_with_headers(webhook_id="msg_another"), id="another-id"),
        pytest.param(
            tamper_with_headers(webhook_timestamp=str(int(datetime.now(UTC).timestamp()) + 60)), id="moved-on"
        ),
        pytest.param(tamper_with_headers(webhook_timestamp=None), id="no-timestamp"),
        pytest.param(tamper_with_headers(webhook_id=None, webhook_timestamp=None, webhook_signature=None), id="bare"),
    ],
)
def test_a_forged_callback_causes_no_mail(
    callbacks: dict[str, Delivery], account: Any, name: str, tamper: Callable[[Delivery], Delivery]
) -> None:
    run = receive(import_callback(account, name), name, tamper(callbacks["success"]))

    assert (account.mails, account.records) == ([], {})
    assert run.operations == 2
    assert not run.is_failed
    assert run.incomplete == []


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize(
    ("age", "count"),
    [
        pytest.param(timedelta(seconds=290), 1, id="nearly-five-minutes-old"),
        pytest.param(timedelta(seconds=302), 0, id="more-than-five-minutes-old"),
        pytest.param(timedelta(seconds=-290), 1, id="our-clock-is-slow"),
        pytest.param(timedelta(seconds=-302), 0, id="from-the-future"),
    ],
)
def test_an_old_callback_causes_no_mail(
    callbacks: dict[str, Delivery], account: Any, name: str, age: timedelta, count: int
) -> None:
    delivery = callbacks["success"]
    account.now = datetime.fromtimestamp(int(delivery.headers["webhook-timestamp"]), UTC) + age

    receive(import_callback(account, name), name, delivery)

    assert len(account.mails) == count


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("secret", [PLACEHOLDER, "", "whsec_b3RoZXIta2V5LW90aGVyLWtleS1vdGhlci1rZXkh"])
def test_without_our_secret_even_a_true_callback_causes_no_mail(
    callbacks: dict[str, Delivery], account: Any, name: str, secret: str
) -> None:
    simulator = account.import_blueprint(name, **{PLACEHOLDER: secret})

    receive(simulator, name, callbacks["success"])

    assert account.mails == []


@pytest.mark.parametrize(("name", "count"), [(name, 1 if name in ONCE else 2) for name in CALLBACKS])
def test_a_redelivered_callback_sends_one_mail_where_that_is_promised(
    machine: Any, callbacks: dict[str, Delivery], account: Any, name: str, count: int
) -> None:
    assert callbacks
    before = len(machine.get_deliveries("succeeds"))
    machine.ask("POST", f"{SYNCS_PATH}/succeeds/redeliver")
    first, *_, last = machine.get_deliveries("succeeds", before + 1)
    simulator = import_callback(account, name)

    runs = [receive(simulator, name, delivery) for delivery in (first, last)]

    assert (first.body, first.headers["webhook-id"]) == (last.body, last.headers["webhook-id"])
    assert len(account.mails) == count
    assert [run.is_failed for run in runs] == [False, False]


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_mail_that_cannot_be_sent_is_kept_and_sent_later(
    callbacks: dict[str, Delivery], account: Any, name: str
) -> None:
    simulator = import_callback(account, name)
    account.is_gmail_away = True
    run = receive(simulator, name, callbacks["login"])
    account.is_gmail_away = False

    (kept,) = run.incomplete
    repeated = simulator.retry(kept)

    assert not run.is_failed
    assert [mail["subject"] for mail in account.mails] == ["❌ Sync Estimates Failed"]
    assert (repeated.operations, repeated.incomplete) == (1, [])


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        pytest.param("callback.blueprint.json", 2, id="plain"),
        pytest.param("callback-signed.blueprint.json", 4, id="signed"),
        pytest.param("callback-once.blueprint.json", 4, id="once"),
        pytest.param("callback-signed-once.blueprint.json", 6, id="signed-once"),
    ],
)
def test_a_callback_costs_so_many_operations(
    callbacks: dict[str, Delivery], account: Any, name: str, operations: int
) -> None:
    run = receive(import_callback(account, name), name, callbacks["success"])

    assert run.operations == operations
