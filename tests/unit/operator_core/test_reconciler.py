import asyncio
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

import msgspec
import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.log_lines import LOGGED_IN, format_retry
from estimatesync_contract.result import ResultError
from estimatesync_contract.spec import CallbackSpec, DateRange, EstimateSyncSpec
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_contract.status import CallbackState, CallbackStatus, ConditionStatus, Phase
from estimatesync_operator.core.job_observation import JobObservation, JobState, PodIdentity
from estimatesync_operator.core.plan import Result
from estimatesync_operator.core.ports import BackendUnavailableError, CallbackAttempt, StaleSyncError
from estimatesync_operator.reconciler import Reconciler

NOW = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)

Make = Callable[..., Reconciler]
ReconcileUntilIdle = Callable[[Reconciler, str], Result]
Finished = Callable[..., JobObservation]


class World(Protocol):
    """The fake of conftest.py, as far as these tests touch it."""

    time: Any
    syncs: dict[str, Any]
    observations: dict[str, JobObservation]
    log_tail: tuple[str, ...]
    created: list[str]
    stopped: list[str]
    leftovers_removed: list[str]
    events: list[tuple[str, str]]
    sent: list[tuple[str, bytes]]
    answers: list[CallbackAttempt]
    refusal: str | None
    names_taken: set[str]
    unreadable: set[str]
    strays: set[str]
    target_configured: bool
    touch_during_send: bool
    touch_during_observe: bool
    is_full: bool
    max_writes_at_once: int

    def add(self, name: str, **keywords: Any) -> Any: ...

    def touch(self, name: str, **changes: Any) -> None: ...


