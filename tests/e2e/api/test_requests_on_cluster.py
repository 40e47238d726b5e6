"""What callers do with syncs that are there, on a real API server, with the rights of the API's own account."""

import http.client
import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from estimatesync_api.adapters.kubernetes_store import KubernetesStore
from estimatesync_api.redelivery import request_redelivery
from estimatesync_cluster.audit import read_api_calls
from estimatesync_cluster.product_processes import build_rights, read_rules
from estimatesync_contract.estimate_sync import EstimateSync

URL = "/api/automations/estimates/sync-external"
SYNCS = "/api/automations/estimates/syncs"
DELIVERED = {"phase": "Succeeded", "callback": {"state": "Delivered", "id": "msg_1", "attempts": 1}}


def list_ids(api: Any, query: str = "") -> list[str]:
    return [sync["sync_id"] for sync in api.ask("GET", f"{SYNCS}?{query}").body["syncs"]]


def wait_for_next_second(api: Any) -> None:
    second = int(time.time())
    api.wait_until("the next second", lambda: int(time.time()) > second)


def test_the_list_shows_at_once_what_was_posted_and_soon_what_others_did(api: Any) -> None:
    posted = [api.ask("POST", URL).body["sync_id"] for _ in range(3)]
    at_once = list_ids(api)
    wait_for_next_second(api)
    applied = {"apiVersion": "botzilla.io/v1", "kind": "EstimateSync", "metadata": {"name": "applied"}}
    api.create(applied)
    api.wait_until("the applied one", lambda: list_ids(api)[0] == "applied")
    api.write_status(posted[1], {"phase": "Failed", "message": "Login failed"})
    api.wait_until("the failed one", lambda: list_ids(api, "status=failed") == [posted[1]])

    first = api.ask("GET", f"{SYNCS}?limit=3").body
    second = api.ask("GET", f"{SYNCS}?limit=3&cursor={first['next_cursor']}").body
    api.delete("EstimateSync", posted[0])

    assert at_once == sorted(posted, reverse=True)
    assert [sync["sync_id"] for sync in first["syncs"]] == ["applied", posted[2], posted[1]]
    assert ([sync["sync_id"] for sync in second["syncs"]], second["next_cursor"]) == ([posted[0]], None)
    assert first["syncs"][2] == {k: v for k, v in api.ask("GET", f"{SYNCS}/{posted[1]}").body.items() if k != "success"}
    assert api.namespace not in json.dumps(first)
    api.wait_until("the deleted one to be gone", lambda: posted[0] not in list_ids(api))


def test_a_sync_is_cancelled_by_its_spec_and_only_once(api: Any) -> None:
    sync_id = api.ask("POST", URL).body["sync_id"]

    answers = [api.ask("POST", f"{SYNCS}/{sync_id}/cancel") for _ in range(2)]

    (sync,) = api.stored()
    assert [answer.status for answer in answers] == [202, 202]
    assert answers[0].body["sync"]["sync_id"] == sync_id
    assert (sync["spec"]["cancel"], sync["metadata"]["generation"]) == (True, 2)


def test_a_callback_is_asked_for_by_the_annotation_that_the_operator_knows(api: Any) -> None:
    sync_id = api.ask("POST", URL).body["sync_id"]
    too_early = api.ask("POST", f"{SYNCS}/{sync_id}/redeliver")
    api.write_status(sync_id, DELIVERED)

    values = set()
    for _ in range(2):
        answer = api.ask("POST", f"{SYNCS}/{sync_id}/redeliver")
        assert (answer.status, answer.body["sync"]["callback"]["state"]) == (202, "delivered")
        values.add(api.stored()[0]["metadata"]["annotations"]["botzilla.io/redeliver"])

    assert (too_early.status, too_early.body["code"]) == (409, "sync_not_finished")
    assert len(values) == 2
    asked = {name: who for name, who in api.stored()[0]["metadata"]["annotations"].items() if name.endswith("-by")}
    assert asked == {"botzilla.io/started-by": "make", "botzilla.io/redelivered-by": "make"}


