"""What callers do with syncs that are there: list, watch cheaply, cancel, redeliver, read the log."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from estimatesync_api.core.listing import SyncQuery
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import CallbackSpec
from estimatesync_contract.status import (
    AlertStatus,
    CallbackState,
    CallbackStatus,
    EstimateSyncStatus,
    Phase,
    build_delivery_fields,
)
from falcon.testing import TestClient

MOMENT = datetime(2025, 10, 16, tzinfo=UTC)
SYNCS = "/api/automations/estimates/syncs"
RUNNING = EstimateSyncStatus(phase=Phase.RUNNING)
NOT_DELIVERED = EstimateSyncStatus(phase=Phase.SUCCEEDED, callback=CallbackStatus(state=CallbackState.FAILED))
NOT_CALLED_BACK = EstimateSyncStatus(phase=Phase.SUCCEEDED, callback=CallbackStatus(state=CallbackState.DISABLED))

WANTED = CallbackSpec()

MakeSync = Callable[..., EstimateSync]


def test_the_list_shows_syncs_as_one_is_shown(client: TestClient, store: Any, make_sync: MakeSync) -> None:
    store.syncs = {"est-1": make_sync("est-1"), "est-2": make_sync("est-2", RUNNING)}

    result = client.simulate_get(SYNCS, query_string="status=running&limit=5")
    one = client.simulate_get(f"{SYNCS}/est-2").json

    assert result.status_code == 200
    del one["success"]
    assert result.json == {"success": True, "syncs": [one], "next_cursor": None}
    assert store.queries == [SyncQuery(limit=5, phases=frozenset({Phase.RUNNING}))]


def test_a_wrong_query_is_400_with_every_fault(client: TestClient) -> None:
    result = client.simulate_get(SYNCS, query_string="status=done&limit=0")

    assert (result.status_code, result.json["code"]) == (400, "invalid_request")
    assert len(result.json["errors"]) == 2


def test_an_unchanged_sync_is_answered_with_304_and_no_body(
    client: TestClient, store: Any, make_sync: MakeSync
) -> None:
    store.syncs["est-1"] = make_sync("est-1", RUNNING)
    tag = client.simulate_get(f"{SYNCS}/est-1").headers["etag"]

    same = client.simulate_get(f"{SYNCS}/est-1", headers={"If-None-Match": f'"other", W/{tag}'})
    store.syncs["est-1"] = make_sync("est-1", NOT_DELIVERED)
    changed = client.simulate_get(f"{SYNCS}/est-1", headers={"If-None-Match": tag})

    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert (changed.status_code, changed.json["status"]) == (200, "succeeded")
    assert changed.headers["etag"] != tag


def test_a_sync_is_cancelled(client: TestClient, store: Any, make_sync: MakeSync) -> None:
    store.syncs["est-1"] = make_sync("est-1", RUNNING)

    result = client.simulate_post(f"{SYNCS}/est-1/cancel")

    assert (result.status_code, result.json["success"]) == (202, True)
    assert result.json["message"] == "The sync will be stopped."
    assert (result.json["sync"]["sync_id"], result.json["sync"]["status"]) == ("est-1", "running")
    assert store.syncs["est-1"].spec.cancel


def test_a_sync_that_has_ended_cannot_be_cancelled_any_more(
    client: TestClient, store: Any, make_sync: MakeSync
) -> None:
    store.syncs["est-1"] = make_sync("est-1", NOT_DELIVERED)

    result = client.simulate_post(f"{SYNCS}/est-1/cancel")

    assert (result.status_code, result.json["message"]) == (200, "The sync had ended already.")
    assert not store.syncs["est-1"].spec.cancel


def test_each_redelivery_is_a_new_request(client: TestClient, store: Any, make_sync: MakeSync) -> None:
    store.syncs["est-1"] = make_sync("est-1", NOT_DELIVERED)

    result = client.simulate_post(f"{SYNCS}/est-1/redeliver")

    assert (result.status_code, result.json["sync"]["sync_id"]) == (202, "est-1")
    assert result.json["message"] == "The callback will be sent again, with the same id and body."
    assert store.redeliveries == [("est-1", "2025-10-17T02:30:15.007Z-k3x9q")]


OF_TARGETS = EstimateSyncStatus(
    phase=Phase.SUCCEEDED,
    **build_delivery_fields(
        tuple(CallbackStatus(state=CallbackState.FAILED, target=target) for target in ("billing", "crm"))
    ),
)


@pytest.mark.parametrize(
    ("body", "end"),
    [
        ("", ""),
        ('{"callback":null}', ""),
        ('{"callback":"crm"}', "/crm"),
        ('{"callback":["crm","billing"]}', "/crm,billing"),
    ],
)
def test_a_redelivery_may_be_of_some_targets(
    client: TestClient, store: Any, make_sync: MakeSync, body: str, end: str
) -> None:
    store.syncs["est-1"] = make_sync("est-1", OF_TARGETS)

    result = client.simulate_post(f"{SYNCS}/est-1/redeliver", body=body)

    assert result.status_code == 202
    assert [each["target"] for each in result.json["sync"]["callbacks"]] == ["billing", "crm"]
    assert store.redeliveries == [("est-1", f"2025-10-17T02:30:15.007Z-k3x9q{end}")]


def test_a_request_that_waits_for_the_operator_is_not_lost_to_the_next_one(
    client: TestClient, store: Any, make_sync: MakeSync
) -> None:
    store.syncs["est-1"] = make_sync("est-1", OF_TARGETS)

    for body in ('{"callback":"billing"}', '{"callback":"crm"}', "", '{"callback":"crm"}'):
        assert client.simulate_post(f"{SYNCS}/est-1/redeliver", body=body).status_code == 202

    token = "2025-10-17T02:30:15.007Z-k3x9q"
    requests = [f"{token}/billing", f"{token}/billing,crm", token, f"{token}/billing,crm"]
    assert [request for _, request in store.redeliveries] == requests


def test_a_request_that_was_served_is_no_part_of_the_next_one(
    client: TestClient, store: Any, make_sync: MakeSync
) -> None:
    served = tuple(msgspec.structs.replace(each, redelivery="monday") for each in OF_TARGETS.deliveries)
    sync = make_sync("est-1", msgspec.structs.replace(OF_TARGETS, **build_delivery_fields(served)))
    annotated = msgspec.structs.replace(sync.metadata, annotations={"botzilla.io/redeliver": "monday"})
    store.syncs["est-1"] = msgspec.structs.replace(sync, metadata=annotated)

    client.simulate_post(f"{SYNCS}/est-1/redeliver", body='{"callback":"crm"}')

    assert store.redeliveries == [("est-1", "2025-10-17T02:30:15.007Z-k3x9q/crm")]


def test_callbacks_that_are_requested_or_sent_already_are_not_sent_again_by_a_second_request_for_all(
    client: TestClient, store: Any, make_sync: MakeSync
) -> None:
    store.syncs = {name: make_sync(name, NOT_DELIVERED) for name in ("est-1", "est-2", "est-3")}
    delivered = make_sync(
        "est-2", msgspec.structs.replace(NOT_DELIVERED, callback=CallbackStatus(state=CallbackState.DELIVERED))
    )
    store.after_listing = lambda: store.syncs.update({"est-2": delivered})

    first, second = (client.simulate_post(f"{SYNCS}/redeliver") for _ in range(2))

    assert (first.json["sync_ids"], second.json["sync_ids"]) == (["est-1", "est-3"], [])
    assert [name for name, _ in store.redeliveries] == ["est-1", "est-3"]


def test_what_was_requested_of_one_target_leaves_the_others_to_a_request_for_all(
    client: TestClient, store: Any, make_sync: MakeSync
) -> None:
    failed = tuple(CallbackStatus(state=CallbackState.FAILED, target=name) for name in ("billing", "crm"))
    store.syncs["est-1"] = make_sync("est-1", EstimateSyncStatus(phase=Phase.FAILED, **build_delivery_fields(failed)))
    client.simulate_post(f"{SYNCS}/est-1/redeliver", body='{"callback":"crm"}')

    client.simulate_post(f"{SYNCS}/redeliver")

    token = "2025-10-17T02:30:15.007Z-k3x9q"
    assert [request for _, request in store.redeliveries] == [f"{token}/crm", f"{token}/crm,billing"]


def test_an_alert_that_was_given_up_is_sent_again_too_and_no_callback_with_it_that_was_delivered(
    client: TestClient, store: Any, make_sync: MakeSync
) -> None:
    told = AlertStatus(
        time=MOMENT, since=MOMENT, stale_after_hours=26, delivery=CallbackStatus(state=CallbackState.FAILED)
    )
    delivered = CallbackStatus(state=CallbackState.DELIVERED)
    statuses = {
        "est-1": EstimateSyncStatus(phase=Phase.SUCCEEDED, callback=delivered, alert=told),
        "est-2": msgspec.structs.replace(NOT_DELIVERED, alert=told),
        "est-3": msgspec.structs.replace(NOT_CALLED_BACK, alert=told),
    }
    store.syncs = {name: make_sync(name, status) for name, status in statuses.items()}

    client.simulate_post(f"{SYNCS}/redeliver")
    one = client.simulate_post(f"{SYNCS}/est-3/redeliver")

    token = "2025-10-17T02:30:15.007Z-k3x9q"
    assert one.status_code == 202
    assert store.redeliveries == [
        ("est-1", f"{token}/@alert"),
        ("est-2", token),
        ("est-3", f"{token}/@alert"),
        ("est-3", token),
    ]


def test_all_callbacks_that_were_given_up_are_sent_again_one_after_the_other(
    client: TestClient, store: Any, make_sync: MakeSync
) -> None:
    delivered = CallbackStatus(state=CallbackState.DELIVERED, target="billing")
    half = EstimateSyncStatus(
        phase=Phase.FAILED,
        **build_delivery_fields((delivered, CallbackStatus(state=CallbackState.FAILED, target="crm"))),
    )
    retrying = EstimateSyncStatus(phase=Phase.FAILED, callback=CallbackStatus(state=CallbackState.RETRYING))
    statuses = {"est-1": NOT_DELIVERED, "est-2": half, "est-3": retrying, "est-4": NOT_CALLED_BACK, "est-5": RUNNING}
    store.syncs = {name: make_sync(name, status) for name, status in statuses.items()}

    result = client.simulate_post(f"{SYNCS}/redeliver", body='{"since":"2025-10-01","until":null}')

    assert (result.status_code, result.json) == (
        202,
        {
            "success": True,
            "message": "Syncs whose callbacks will be sent again: 2.",
            "sync_ids": ["est-1", "est-2"],
            "next_cursor": None,
        },
    )
    token = "2025-10-17T02:30:15.007Z-k3x9q"
    assert store.redeliveries == [("est-1", token), ("est-2", f"{token}/crm")]
    (query,) = store.queries
    assert (query.limit, query.since is None, query.until) == (100, False, None)
    assert query.phases == {Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"since":"yesterday"}', "since: send a date like 2025-09-01 or an instant like 2025-09-01T14:00:00Z"),
        ('{"since":7}', "since: send a text"),
        ('{"failed":true}', "failed: unknown field; known are since, until, cursor"),
        ('{"cursor":"?"}', "cursor: send the next_cursor of the page before, or none"),
    ],
)
def test_a_filter_that_is_not_understood_sends_nothing(
    client: TestClient, store: Any, make_sync: MakeSync, body: str, message: str
) -> None:
    store.syncs["est-1"] = make_sync("est-1", NOT_DELIVERED)

    result = client.simulate_post(f"{SYNCS}/redeliver", body=body)

    assert (result.status_code, result.json["message"]) == (400, message)
    assert store.redeliveries == []


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (OF_TARGETS, '{"callback":"default"}', 'callback: "default" is not a target of this sync: billing, crm'),
        (NOT_DELIVERED, '{"callback":"crm"}', 'callback: "crm" is not a target of this sync: default'),
        (OF_TARGETS, '{"targets":"crm"}', "targets: unknown field; known is callback"),
        (OF_TARGETS, "[]", "The body must be a JSON object."),
    ],
)
def test_a_redelivery_of_what_there_is_not_is_refused(
    client: TestClient, store: Any, make_sync: MakeSync, status: EstimateSyncStatus, body: str, message: str
) -> None:
    store.syncs["est-1"] = make_sync("est-1", status)

    result = client.simulate_post(f"{SYNCS}/est-1/redeliver", body=body)

    assert (result.status_code, result.json["message"]) == (400, message)
    assert store.redeliveries == []


@pytest.mark.parametrize(
    ("status", "callback", "code"),
    [
        pytest.param(RUNNING, WANTED, "sync_not_finished", id="not ended"),
        pytest.param(NOT_CALLED_BACK, WANTED, "callback_not_configured", id="no target"),
        pytest.param(NOT_DELIVERED, CallbackSpec(enabled=False), "callback_not_configured", id="not wanted"),
        pytest.param(
            EstimateSyncStatus(phase=Phase.FAILED), WANTED, "callback_not_configured", id="without a callback"
        ),
    ],
)
def test_without_a_callback_to_send_there_is_409(
    client: TestClient, store: Any, make_sync: MakeSync, status: EstimateSyncStatus, callback: CallbackSpec, code: str
) -> None:
    sync = make_sync("est-1", status)
    spec = msgspec.structs.replace(sync.spec, callback=callback)
    store.syncs["est-1"] = msgspec.structs.replace(sync, spec=spec)

    result = client.simulate_post(f"{SYNCS}/est-1/redeliver")

    assert (result.status_code, result.json["code"], result.json["success"]) == (409, code, False)
    assert store.redeliveries == []


@pytest.mark.parametrize(
    ("method", "place"), [("GET", "logs"), ("POST", "cancel"), ("POST", "redeliver"), ("GET", "logs?follow=true")]
)
@pytest.mark.parametrize("name", ["est-9", "EST"])
def test_of_a_sync_that_is_not_there_nothing_can_be_asked(
    client: TestClient, method: str, place: str, name: str
) -> None:
    result = client.simulate_request(method, f"{SYNCS}/{name}/{place}")

    assert (result.status_code, result.json["code"]) == (404, "sync_not_found")


def test_the_log_is_plain_text(client: TestClient, store: Any, make_sync: MakeSync) -> None:
    store.syncs["est-1"] = make_sync("est-1", RUNNING)
    store.log = ("✅ one", "two")

    result = client.simulate_get(f"{SYNCS}/est-1/logs")

    assert (result.status_code, result.text) == (200, "✅ one\ntwo\n")
    assert result.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_sync_that_has_printed_nothing_has_an_empty_log(client: TestClient, store: Any, make_sync: MakeSync) -> None:
    store.syncs["est-1"] = make_sync("est-1")

    result = client.simulate_get(f"{SYNCS}/est-1/logs")

    assert (result.status_code, result.content) == (200, b"")


def test_a_log_that_cannot_be_read_now_is_503(
    client: TestClient, store: Any, make_sync: MakeSync, unavailable: Exception
) -> None:
    store.syncs["est-1"] = make_sync("est-1", RUNNING)
    store.log_fault = unavailable

    assert client.simulate_get(f"{SYNCS}/est-1/logs?follow=true").status_code == 503


def test_a_log_is_followed_to_the_end_of_its_sync(
    client: TestClient, store: Any, make_sync: MakeSync, pauses: list[float], unavailable: Exception
) -> None:
    store.syncs["est-1"] = make_sync("est-1", RUNNING)
    store.log = ("one", "two")
    store.fetches = [RUNNING, RUNNING, unavailable, NOT_DELIVERED]

    result = client.simulate_get(f"{SYNCS}/est-1/logs?follow=true")

    assert result.text == "one\ntwo\n"
    assert pauses == [1.0, 1.0]


@pytest.mark.parametrize(("query", "status"), [("follow=1", 400), ("follow=yes&follow=false", 200), ("follow=", 200)])
def test_whether_to_follow_must_be_said_plainly(
    client: TestClient, store: Any, make_sync: MakeSync, query: str, status: int
) -> None:
    store.syncs["est-1"] = make_sync("est-1", RUNNING)

    assert client.simulate_get(f"{SYNCS}/est-1/logs", query_string=query).status_code == status


def test_who_asked_is_on_the_sync_and_the_first_who_cancelled_stays(client: TestClient, store: Any) -> None:
    name = client.simulate_post("/sync-estimates").json["sync_id"]
    before = client.simulate_get(f"{SYNCS}/{name}").json
    client.simulate_post(f"{SYNCS}/{name}/cancel")
    other = {"X-API-KEY": "made-up-key-before"}
    client.simulate_post(f"{SYNCS}/{name}/cancel", headers=other)

    after = client.simulate_get(f"{SYNCS}/{name}").json

    assert (before["started_by"], "cancelled_by" in before) == ("make", False)
    assert (after["started_by"], after["cancelled_by"]) == ("make", "make")
    assert store.syncs[name].metadata.annotations["botzilla.io/cancelled-by"] == "make"
    assert "made-up-key" not in str(after)
