from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.redelivery import compute_redelivery_token, is_redelivery_requested
from estimatesync_contract.spec import CallbackSpec, EstimateSyncSpec
from estimatesync_contract.status import (
    CallbackAttemptRecord,
    CallbackState,
    CallbackStatus,
    Phase,
    build_delivery_fields,
)
from estimatesync_operator.core.lifecycle import compute_final_status
from estimatesync_operator.core.outcomes import CANCELLED
from estimatesync_operator.core.retention import compute_redelivery

MakeSync = Callable[..., EstimateSync]

AT = datetime(2025, 10, 16, 14, 20, tzinfo=UTC)


def _annotate(sync: EstimateSync, value: str) -> EstimateSync:
    metadata = msgspec.structs.replace(sync.metadata, annotations={"botzilla.io/redeliver": value})
    return msgspec.structs.replace(sync, metadata=metadata)


def _finished(make_sync: MakeSync, **callback: Any) -> EstimateSync:
    return make_sync("a", phase=Phase.SUCCEEDED, callback=CallbackStatus(**{"state": CallbackState.FAILED, **callback}))


@pytest.mark.parametrize(
    ("value", "served", "expected"),
    [
        pytest.param("1", None, True, id="the first request"),
        pytest.param("2", "1", True, id="another one"),
        pytest.param("1", "1", False, id="served"),
        pytest.param("", None, False, id="an empty value asks for nothing"),
    ],
)
def test_every_new_value_is_one_request(make_sync: MakeSync, value: str, served: str | None, *, expected: bool) -> None:
    assert is_redelivery_requested(_annotate(_finished(make_sync, redelivery=served), value)) is expected


def test_a_sync_that_has_not_ended_has_no_callback_to_redeliver(make_sync: MakeSync) -> None:
    assert not is_redelivery_requested(_annotate(make_sync("a", phase=Phase.RUNNING), "1"))


@pytest.mark.parametrize("has_target", [True, False])
def test_a_request_that_came_too_early_is_served_by_the_first_delivery(
    make_sync: MakeSync, has_target: bool  # noqa: FBT001 - a column
) -> None:  # fmt: skip
    early = _annotate(make_sync("a", phase=Phase.RUNNING, start_time=AT), "1")

    status = compute_final_status(early, CANCELLED, now=AT, job=None, environment="e", has_target=has_target)

    assert not is_redelivery_requested(msgspec.structs.replace(early, status=status))


def test_a_long_value_is_remembered_by_its_digest(make_sync: MakeSync) -> None:
    tokens = {compute_redelivery_token(_annotate(make_sync("a"), "x" * 5000 + end)) for end in "ab"}

    assert {len(token or "") for token in tokens} == {64}
    assert len(tokens) == 2


@pytest.mark.parametrize(("length", "is_kept"), [(64, True), (65, False)])
def test_a_value_of_up_to_64_characters_is_remembered_as_it_is(
    make_sync: MakeSync, length: int, *, is_kept: bool
) -> None:
    token = compute_redelivery_token(_annotate(make_sync("a"), "x" * length))

    assert (token == "x" * length) is is_kept


def test_a_callback_that_had_no_target_gets_an_id_and_its_environment(make_sync: MakeSync) -> None:
    sync = _annotate(_finished(make_sync, state=CallbackState.DISABLED), "1")

    (callback,) = compute_redelivery(sync, environment="e", has_target=True)

    assert callback == CallbackStatus(state=CallbackState.PENDING, id="msg_uid-a", environment="e", redelivery="1")