def test_a_request_for_one_target_is_not_lost_to_one_for_another_at_the_same_moment(
    api: Any, kubeconfig: Path, run_async: Callable[..., Any]
) -> None:
    sync_id = api.ask("POST", URL).body["sync_id"]
    seen: list[str | None] = []

    def build(sync: EstimateSync) -> str:
        if not seen:
            asked = {"metadata": {"annotations": {"botzilla.io/redeliver": "monday/billing"}}}
            api.cluster.api.patch("EstimateSync", sync.name, asked, namespace=api.namespace)
        seen.append(sync.metadata.annotations.get("botzilla.io/redeliver"))
        return f"{seen[-1]},crm"

    async def ask() -> None:
        store = KubernetesStore(kubeconfig=str(kubeconfig), service_account=Path("unused"), namespace=api.namespace)
        await store.open()
        try:
            assert await request_redelivery(store, sync_id, build, by="make")
            assert await request_redelivery(store, sync_id, lambda _: None, by="crm") is None
            assert await request_redelivery(store, "est-none", build, by="crm") is None
        finally:
            await store.close()

    run_async(ask())

    annotations = api.stored()[0]["metadata"]["annotations"]
    assert seen == [None, "monday/billing"]
    assert annotations["botzilla.io/redeliver"] == "monday/billing,crm"
    assert annotations["botzilla.io/redelivered-by"] == "make"


def build_pod(name: str, uid: str, script: str) -> dict[str, Any]:
    container = {"name": "sync", "image": "estimatesync-sync:test", "command": ["sh", "-c", script]}
    metadata = {"name": name, "labels": {"batch.kubernetes.io/job-name": f"estimatesync-{uid}"}}
    spec = {"restartPolicy": "Never", "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def test_a_log_is_followed_from_pod_to_pod_until_the_sync_has_ended(api: Any) -> None:
    sync_id = api.ask("POST", URL).body["sync_id"]
    uid = api.stored()[0]["metadata"]["uid"]
    api.create(build_pod("z-first", uid, "echo ✅ one; sleep 2; echo two"))

    with closing(http.client.HTTPConnection("127.0.0.1", api.port, timeout=90)) as connection:
        connection.request("GET", f"{SYNCS}/{sync_id}/logs?follow=true", headers={"X-API-KEY": api.key})
        response = connection.getresponse()
        lines = [response.readline(), response.readline()]
        wait_for_next_second(api)
        api.create(build_pod("a-second", uid, "echo three; printf four"))
        lines.append(response.readline())
        api.wait_succeeded("a-second")
        api.write_status(sync_id, DELIVERED)
        rest = response.read()

    assert b"".join([*lines, rest]).decode() == "✅ one\ntwo\nthree\nfour\n"
    whole = api.read_text(f"{SYNCS}/{sync_id}/logs")
    assert whole == "✅ one\ntwo\nthree\nfour\n"


@pytest.mark.usefixtures("own_control_plane")
def test_every_right_of_the_api_is_used_and_no_other_is_asked_for(api: Any) -> None:
    sync_id = api.ask("POST", URL).body["sync_id"]
    uid = api.stored()[0]["metadata"]["uid"]
    api.run_pod(build_pod("one", uid, "echo one"))
    assert api.read_text(f"{SYNCS}/{sync_id}/logs") == "one\n"
    assert list_ids(api) == [sync_id]
    api.ask("POST", f"{SYNCS}/{sync_id}/cancel")

    # A watch is in the books when it has ended.
    api.stop()

    log = api.cluster.layout.log("audit")
    user = f"system:serviceaccount:{api.namespace}:estimatesync-api"
    api.wait_until(
        "the watch in the books", lambda: any(call.verb == "watch" for call in read_api_calls(log, user=user))
    )
    assert {(call.verb, call.resource) for call in read_api_calls(log, user=user)} == build_rights(read_rules("api"))