def test_a_new_sync_gets_its_range_a_slot_and_one_job(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    world.add("a")

    result = reconcile_until_idle(make_reconciler(), "a")

    status = world.syncs["a"].status
    assert (status.phase, status.reason) == (Phase.RUNNING, Reason.STARTING)
    assert (str(status.date_range.start), str(status.date_range.end)) == ("2025-09-01", "2025-10-16")
    assert status.job_name == "estimatesync-uid-a"
    assert world.created == ["a"]
    assert result.requeue_after == timedelta(seconds=5)
    assert [reason for _, reason in world.events] == ["JobCreated"]


def test_the_job_is_not_created_again_however_often_a_pass_is_repeated(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    world.add("a")
    reconciler = make_reconciler()

    for _ in range(5):
        reconcile_until_idle(reconciler, "a")

    assert world.created == ["a"]
    assert len(world.events) == 1


def test_a_job_is_on_record_with_its_first_news_and_not_created_again_if_it_is_deleted_before(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    for name in ("a", "b"):
        world.add(name)
    reconciler = make_reconciler(max_active_syncs=2)
    for name in ("a", "b"):
        reconcile_until_idle(reconciler, name)
        reconcile_until_idle(reconciler, name)
        assert world.syncs[name].status.is_job_pending

    world.time += timedelta(seconds=5)
    del world.observations["b"]
    for name in ("a", "b"):
        reconcile_until_idle(reconciler, name)

    assert world.created == ["a", "b"]
    assert world.syncs["a"].status.reason == Reason.RUNNING
    assert world.syncs["b"].status.reason == Reason.JOB_DELETED


def test_a_sync_of_the_same_name_gets_a_job_of_its_own(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, running: dict[str, Any]
) -> None:
    world.add("a")
    reconciler = make_reconciler()
    reconcile_until_idle(reconciler, "a")

    again = world.add("a", **{**running, "reason": "Starting"})
    world.syncs["a"] = msgspec.structs.replace(again, metadata=msgspec.structs.replace(again.metadata, uid="uid-2"))
    reconcile_until_idle(reconciler, "a")

    assert world.created == ["a", "a"]


def test_a_finished_job_ends_the_sync_and_its_callback_is_delivered_once(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
) -> None:
    world.add("a", **running)
    world.observations["a"] = finished_job("a")
    world.time += timedelta(seconds=487)

    reconcile_until_idle(make_reconciler(), "a")
    reconcile_until_idle(make_reconciler(), "a")

    status = world.syncs["a"].status
    assert (status.phase, status.duration_seconds) == (Phase.SUCCEEDED, 487)
    assert (status.results.new_estimates, status.results.updated_estimates) == (45, 1564)
    assert status.progress.text == "17/17"
    assert (status.callback.state, status.callback.attempts) == (CallbackState.DELIVERED, 1)
    ((callback_id, body),) = world.sent
    assert callback_id == "msg_uid-a"
    assert json.loads(body)["results"]["new_estimates"] == 45


def test_the_callback_names_the_page_of_the_sync_where_that_is_known_whatever_the_settings_become(
    world: World, make_reconciler: Make, finished_job: Finished, running: dict[str, Any]
) -> None:
    world.add("a", **running)
    world.observations["a"] = finished_job("a")
    world.answers = [CallbackAttempt(status_code=500)]

    for url in ("https://sync.example.com", "https://sync.example.com", "https://other.example", ""):
        asyncio.run(make_reconciler(public_url=url).reconcile("a"))
        world.time += timedelta(seconds=30)

    assert len(world.sent) == 2
    assert {json.loads(body)["details_url"] for _, body in world.sent} == {"https://sync.example.com/page/syncs/a"}


def test_the_callback_is_on_record_before_the_first_attempt(
    world: World, make_reconciler: Make, finished_job: Finished, running: dict[str, Any]
) -> None:
    world.add("a", **running)
    world.observations["a"] = finished_job("a")

    asyncio.run(make_reconciler(environment="staging").reconcile("a"))

    callback = world.syncs["a"].status.callback
    assert (callback.state, callback.id, callback.environment) == (CallbackState.PENDING, "msg_uid-a", "staging")
    assert world.sent == []


def test_the_message_for_bad_credentials_is_kept_word_for_word(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
) -> None:
    world.add("a", **running)
    cause = "Login to Attic Tech failed: Invalid credentials"
    world.observations["a"] = finished_job("a", ResultError(reason=Reason.LOGIN_FAILED, message=cause, retryable=False))

    reconcile_until_idle(make_reconciler(), "a")

    status = world.syncs["a"].status
    assert (status.phase, status.reason, status.message) == (Phase.FAILED, Reason.LOGIN_FAILED, cause)
    assert status.results.total_processed == 0
    assert json.loads(world.sent[0][1])["error"] == cause


def test_a_failed_delivery_is_tried_again_with_the_same_id_and_body(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
) -> None:
    world.add("a", **running)
    world.observations["a"] = finished_job("a")
    world.answers = [CallbackAttempt(error="connection refused"), CallbackAttempt(status_code=503)]
    reconciler = make_reconciler()

    for expected_attempts in (1, 2, 3):
        result = reconcile_until_idle(reconciler, "a")
        assert world.syncs["a"].status.callback.attempts == expected_attempts
        world.time += result.requeue_after or timedelta(0)

    assert world.syncs["a"].status.callback.state is CallbackState.DELIVERED
    assert len(world.sent) == 3
    assert len(set(world.sent)) == 1


def test_each_target_has_its_own_id_attempts_and_schedule(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
) -> None:
    spec = EstimateSyncSpec(callback=CallbackSpec(targets=("billing", "default", "crm")))
    world.add("a", spec=spec, **running)
    world.observations["a"] = finished_job("a")
    world.answers = [
        CallbackAttempt(error="connection refused"),
        CallbackAttempt(status_code=410),
        CallbackAttempt(status_code=200),
    ]
    reconciler = make_reconciler()

    result = reconcile_until_idle(reconciler, "a")
    status = world.syncs["a"].status
    assert [(each.target, each.state) for each in status.callbacks] == [
        ("billing", CallbackState.RETRYING),
        ("default", CallbackState.FAILED),
        ("crm", CallbackState.DELIVERED),
    ]
    assert status.callback == status.callbacks[0]
    assert {each.type: each.reason for each in status.conditions}["CallbackDelivered"] == "Failed"
    assert status.owes_callback

    world.time += result.requeue_after or timedelta(0)
    reconcile_until_idle(reconciler, "a")

    status = world.syncs["a"].status
    assert [(each.state, each.attempts) for each in status.callbacks] == [
        (CallbackState.DELIVERED, 2),
        (CallbackState.FAILED, 1),
        (CallbackState.DELIVERED, 1),
    ]
    assert [id_ for id_, _ in world.sent] == [
        *("msg_uid-a_billing", "msg_uid-a_default", "msg_uid-a_crm"),
        "msg_uid-a_billing",
    ]
    assert world.targets == ["billing", "default", "crm", "billing"]
    assert len({body for _, body in world.sent}) == 1
    assert [reason for _, reason in world.events if reason.startswith("Callback")] == [
        *("CallbackRetrying", "CallbackFailed", "CallbackDelivered", "CallbackDelivered"),
    ]


def test_callbacks_are_delivered_though_one_is_disabled(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
) -> None:
    spec = EstimateSyncSpec(callback=CallbackSpec(targets=("default", "billing")))
    world.add("a", spec=spec, **running)
    world.observations["a"] = finished_job("a")
    world.target_configured = False

    reconcile_until_idle(make_reconciler(), "a")

    status = world.syncs["a"].status
    assert [each.state for each in status.callbacks] == [CallbackState.DISABLED, CallbackState.DELIVERED]
    condition = next(each for each in status.conditions if each.type == "CallbackDelivered")
    assert (condition.status, condition.reason) == (ConditionStatus.TRUE, "Delivered")


def test_a_label_set_during_a_delivery_does_not_cause_a_second_one(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
) -> None:
    world.add("a", **running)
    world.observations["a"] = finished_job("a")
    world.touch_during_send = True

    reconcile_until_idle(make_reconciler(), "a")

    assert len(world.sent) == 1
    assert world.syncs["a"].status.callback.state is CallbackState.DELIVERED


def test_a_delivery_that_cannot_be_recorded_is_not_made_again(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
) -> None:
    world.add("a", **running)
    world.observations["a"] = finished_job("a")
    reconciler = make_reconciler()
    asyncio.run(reconciler.reconcile("a"))

    world.is_full = True
    for _ in range(3):
        with pytest.raises(BackendUnavailableError):
            asyncio.run(reconciler.reconcile("a"))
    world.is_full = False
    reconcile_until_idle(reconciler, "a")

    assert len(world.sent) == 1
    assert world.syncs["a"].status.callback.state is CallbackState.DELIVERED


@pytest.mark.parametrize(
    ("spec", "configured", "words"),
    [
        pytest.param(EstimateSyncSpec(), False, "MAKE_SYNC_CALLBACK_WEBHOOK_URL", id="no URL configured"),
        pytest.param(EstimateSyncSpec(callback=CallbackSpec(enabled=False)), True, "asked for no", id="not wanted"),
    ],
)
def test_without_a_target_the_callback_is_disabled_and_the_status_says_why(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
    spec: EstimateSyncSpec,
    configured: bool,  # noqa: FBT001 - a table's column
    words: str,
) -> None:
    world.add("a", spec=spec, **running)
    world.observations["a"] = finished_job("a")
    world.target_configured = configured

    reconcile_until_idle(make_reconciler(), "a")

    callback = world.syncs["a"].status.callback
    assert callback.state is CallbackState.DISABLED
    assert words in callback.last_error
    assert world.sent == []


def test_only_as_many_run_as_allowed_oldest_first(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    for name, age in (("young", 1), ("old", 3), ("middle", 2)):
        world.add(name, age=age)
    reconciler = make_reconciler()

    for name in ("young", "old", "middle", "young"):
        reconcile_until_idle(reconciler, name)

    assert world.created == ["old"]
    assert world.syncs["young"].status.message == "Position 2; waiting for old"
    assert world.syncs["middle"].status.message == "Position 1; waiting for old"


def test_two_concurrent_passes_do_not_take_the_same_slot(world: World, make_reconciler: Make) -> None:
    world.add("old", age=2, phase=Phase.QUEUED, spec=EstimateSyncSpec(suspend=True))
    world.add("young", age=1, phase=Phase.QUEUED)
    reconciler = make_reconciler(max_active_syncs=1)

    async def resume_the_old_one_while_the_young_one_takes_the_place() -> None:
        young = asyncio.create_task(reconciler.reconcile("young"))
        await asyncio.sleep(0)
        world.touch("old", spec=EstimateSyncSpec(suspend=False))
        await asyncio.gather(young, reconciler.reconcile("old"))

    asyncio.run(resume_the_old_one_while_the_young_one_takes_the_place())

    assert [world.syncs[name].status.phase for name in ("young", "old")] == [Phase.RUNNING, Phase.QUEUED]


def test_the_next_in_the_queue_is_requeued_when_a_slot_becomes_free(
    world: World, make_reconciler: Make, finished_job: Finished, running: dict[str, Any]
) -> None:
    world.add("a", **running)
    world.observations["a"] = finished_job("a")
    world.add("b", age=1, phase=Phase.QUEUED)
    world.add("c", age=2, phase=Phase.QUEUED)

    result = asyncio.run(make_reconciler().reconcile("a"))

    assert result.requeue == ("c", "b")


def test_the_next_in_the_queue_is_requeued_to_learn_what_it_waits_for(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    for age, name in enumerate(("c", "b", "a")):
        world.add(name, age=age)
    reconciler = make_reconciler()
    for name in ("c", "b"):
        reconcile_until_idle(reconciler, name)

    result = asyncio.run(reconciler.reconcile("a"))
    reconcile_until_idle(reconciler, "b")

    assert result.requeue == ("b", "c")
    assert world.syncs["b"].status.message == "Position 1; waiting for a"


def test_the_next_in_line_is_woken_when_the_running_one_is_deleted(world: World, make_reconciler: Make) -> None:
    world.add("b", phase=Phase.QUEUED)

    result = asyncio.run(make_reconciler().reconcile("deleted"))

    assert result.requeue == ("b",)
    assert world.leftovers_removed == ["deleted"]


def test_progress_is_read_from_the_log(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    world.add("a")
    reconciler = make_reconciler()
    reconcile_until_idle(reconciler, "a")
    world.observations["a"] = JobObservation(state=JobState.ACTIVE)
    world.log_tail = ("🔍 [SYNC] Page 9/17: 100 estimates", "✅ [SYNC] Page 9 complete. Total so far: 900")
    world.time += timedelta(seconds=5)

    reconcile_until_idle(reconciler, "a")

    status = world.syncs["a"].status
    assert (status.progress.text, status.progress.fetched) == ("9/17", 900)
    assert status.message == "Page 9/17, 900 estimates so far"


def test_whom_a_sync_waits_for_is_read_from_the_log_and_ends_with_its_next_answer_or_its_run(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    world.add("a")
    reconciler = make_reconciler()
    reconcile_until_idle(reconciler, "a")
    away = format_retry(
        "The login",
        "nothing listens at attic.example:443",
        attempt=2,
        attempts=7,
        seconds=1,
        at=world.time,
        cause=SpecificCause.SOURCE_NOT_LISTENING,
    )
    shown = []

    for state, tail in (
        (JobState.ACTIVE, (away,)),
        (JobState.ACTIVE, (away, LOGGED_IN)),
        (JobState.ACTIVE, (away,)),
        (JobState.PENDING, ()),
    ):
        world.observations["a"], world.log_tail = JobObservation(state=state), tail
        world.time += timedelta(seconds=5)
        reconcile_until_idle(reconciler, "a")
        status = world.syncs["a"].status
        shown.append((status.cause, (status.message or "")[:20]))

    waiting = ("SourceNotListening", "Attic Tech is not av")
    assert shown == [waiting, (None, "Connecting"), waiting, (None, "Created job estimate")]


@pytest.mark.parametrize(
    ("phase", "stopped"),
    [pytest.param(Phase.RUNNING, ["a"], id="running"), pytest.param(Phase.QUEUED, [], id="queued")],
)
def test_cancel_stops_the_job_and_tells(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    running: dict[str, Any],
    phase: Phase,
    stopped: list[str],
) -> None:
    world.add("a", spec=EstimateSyncSpec(cancel=True), **{**running, "phase": phase})
    if phase is Phase.RUNNING:
        world.observations["a"] = JobObservation(state=JobState.ACTIVE)

    reconcile_until_idle(make_reconciler(), "a")

    assert world.stopped == stopped
    assert world.syncs["a"].status.phase is Phase.CANCELLED
    assert json.loads(world.sent[0][1])["error"] == "Cancelled"


def test_a_cancelled_sync_keeps_its_slot_until_its_job_has_stopped(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, running: dict[str, Any]
) -> None:
    world.add("a", spec=EstimateSyncSpec(cancel=True), **running)
    world.observations["a"] = JobObservation(state=JobState.STOPPING)
    reconciler = make_reconciler()

    result = reconcile_until_idle(reconciler, "a")

    assert result.requeue_after == timedelta(seconds=1)
    assert (world.syncs["a"].status.phase, world.syncs["a"].status.reason) == (Phase.RUNNING, Reason.STOPPING)
    del world.observations["a"]
    reconcile_until_idle(reconciler, "a")
    assert world.syncs["a"].status.phase is Phase.CANCELLED


def test_a_job_at_work_for_a_sync_that_has_ended_is_stopped(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, running: dict[str, Any]
) -> None:
    """A request to create it can arrive late."""
    ended = {"phase": Phase.CANCELLED, "reason": "Cancelled", "completion_time": NOW}
    world.add("a", **{**running, **ended, "callback": CallbackStatus(state=CallbackState.DELIVERED)})
    world.strays = {"a"}

    reconcile_until_idle(make_reconciler(), "a")

    assert world.stopped == ["a"]
    assert world.syncs["a"].status.phase is Phase.CANCELLED


def test_cancelling_spares_a_foreign_job_of_our_name(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, running: dict[str, Any]
) -> None:
    world.add("a", spec=EstimateSyncSpec(cancel=True), **running)
    world.observations["a"] = JobObservation(state=JobState.FOREIGN)

    reconcile_until_idle(make_reconciler(), "a")

    assert world.stopped == []


@pytest.mark.parametrize(
    ("observation", "reason"),
    [
        pytest.param(None, Reason.JOB_DELETED, id="a person deleted the job"),
        pytest.param(JobObservation(state=JobState.FOREIGN), Reason.JOB_CONFLICT, id="the name is taken"),
    ],
)
def test_a_job_that_is_not_there_any_more_is_a_failure_never_a_second_job(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    running: dict[str, Any],
    observation: JobObservation | None,
    reason: Reason,
) -> None:
    world.add("a", **running)
    if observation:
        world.observations["a"] = observation

    reconcile_until_idle(make_reconciler(), "a")

    assert world.created == []
    assert world.syncs["a"].status.reason == reason


def test_a_refused_job_is_asked_for_again_until_the_time_is_over(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    world.add("a", spec=EstimateSyncSpec(timeout_seconds=60))
    world.refusal = 'exceeded quota: "jobs"'
    reconciler = make_reconciler()

    result = reconcile_until_idle(reconciler, "a")

    assert result.requeue_after == timedelta(seconds=15)
    assert world.syncs["a"].status.reason == Reason.JOB_REFUSED

    world.time += timedelta(seconds=61)
    reconcile_until_idle(reconciler, "a")

    status = world.syncs["a"].status
    assert (status.phase, status.reason) == (Phase.FAILED, Reason.JOB_REFUSED)
    assert "exceeded quota" in status.message


def test_a_refusal_that_passes_is_forgotten(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    world.add("a")
    world.refusal = "the webhook is down"
    reconciler = make_reconciler()
    reconcile_until_idle(reconciler, "a")

    world.refusal = None
    reconcile_until_idle(reconciler, "a")

    assert world.created == ["a"]
    assert world.syncs["a"].status.reason == Reason.RUNNING


@pytest.mark.parametrize(
    ("own", "kept"),
    [pytest.param(3600, timedelta(hours=1), id="its own"), pytest.param(None, timedelta(days=2), id="the default")],
)
def test_a_finished_sync_is_removed_after_its_time_and_not_before(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
    own: int | None,
    kept: timedelta,
) -> None:
    world.add("a", spec=EstimateSyncSpec(ttl_seconds_after_finished=own), **running)
    world.observations["a"] = finished_job("a")
    world.time += timedelta(seconds=487)
    reconciler = make_reconciler(default_ttl=timedelta(days=2))

    result = reconcile_until_idle(reconciler, "a")

    assert result.requeue_after == kept
    world.time += kept
    world.add("b", phase=Phase.SUCCEEDED, completion_time=world.time)
    reconcile_until_idle(reconciler, "a")
    assert list(world.syncs) == ["b"]


def test_the_newest_sync_that_has_succeeded_stays_until_a_newer_one_has(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    spec = EstimateSyncSpec(ttl_seconds_after_finished=0)
    world.add("a", spec=spec, phase=Phase.SUCCEEDED, observed_generation=1, completion_time=world.time)
    world.add("failed", phase=Phase.FAILED, observed_generation=1, completion_time=world.time + timedelta(hours=1))
    reconciler = make_reconciler()

    world.time += timedelta(days=30)
    result = reconcile_until_idle(reconciler, "a")
    assert (result.requeue_after, world.syncs["a"].status.retained) == (timedelta(hours=1), True)

    world.add("b", phase=Phase.SUCCEEDED, observed_generation=1, completion_time=world.time)
    reconcile_until_idle(reconciler, "a")
    assert "a" not in world.syncs


def test_syncs_that_succeed_more_often_than_they_are_looked_at_do_not_keep_each_other(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    spec = EstimateSyncSpec(ttl_seconds_after_finished=3600)
    reconciler = make_reconciler()
    for number in range(24):
        if number % 2 == 0:
            world.add(f"s{number}", spec=spec, phase=Phase.SUCCEEDED, observed_generation=1, completion_time=world.time)
        for name in tuple(world.syncs):
            reconcile_until_idle(reconciler, name)
        world.time += timedelta(hours=1)

    assert len(world.syncs) == 1


def test_an_end_in_the_future_does_not_cost_the_last_success_its_place(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    spec = EstimateSyncSpec(ttl_seconds_after_finished=0)
    for name, end in {"real": world.time, "future": world.time + timedelta(days=365)}.items():
        world.add(name, spec=spec, phase=Phase.SUCCEEDED, observed_generation=1, completion_time=end)

    world.time += timedelta(days=1)
    reconcile_until_idle(make_reconciler(), "real")

    assert world.syncs["real"].status.retained


def test_a_finished_sync_stays_while_its_callback_is_under_way(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
) -> None:
    world.add("a", spec=EstimateSyncSpec(ttl_seconds_after_finished=0), **running)
    world.observations["a"] = finished_job("a")
    world.answers = [CallbackAttempt(error="connection refused")]

    reconcile_until_idle(make_reconciler(), "a")

    assert "a" in world.syncs


def test_a_sync_that_moved_on_during_the_pass_is_not_overwritten(
    world: World, make_reconciler: Make, running: dict[str, Any]
) -> None:
    world.add("a", **running)
    world.touch_during_observe = True

    with pytest.raises(StaleSyncError):
        asyncio.run(make_reconciler().reconcile("a"))

    assert world.syncs["a"].status.phase is Phase.RUNNING
    assert world.events == []


@pytest.mark.parametrize(
    ("state", "error"),
    [
        pytest.param(CallbackState.DELIVERED, None, id="delivered before"),
        pytest.param(CallbackState.FAILED, "gave up", id="given up before"),
        pytest.param(CallbackState.RETRYING, "refused", id="being retried"),
        pytest.param(CallbackState.DISABLED, "no URL", id="had nowhere to go"),
    ],
)
def test_a_callback_is_delivered_again_once_for_each_request(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
    state: CallbackState,
    error: str | None,
) -> None:
    world.add("a", **running)
    world.observations["a"] = finished_job("a")
    reconciler = make_reconciler()
    reconcile_until_idle(reconciler, "a")
    body = world.sent.pop()
    finished = world.syncs["a"].status
    later = world.time + timedelta(hours=1)
    callback = CallbackStatus(
        state=state, id="msg_uid-a", environment="production", attempts=7, last_error=error, next_attempt_time=later
    )
    world.touch("a", status=msgspec.structs.replace(finished, callback=callback))

    annotated = msgspec.structs.replace(world.syncs["a"].metadata, annotations={"botzilla.io/redeliver": "monday"})
    world.syncs["a"] = msgspec.structs.replace(world.syncs["a"], metadata=annotated)
    for _ in range(3):
        reconcile_until_idle(reconciler, "a")

    assert world.sent == [body]
    delivered = world.syncs["a"].status.callback
    assert (delivered.state, delivered.attempts, delivered.redelivery) == (CallbackState.DELIVERED, 1, "monday")


def test_an_object_that_cannot_be_understood_is_left_alone_with_its_job(world: World, make_reconciler: Make) -> None:
    world.unreadable = {"odd"}

    result = asyncio.run(make_reconciler().reconcile("odd"))

    assert result == Result()
    assert world.leftovers_removed == []


def test_suspended_syncs_take_no_slot(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    world.add("a", age=2, spec=EstimateSyncSpec(suspend=True))
    world.add("b", age=1)
    reconciler = make_reconciler()

    reconcile_until_idle(reconciler, "a")
    reconcile_until_idle(reconciler, "b")

    assert world.created == ["b"]
    assert world.syncs["a"].status.reason == Reason.SUSPENDED


def test_a_cancel_that_comes_after_the_end_of_the_job_changes_nothing(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
) -> None:
    world.add("a", spec=EstimateSyncSpec(cancel=True), **running)
    world.observations["a"] = finished_job("a")

    reconcile_until_idle(make_reconciler(), "a")

    assert world.stopped == []
    assert world.syncs["a"].status.phase is Phase.SUCCEEDED
    assert json.loads(world.sent[0][1])["results"]["new_estimates"] == 45


def test_progress_is_read_once_per_interval_however_often_own_writes_trigger_a_pass(
    world: World, make_reconciler: Make, running: dict[str, Any]
) -> None:
    world.add("a", **running)
    world.observations["a"] = JobObservation(state=JobState.ACTIVE)
    reconciler = make_reconciler()

    shown = []
    for page in range(1, 6):
        world.log_tail = (
            f"🔍 [SYNC] Page {page}/17: 100 estimates",
            f"✅ [SYNC] Page {page} complete. Total so far: 1",
        )
        result = asyncio.run(reconciler.reconcile("a"))
        shown.append(world.syncs["a"].status.progress.page)
        world.time += timedelta(milliseconds=500)

    assert shown == [1, 1, 1, 1, 5]
    assert result.requeue_after == timedelta(seconds=2)


def test_a_clock_that_is_set_back_does_not_delay_the_next_pass(
    world: World, make_reconciler: Make, running: dict[str, Any]
) -> None:
    world.add("a", **running)
    world.observations["a"] = JobObservation(state=JobState.ACTIVE)
    reconciler = make_reconciler()
    asyncio.run(reconciler.reconcile("a"))

    world.time -= timedelta(hours=1)
    result = asyncio.run(reconciler.reconcile("a"))

    assert result.requeue_after == timedelta(seconds=2)


@pytest.mark.parametrize(
    ("status", "observation"),
    [
        pytest.param({"phase": Phase.QUEUED, "age": -1}, None, id="queued"),
        pytest.param({}, JobObservation(state=JobState.PENDING), id="waiting for a pod"),
        pytest.param({}, JobObservation(state=JobState.PENDING, waiting_reason="ErrImagePull"), id="stuck"),
        pytest.param({}, JobObservation(state=JobState.ACTIVE, failed_runs=1), id="running"),
        pytest.param({"reason": "JobRefused"}, None, id="refused"),
        pytest.param(
            {
                "phase": Phase.SUCCEEDED,
                "callback": CallbackStatus(
                    state=CallbackState.RETRYING, attempts=1, next_attempt_time=NOW + timedelta(minutes=1)
                ),
            },
            None,
            id="waiting for the next delivery",
        ),
        pytest.param({"phase": Phase.FAILED, "completion_time": NOW}, None, id="finished"),
    ],
)
def test_a_pass_that_finds_nothing_new_writes_nothing(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    running: dict[str, Any],
    status: dict[str, Any],
    observation: JobObservation | None,
) -> None:
    world.add("a", **{**running, **status})
    world.add("b", **running)
    world.refusal = "quota"
    if observation:
        world.observations["a"] = observation
    reconciler = make_reconciler()
    reconcile_until_idle(reconciler, "a")
    version, events = world.syncs["a"].metadata.resource_version, len(world.events)

    for _ in range(3):
        world.time += timedelta(seconds=5)
        reconcile_until_idle(reconciler, "a")

    assert world.syncs["a"].metadata.resource_version == version
    assert len(world.events) == events


def test_a_blocker_is_shown_at_once_even_between_two_readings_of_the_log(
    world: World, make_reconciler: Make, running: dict[str, Any]
) -> None:
    world.add("a", **running)
    world.observations["a"] = JobObservation(state=JobState.ACTIVE)
    reconciler = make_reconciler()
    asyncio.run(reconciler.reconcile("a"))

    world.observations["a"] = JobObservation(state=JobState.PENDING, waiting_reason="Unschedulable")
    result = asyncio.run(reconciler.reconcile("a"))

    assert world.syncs["a"].status.reason == Reason.UNSCHEDULABLE
    assert result.requeue_after == timedelta(seconds=15)


def test_a_job_is_created_at_least_once_even_if_its_deadline_passed_while_no_operator_ran(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, running: dict[str, Any]
) -> None:
    world.add("a", **{**running, "reason": "Starting", "message": "Starting"})
    world.time += timedelta(days=1)

    reconcile_until_idle(make_reconciler(), "a")

    assert world.created == ["a"]


def test_a_job_refused_until_the_deadline_ends_with_a_message_that_is_still_true(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, running: dict[str, Any]
) -> None:
    world.add("a", spec=EstimateSyncSpec(timeout_seconds=60), **{**running, "reason": "JobRefused", "message": "old"})
    world.refusal = 'exceeded quota: "jobs"'
    world.time += timedelta(seconds=61)

    reconcile_until_idle(make_reconciler(), "a")

    status = world.syncs["a"].status
    assert status.phase is Phase.FAILED
    assert status.message.startswith("The cluster refuses the job. Check the quotas")
    assert status.message.endswith(': exceeded quota: "jobs"')


def test_a_blocker_that_lasts_too_long_ends_the_sync_even_across_restarts(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, running: dict[str, Any]
) -> None:
    world.add("a", **running)
    world.observations["a"] = JobObservation(state=JobState.PENDING, waiting_reason="ErrImagePull")

    reconcile_until_idle(make_reconciler(stuck_limit=timedelta(seconds=60)), "a")
    world.time += timedelta(seconds=50)
    result = reconcile_until_idle(make_reconciler(stuck_limit=timedelta(seconds=60)), "a")

    assert result.requeue_after == timedelta(seconds=10)
    assert world.syncs["a"].status.phase is Phase.RUNNING
    world.time += timedelta(seconds=10)
    reconcile_until_idle(make_reconciler(stuck_limit=timedelta(seconds=60)), "a")
    status = world.syncs["a"].status
    assert (status.phase, status.reason) == (Phase.FAILED, Reason.IMAGE_PULL_FAILED)
    assert status.message.startswith("Gave up after 60 seconds. The sync image is not available")
    assert world.stopped == ["a"]
    assert json.loads(world.sent[0][1])["error"] == status.message


def test_a_blocker_that_goes_away_in_time_is_forgotten(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, running: dict[str, Any]
) -> None:
    world.add("a", **running)
    reconciler = make_reconciler(stuck_limit=timedelta(seconds=60))
    world.observations["a"] = JobObservation(state=JobState.PENDING, waiting_reason="ErrImagePull")
    reconcile_until_idle(reconciler, "a")

    world.time += timedelta(seconds=70)
    world.observations["a"] = JobObservation(state=JobState.ACTIVE)
    reconcile_until_idle(reconciler, "a")

    assert world.syncs["a"].status.reason == Reason.RUNNING
    assert world.stopped == []


def test_a_job_that_stays_refused_ends_the_sync_by_the_limit(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    world.add("a")
    world.refusal = "quota"
    reconciler = make_reconciler(stuck_limit=timedelta(seconds=60))
    reconcile_until_idle(reconciler, "a")

    world.time += timedelta(seconds=60)
    reconcile_until_idle(reconciler, "a")

    status = world.syncs["a"].status
    assert (status.phase, status.reason) == (Phase.FAILED, Reason.JOB_REFUSED)
    assert status.message.endswith(": quota")


def test_a_job_whose_name_is_taken_is_checked_before_it_counts_as_ours(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, running: dict[str, Any]
) -> None:
    world.add("mine", **{**running, "reason": "Starting"})
    world.add("theirs", **{**running, "reason": "Starting"})
    world.observations["mine"] = JobObservation(state=JobState.ACTIVE)
    world.observations["theirs"] = JobObservation(state=JobState.FOREIGN)
    world.names_taken = {"mine", "theirs"}
    reconciler = make_reconciler()

    reconcile_until_idle(reconciler, "mine")
    reconcile_until_idle(reconciler, "theirs")

    assert world.created == []
    assert world.syncs["mine"].status.reason == Reason.RUNNING
    assert world.syncs["theirs"].status.reason == Reason.JOB_CONFLICT


def test_a_change_of_a_finished_sync_counts_as_seen(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    world.add(
        "a",
        generation=2,
        phase=Phase.SUCCEEDED,
        observed_generation=1,
        completion_time=world.time,
        callback=CallbackStatus(state=CallbackState.DISABLED),
    )

    reconcile_until_idle(make_reconciler(), "a")

    assert world.syncs["a"].status.observed_generation == 2
    assert world.events == []


def test_a_sync_that_is_evicted_again_and_again_ends_by_the_bound_also_across_restarts(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, running: dict[str, Any]
) -> None:
    world.add("a", **running)
    for pod in ("one", "two", "three", "four"):
        assert world.syncs["a"].status.phase is Phase.RUNNING
        world.observations["a"] = JobObservation(state=JobState.ACTIVE, pod_name=pod)
        reconcile_until_idle(make_reconciler(max_evictions=2), "a")

    status = world.syncs["a"].status
    assert (status.phase, status.reason, status.runs) == (Phase.FAILED, Reason.EVICTED_TOO_OFTEN, 4)
    assert status.message.startswith("The cluster took the sync off its node 3 times. ")
    assert world.stopped == ["a"]
    assert json.loads(world.sent[0][1])["error"] == status.message


@pytest.mark.parametrize(
    ("status_code", "at_once"), [pytest.param(503, 8, id="failed"), pytest.param(200, 50, id="delivered")]
)
def test_failed_attempts_are_recorded_a_few_at_a_time_so_that_they_delay_no_other_write(
    world: World, make_reconciler: Make, status_code: int, at_once: int
) -> None:
    pending = CallbackStatus(state=CallbackState.PENDING, id="msg_6f1c", environment="production")
    days = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
    finished = {
        "phase": Phase.FAILED,
        "reason": "PodFailed",
        "message": "made up",
        "date_range": days,
        "completion_time": NOW,
    }
    names = [f"sync-{number}" for number in range(50)]
    for name in names:
        world.add(name, observed_generation=1, callback=pending, **finished)
    world.answers = [CallbackAttempt(status_code=status_code) for _ in names]
    reconciler = make_reconciler()

    async def reconcile_all() -> None:
        await asyncio.gather(*(reconciler.reconcile(name) for name in names))

    asyncio.run(reconcile_all())

    assert world.max_writes_at_once == at_once
    assert {world.syncs[name].status.callback.attempts for name in names} == {1}


def test_a_refused_job_that_is_there_all_the_same_is_ours(
    world: World, make_reconciler: Make, finished_job: Finished, running: dict[str, Any]
) -> None:
    """Its creation was given up without an answer; the quota that it fills refuses it before its name is looked at."""
    world.add("a", **{**running, "reason": "Starting"})
    world.refusal = "exceeded quota: jobs"
    world.observations["a"] = finished_job("a")

    asyncio.run(make_reconciler().reconcile("a"))

    assert world.syncs["a"].status.phase is Phase.SUCCEEDED


def test_a_sidecar_that_goes_on_delays_nothing_and_costs_no_line_of_the_log(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
) -> None:
    world.add("a", **running)
    world.log_tail = ("first", "last")
    done = msgspec.structs.replace(
        finished_job("a"), state=JobState.PENDING, finished_at=None, ended_at=NOW, companions=("mesh",)
    )
    world.observations["a"] = done
    reconciler = make_reconciler()

    asyncio.run(reconciler.reconcile("a"))
    world.strays.add("a")
    result = reconcile_until_idle(reconciler, "a")
    status = world.syncs["a"].status
    assert (status.phase, status.callback.state, world.stopped) == (Phase.SUCCEEDED, CallbackState.DELIVERED, [])
    world.time += timedelta(seconds=30)
    for _ in range(2):
        result = reconcile_until_idle(reconciler, "a")

    assert (world.syncs["a"].status.log, world.stopped) == (("first", "last"), ["a"])
    assert result.requeue_after == timedelta(days=7) - timedelta(seconds=30)


@pytest.mark.parametrize(
    ("ended", "lasted"),
    [
        pytest.param(timedelta(seconds=-90), 10, id="right"),
        pytest.param(timedelta(hours=-1), 100, id="slow"),
        pytest.param(timedelta(hours=1), 100, id="fast"),
    ],
)
def test_a_sidecar_gets_its_time_whatever_the_clock_of_its_node_says(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
    ended: timedelta,
    lasted: int,
) -> None:
    world.add("a", **running | {"start_time": NOW - timedelta(seconds=100)})
    world.log_tail = ("last",)
    seen = {"state": JobState.PENDING, "finished_at": None, "ended_at": NOW + ended, "companions": ("mesh",)}
    world.observations["a"] = msgspec.structs.replace(finished_job("a"), **seen)
    reconciler = make_reconciler()
    asyncio.run(reconciler.reconcile("a"))
    world.strays.add("a")

    stopped = []
    for seconds in (0, 29, 30, 31):
        world.time = NOW + timedelta(seconds=seconds)
        reconcile_until_idle(reconciler, "a")
        stopped.append(bool(world.stopped))

    assert stopped[:2] == [False, False]
    assert stopped[-1]
    assert world.syncs["a"].status.duration_seconds == lasted


def test_a_success_that_was_seen_is_not_forgotten_while_it_cannot_be_recorded(
    world: World, make_reconciler: Make, finished_job: Finished, running: dict[str, Any]
) -> None:
    world.add("a", **running)
    world.observations["a"] = msgspec.structs.replace(finished_job("a"), state=JobState.PENDING, companions=("mesh",))
    reconciler = make_reconciler()
    world.is_full = True
    with pytest.raises(BackendUnavailableError):
        asyncio.run(reconciler.reconcile("a"))

    world.is_full = False
    world.observations["a"] = JobObservation(state=JobState.FAILED, failure_reason="DeadlineExceeded")
    asyncio.run(reconciler.reconcile("a"))

    assert world.syncs["a"].status.phase is Phase.SUCCEEDED


def test_others_take_the_turn_of_a_sync_that_is_held_back_and_it_goes_on_beside_them(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, running: dict[str, Any]
) -> None:
    world.add("held", **running)
    world.add("next", phase=Phase.QUEUED)
    world.observations["held"] = JobObservation(state=JobState.PENDING, waiting_reason="JobSuspended")
    reconciler = make_reconciler(stuck_limit=timedelta(seconds=60))
    reconcile_until_idle(reconciler, "held")
    reconcile_until_idle(reconciler, "next")
    assert world.syncs["next"].status.phase is Phase.QUEUED

    world.time += timedelta(seconds=60)
    assert asyncio.run(reconciler.reconcile("held")).requeue == ("next",)
    reconcile_until_idle(reconciler, "next")
    world.observations["held"] = JobObservation(state=JobState.ACTIVE, pod_name="pod")
    reconcile_until_idle(reconciler, "held")

    assert (world.syncs["next"].status.phase, world.created) == (Phase.RUNNING, ["next"])
    assert world.syncs["held"].status.reason == Reason.RUNNING


NO_ANSWER = ResultError(reason=Reason.SOURCE_UNAVAILABLE, message="no answer", retryable=True)


@pytest.mark.parametrize("ended", [-3600, -30, 0, 3600])
def test_the_companions_of_a_failed_run_get_their_time_whatever_the_clock_of_their_node_says(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
    ended: int,
) -> None:
    world.add("a", **running)
    reconciler = make_reconciler()
    failed = msgspec.structs.replace(finished_job("a", NO_ANSWER), state=JobState.PENDING, exit_code=10)
    seen = msgspec.structs.replace(failed, ended_at=NOW + timedelta(seconds=ended), companions=("mesh",))

    reasons = []
    for pod, seconds in (("one", 0), ("one", 29), ("two", 29), ("two", 58), ("two", 59)):
        world.time = NOW + timedelta(seconds=seconds)
        judged = PodIdentity(name=pod, uid=f"uid-{pod}")
        world.observations["a"] = msgspec.structs.replace(seen, pod_name=pod, ended_pod=judged)
        reconcile_until_idle(reconciler, "a")
        reasons.append(world.syncs["a"].status.reason)

    assert reasons == [Reason.RUNNING] * 5
    assert (world.stopped_runs, world.stopped) == ([PodIdentity(name="two", uid="uid-two")], [])


def test_a_failed_run_whose_pod_may_not_be_deleted_is_the_last(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
) -> None:
    world.add("a", **running)
    world.keeps_runs = True
    failed = msgspec.structs.replace(finished_job("a", NO_ANSWER), state=JobState.PENDING, exit_code=10)
    pod = PodIdentity(name="one", uid="uid-one")
    world.observations["a"] = msgspec.structs.replace(failed, companions=("mesh",), pod_name="one", ended_pod=pod)
    reconciler = make_reconciler()

    reconcile_until_idle(reconciler, "a")
    world.time = NOW + timedelta(seconds=30)
    reconcile_until_idle(reconciler, "a")

    status = world.syncs["a"].status
    assert (status.phase, status.reason) == (Phase.FAILED, Reason.SOURCE_UNAVAILABLE)
    assert (status.message or "").startswith("no answer (no other run followed: the operator's Role")


def test_the_last_run_beside_a_sidecar_that_goes_on_ends_its_sync_at_once_with_its_log(
    world: World,
    make_reconciler: Make,
    reconcile_until_idle: ReconcileUntilIdle,
    finished_job: Finished,
    running: dict[str, Any],
) -> None:
    world.add("a", **running)
    world.log_tail = ("first", "last")
    failed = msgspec.structs.replace(finished_job("a", NO_ANSWER), state=JobState.PENDING, exit_code=20)
    world.observations["a"] = msgspec.structs.replace(failed, companions=("mesh",))
    world.strays.add("a")

    reconcile_until_idle(make_reconciler(), "a")

    status = world.syncs["a"].status
    assert (status.phase, status.reason, status.log) == (Phase.FAILED, Reason.SOURCE_UNAVAILABLE, ("first", "last"))
    assert (status.callback.state, world.stopped_runs, world.stopped) == (CallbackState.DELIVERED, [], ["a"])