def test_a_redelivery_restarts_the_whole_schedule_with_the_same_id(make_sync: MakeSync) -> None:
    before: dict[str, Any] = {
        "attempts": 10,
        "earlier_attempts": 2,
        "next_attempt_time": AT,
        "history": (CallbackAttemptRecord(time=AT, status_code=503),),
    }
    sync = _annotate(_finished(make_sync, id="msg_1", environment="e", **before), "1")

    (callback,) = compute_redelivery(sync, environment="other", has_target=True)

    assert callback == CallbackStatus(
        state=CallbackState.PENDING,
        id="msg_1",
        environment="e",
        redelivery="1",
        earlier_attempts=12,
        history=before["history"],
    )


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param({}, "https://new.example/page/syncs/a", id="nothing was to be sent before"),
        pytest.param({"id": "msg_1", "environment": "e"}, None, id="none was sent before"),
        pytest.param(
            {"id": "msg_1", "environment": "e", "details_url": "https://old.example/x"},
            "https://old.example/x",
            id="another was sent before",
        ),
    ],
)
def test_a_redelivery_names_the_page_that_was_named_before(
    make_sync: MakeSync, before: dict[str, Any], expected: str | None
) -> None:
    sync = _annotate(_finished(make_sync, **before), "1")

    (callback,) = compute_redelivery(sync, environment="e", public_url="https://new.example", has_target=True)

    assert callback.details_url == expected


@pytest.mark.parametrize(
    ("wanted", "has_target"),
    [pytest.param(False, True, id="never wanted"), pytest.param(True, False, id="still no target")],
)
def test_a_request_that_cannot_be_met_is_seen_and_changes_nothing_else(
    make_sync: MakeSync, *, wanted: bool, has_target: bool
) -> None:
    spec = EstimateSyncSpec(callback=CallbackSpec(enabled=wanted))
    disabled = CallbackStatus(state=CallbackState.DISABLED, last_error="why")
    sync = _annotate(make_sync("a", phase=Phase.FAILED, spec=spec, callback=disabled), "1")

    (callback,) = compute_redelivery(sync, environment="e", has_target=has_target)

    assert callback == msgspec.structs.replace(disabled, redelivery="1")
    assert not is_redelivery_requested(
        msgspec.structs.replace(sync, status=msgspec.structs.replace(sync.status, callback=callback))
    )


def _of_targets(make_sync: MakeSync, value: str, **states: CallbackState) -> EstimateSync:
    deliveries = tuple(
        CallbackStatus(state=state, target=target, id=f"msg_{target}", environment="e", attempts=3)
        for target, state in states.items()
    )
    return _annotate(make_sync("a", phase=Phase.SUCCEEDED, **build_delivery_fields(deliveries)), value)


@pytest.mark.parametrize(
    ("value", "pending"),
    [
        pytest.param("monday", {"default", "billing", "crm"}, id="all"),
        pytest.param("monday/crm", {"crm"}, id="one"),
        pytest.param("monday/crm,default", {"crm", "default"}, id="some"),
        pytest.param("monday/elsewhere,crm", {"crm"}, id="one, and what is no name of a target"),
        pytest.param("monday/biling", set(), id="none: a mistyped name must not send all"),
    ],
)
def test_a_request_may_name_the_targets_whose_callbacks_are_sent_again(
    make_sync: MakeSync, value: str, pending: set[str]
) -> None:
    failed = CallbackState.FAILED
    sync = _of_targets(make_sync, value, default=failed, billing=failed, crm=failed)

    deliveries = compute_redelivery(sync, environment="other", has_target=True)

    assert {each.target for each in deliveries if each.state is CallbackState.PENDING} == pending
    assert {each.redelivery for each in deliveries} == {value}
    assert {(each.target, each.id) for each in deliveries} == {
        (name, f"msg_{name}") for name in ("default", "billing", "crm")
    }


def test_a_sync_that_names_no_targets_has_one_callback_that_every_request_is_about(make_sync: MakeSync) -> None:
    for value in ("12/1", "monday/default"):
        (callback,) = compute_redelivery(_annotate(_finished(make_sync), value), environment="e", has_target=True)

        assert (callback.state, callback.redelivery) == (CallbackState.PENDING, value)


def test_a_named_target_needs_no_webhook_for_all_other_syncs(make_sync: MakeSync) -> None:
    sync = _of_targets(make_sync, "monday", default=CallbackState.DISABLED, billing=CallbackState.FAILED)

    deliveries = compute_redelivery(sync, environment="e", has_target=False)

    assert [each.state for each in deliveries] == [CallbackState.DISABLED, CallbackState.PENDING]
