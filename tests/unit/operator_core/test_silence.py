"""That no sync has succeeded for long is told once, and remembered on one sync, whoever leads."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec
import pytest
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.names import ANNOTATION_REDELIVER
from estimatesync_contract.spec import EstimateSyncSpec
from estimatesync_contract.status import AlertStatus, CallbackState, CallbackStatus, Phase
from estimatesync_operator.core.events import build_events
from estimatesync_operator.core.plan import Result
from estimatesync_operator.core.ports import BackendUnavailableError, CallbackAttempt
from estimatesync_operator.core.silence import EARLY, OFF, OVER
from estimatesync_operator.core.sync_cache import SyncCache
from estimatesync_operator.reconciler import Reconciler
from estimatesync_operator.silence_watch import watch_silence

NOW = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMIT = 26 * HOUR
ENDED: dict[str, Any] = {"observed_generation": 1, "callback": CallbackStatus(state=CallbackState.DELIVERED)}
SUCCEEDED = {**ENDED, "phase": Phase.SUCCEEDED, "reason": "Succeeded", "completion_time": NOW}
FAILED = {**ENDED, "phase": Phase.FAILED, "reason": "LoginFailed", "completion_time": NOW}
ALERT = AlertStatus(
    time=NOW, since=NOW, stale_after_hours=26, delivery=CallbackStatus(state=CallbackState.DELIVERED, id="alert_uid-a")
)

MakeSync = Callable[..., EstimateSync]
Make = Callable[..., Reconciler]
ReconcileUntilIdle = Callable[[Reconciler, str], Result]


class World(Protocol):
    """The fake of conftest.py, as far as these tests touch it."""

    time: Any
    syncs: dict[str, Any]
    events: list[tuple[str, str]]
    alerts: list[tuple[str, str, bytes]]
    answers: list[CallbackAttempt]
    is_full: bool
    unknown_fields: dict[str, Any]
    alert_target_configured: bool

    def add(self, name: str, **keywords: Any) -> Any: ...


@pytest.fixture
def look(world: World, reconcile_until_idle: ReconcileUntilIdle) -> Callable[[Reconciler, timedelta], Result | None]:
    """Look, so long after the beginning, whether something is to be told, and tell it."""
    world.alert_target_configured = True

    def look_at(reconciler: Reconciler, after: timedelta) -> Result | None:
        world.time = NOW + after
        name = asyncio.run(reconciler.find_silent())
        return reconcile_until_idle(reconciler, name) if name else None

    return look_at


Look = Callable[[Reconciler, timedelta], Result | None]


def test_a_silence_is_told_once_it_is_longer_than_the_limit_and_never_again(
    world: World, make_reconciler: Make, look: Look
) -> None:
    world.add("a", **SUCCEEDED)
    told = []

    for after in (LIMIT, LIMIT + timedelta(seconds=1), LIMIT + HOUR, 100 * HOUR):
        look(make_reconciler(environment="staging", default_ttl=1000 * HOUR), after)
        told.append(len(world.alerts))

    assert told == [0, 1, 1, 1]
    ((name, callback_id, body),) = world.alerts
    assert (name, callback_id) == ("a", "alert_uid-a")
    assert (json.loads(body)["event"], json.loads(body)["environment"]) == ("sync_estimates_stale", "staging")
    assert world.syncs["a"].status.alert.delivery.state is CallbackState.DELIVERED
    assert world.events == [("a", "AlertDelivered")]


@pytest.mark.parametrize(
    ("settings", "has_target"),
    [
        pytest.param({"stale_after": None}, True, id="switched off"),
        pytest.param({}, False, id="there is no webhook"),
    ],
)
def test_nothing_is_told_or_remembered_where_nobody_is_to_be_told(
    world: World, make_reconciler: Make, look: Look, settings: dict[str, Any], *, has_target: bool
) -> None:
    before = world.add("a", **SUCCEEDED)
    world.alert_target_configured = has_target

    look(make_reconciler(**settings), 2 * LIMIT)

    assert world.syncs["a"] == before
    assert world.alerts == []


def test_a_webhook_that_is_named_later_is_told_of_the_silence_that_there_is(
    world: World, make_reconciler: Make, look: Look
) -> None:
    world.add("a", **SUCCEEDED)
    world.alert_target_configured = False
    reconciler = make_reconciler()
    look(reconciler, 2 * LIMIT)

    world.alert_target_configured = True
    look(reconciler, 2 * LIMIT + HOUR)

    assert len(world.alerts) == 1


def test_the_alert_is_on_record_before_the_first_attempt_and_every_attempt_is_the_same(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    world.add("a", **SUCCEEDED)
    world.alert_target_configured = True
    world.answers = [CallbackAttempt(status_code=500), CallbackAttempt(error="its name cannot be resolved")]
    reconciler = make_reconciler(default_ttl=1000 * HOUR)
    world.time = NOW + 2 * LIMIT
    assert asyncio.run(reconciler.find_silent()) == "a"
    asyncio.run(reconciler.reconcile("a"))
    begun, sent = world.syncs["a"].status.alert, len(world.alerts)

    waits = []
    for _ in range(2):
        result = reconcile_until_idle(make_reconciler(default_ttl=1000 * HOUR, stale_after=HOUR), "a")
        waits.append(result.requeue_after)
        world.time += result.requeue_after
    reconcile_until_idle(make_reconciler(), "a")

    assert (begun.delivery.state, begun.delivery.id, sent) == (CallbackState.PENDING, "alert_uid-a", 0)
    assert waits == [timedelta(seconds=5), timedelta(seconds=30)]
    assert len(world.alerts) == 3
    assert len(set(world.alerts)) == 1
    assert [reason for _, reason in world.events] == ["AlertRetrying", "AlertRetrying", "AlertDelivered"]


@pytest.mark.parametrize(
    ("public_url", "expected"),
    [
        pytest.param("", None, id="not known"),
        pytest.param("https://sync.example.com", "https://sync.example.com/", id="known"),
    ],
)
def test_an_alert_names_the_page_of_all_syncs_where_that_is_known(
    world: World, make_reconciler: Make, look: Look, public_url: str, expected: str | None
) -> None:
    world.add("a", **SUCCEEDED)

    look(make_reconciler(public_url=public_url), 2 * LIMIT)

    ((_, _, body),) = world.alerts
    assert json.loads(body).get("details_url") == expected


def test_an_attempt_that_cannot_be_recorded_is_not_made_again(world: World, make_reconciler: Make, look: Look) -> None:
    world.add("a", **SUCCEEDED)
    reconciler = make_reconciler()
    world.time = NOW + 2 * LIMIT
    asyncio.run(reconciler.find_silent())
    asyncio.run(reconciler.reconcile("a"))

    world.is_full = True
    for _ in range(3):
        with pytest.raises(BackendUnavailableError):
            asyncio.run(reconciler.reconcile("a"))
    world.is_full = False
    look(reconciler, 2 * LIMIT)
    asyncio.run(reconciler.reconcile("a"))

    assert len(world.alerts) == 1
    assert world.syncs["a"].status.alert.delivery.attempts == 1


def test_an_alert_that_is_still_tried_ends_with_its_silence(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, look: Look
) -> None:
    world.add("a", **SUCCEEDED)
    world.answers = [CallbackAttempt(status_code=500)]
    reconciler = make_reconciler()
    look(reconciler, 2 * LIMIT)
    world.add("b", **{**SUCCEEDED, "completion_time": world.time})

    world.time += timedelta(seconds=5)
    reconcile_until_idle(reconciler, "a")
    look(reconciler, 4 * LIMIT + HOUR)

    ended = world.syncs["a"].status.alert.delivery
    assert (ended.state, ended.last_error, ended.next_attempt_time) == (CallbackState.DISABLED, OVER, None)
    assert [name for name, _, _ in world.alerts] == ["a", "b"]


@pytest.mark.parametrize("taken", ["the URL", "the limit"])
def test_an_alert_under_way_ends_where_nobody_is_to_be_told_and_goes_on_as_it_was_once_somebody_is_again(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, look: Look, taken: str
) -> None:
    world.add("a", **SUCCEEDED)
    world.answers = [CallbackAttempt(status_code=500)]
    look(make_reconciler(), 2 * LIMIT)

    world.time += timedelta(seconds=5)
    world.alert_target_configured = taken != "the URL"
    reconcile_until_idle(make_reconciler(stale_after=None if taken == "the limit" else LIMIT), "a")
    ended = world.syncs["a"].status.alert.delivery
    world.alert_target_configured = True
    for hours in range(2):
        look(make_reconciler(), 3 * LIMIT + hours * HOUR)

    assert (ended.state, ended.last_error, ended.next_attempt_time) == (CallbackState.DISABLED, OFF, None)
    assert len(world.alerts) == 2
    assert len(set(world.alerts)) == 1
    told = world.syncs["a"].status.alert.delivery
    assert (told.state, told.attempts, told.earlier_attempts) == (CallbackState.DELIVERED, 1, 1)


def test_a_silence_that_goes_on_because_the_newer_success_was_deleted_is_told(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, look: Look
) -> None:
    world.add("a", **SUCCEEDED)
    world.answers = [CallbackAttempt(status_code=500)]
    reconciler = make_reconciler()
    look(reconciler, 2 * LIMIT)
    world.add("b", **{**SUCCEEDED, "completion_time": world.time})
    world.time += timedelta(seconds=5)
    reconcile_until_idle(reconciler, "a")

    del world.syncs["b"]
    look(reconciler, 3 * LIMIT)

    assert [name for name, _, _ in world.alerts] == ["a", "a"]
    assert world.syncs["a"].status.alert.delivery.state is CallbackState.DELIVERED


def test_an_alert_that_was_given_up_begins_again_with_a_request_for_all_callbacks_or_by_its_name(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, look: Look
) -> None:
    world.add("a", **SUCCEEDED)
    reconciler = make_reconciler(default_ttl=1000 * HOUR)
    sent = []

    world.answers = [CallbackAttempt(status_code=410)] * 3
    look(reconciler, 2 * LIMIT)
    for request in ("monday/billing", "tuesday/@alert", "tuesday/@alert", "wednesday"):
        metadata = world.syncs["a"].metadata
        metadata.annotations[ANNOTATION_REDELIVER] = request
        before = len(world.alerts)
        reconcile_until_idle(reconciler, "a")
        sent.append(len(world.alerts) - before)

    assert sent == [0, 1, 0, 1]
    assert len(set(world.alerts)) == 1


def test_an_alert_that_was_given_up_counts_as_a_callback_that_was(make_sync: MakeSync) -> None:
    cache = SyncCache(default_ttl=timedelta(days=2))
    given_up = msgspec.structs.replace(ALERT, delivery=CallbackStatus(state=CallbackState.FAILED))
    cache.upsert(make_sync("told", **SUCCEEDED, alert=ALERT))
    cache.upsert(make_sync("lost", **SUCCEEDED, alert=given_up))

    assert cache.count_given_up_callbacks() == 1


def test_where_no_sync_has_succeeded_yet_a_silence_is_told_though_none_of_them_stays_so_long(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle
) -> None:
    world.alert_target_configured = True
    reconciler = make_reconciler(default_ttl=24 * HOUR, stale_after=LIMIT)
    staying = []
    for hours in range(0, 120, 6):
        world.time = NOW + hours * HOUR
        sync = world.add(f"s{hours:03}", **{**FAILED, "completion_time": world.time})
        created = msgspec.structs.replace(sync.metadata, creation_timestamp=world.time)
        world.syncs[sync.name] = msgspec.structs.replace(sync, metadata=created)
        if name := asyncio.run(reconciler.find_silent()):
            reconcile_until_idle(reconciler, name)
        for name in list(world.syncs):
            reconcile_until_idle(reconciler, name)
        staying.append(len(world.syncs))

    assert [name for name, _, _ in world.alerts] == ["s000"]
    assert max(staying) == 5


def test_where_the_api_server_keeps_no_alert_that_is_said_once_and_tried_once_an_hour(
    world: World, make_reconciler: Make, look: Look, caplog: pytest.LogCaptureFixture
) -> None:
    world.add("a", **SUCCEEDED)
    world.unknown_fields = {"alert": None}
    reconciler = make_reconciler(default_ttl=1000 * HOUR)

    waits = [look(reconciler, 2 * LIMIT + timedelta(minutes=minute)) for minute in range(0, 121, 10)]
    world.unknown_fields = {}
    look(reconciler, 3 * LIMIT)

    tried = [index * 10 for index, wait in enumerate(waits) if wait is not None]
    assert tried == [0, 60, 120]
    assert {wait.requeue_after for wait in waits if wait is not None} == {HOUR}
    (said,) = [record.message for record in caplog.records]
    assert said.endswith("the CustomResourceDefinition is of an earlier version; upgrade the release that owns it")
    assert len(world.alerts) == 1


@pytest.mark.parametrize("status_code", [200, 500], ids=["told", "under way"])
def test_a_clock_that_was_ahead_once_does_not_use_up_the_alert(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, look: Look, status_code: int
) -> None:
    world.add("a", **SUCCEEDED)
    reconciler = make_reconciler(default_ttl=10000 * HOUR)
    world.answers = [CallbackAttempt(status_code=status_code)]
    look(reconciler, 1000 * HOUR)
    early = world.syncs["a"].status.alert

    world.time = NOW + HOUR
    reconcile_until_idle(reconciler, "a")
    meanwhile = world.syncs["a"].status.alert
    for hours in (1, 27, 28):
        look(reconciler, hours * HOUR)

    if status_code == 500:
        assert (meanwhile.delivery.state, meanwhile.delivery.last_error) == (CallbackState.DISABLED, EARLY)
    else:
        assert meanwhile == early
    assert [json.loads(body)["hours_since"] for _, _, body in world.alerts] == [1000, 27]


def test_a_silence_before_the_first_success_counts_from_the_oldest_sync_and_is_on_record_on_one_that_has_ended(
    world: World, make_reconciler: Make, look: Look
) -> None:
    world.add("held", age=3, spec=EstimateSyncSpec(suspend=True), phase=Phase.QUEUED)
    world.add("first", age=2, **FAILED)
    world.add("second", age=1, **FAILED)

    for hours in range(3):
        look(make_reconciler(default_ttl=100 * HOUR), hours * HOUR)

    ((name, _, body),) = world.alerts
    assert name == "first"
    assert json.loads(body)["hours_since"] == 72
    assert json.loads(body)["last_success"] == {
        "sync_id": None,
        "timestamp": None,
        "date_range": {"start_date": None, "end_date": None},
    }


def test_it_stays_on_record_past_the_time_of_its_sync_until_one_has_succeeded(
    world: World, make_reconciler: Make, reconcile_until_idle: ReconcileUntilIdle, look: Look
) -> None:
    world.add("held", age=9, spec=EstimateSyncSpec(suspend=True), phase=Phase.QUEUED)
    world.add("first", age=2, **FAILED)
    world.add("second", age=1, **FAILED)
    reconciler = make_reconciler(default_ttl=HOUR)
    look(reconciler, timedelta())

    for after in (2 * HOUR, 100 * HOUR):
        for name in ("first", "second"):
            world.time = NOW + after
            reconcile_until_idle(reconciler, name)
        world.add("held", age=9, **FAILED)
        look(reconciler, after)
    staying, retained = sorted(world.syncs), world.syncs["first"].status.retained
    world.add("b", **{**SUCCEEDED, "completion_time": world.time})
    reconcile_until_idle(reconciler, "first")

    assert (staying, retained, len(world.alerts)) == (["first", "held"], True, 1)
    assert sorted(world.syncs) == ["b", "held"]


def test_the_cache_names_the_sync_that_the_silence_is_on_record_on(make_sync: MakeSync) -> None:
    cache = SyncCache(default_ttl=timedelta(days=2))
    found: list[tuple[str, datetime, bool] | None] = []

    def put(name: str, **fields: Any) -> None:
        cache.upsert(make_sync(name, **fields))
        silence = cache.find_silence(now=NOW)
        found.append((silence.name, silence.since, silence.told_at is not None) if silence else None)

    put("waiting", age=9, phase=Phase.QUEUED)
    put("settled", age=2, **FAILED)
    put("live", age=3, **{**FAILED, "callback": CallbackStatus(state=CallbackState.PENDING)})
    put("told", age=1, **FAILED, alert=ALERT)
    put("future", **{**SUCCEEDED, "completion_time": NOW + HOUR})
    put("success", **SUCCEEDED)

    beginning = NOW - timedelta(days=9)
    assert found == [
        None,
        ("settled", beginning, False),
        ("live", beginning, False),
        ("told", beginning, True),
        ("told", beginning, True),
        ("success", NOW, False),
    ]


def test_an_alert_is_an_event_whenever_it_moves(make_sync: MakeSync) -> None:
    steps = [
        ALERT.delivery,
        CallbackStatus(state=CallbackState.PENDING),
        CallbackStatus(state=CallbackState.RETRYING, attempts=1, last_error="HTTP 500"),
        CallbackStatus(state=CallbackState.FAILED, attempts=2, last_error="HTTP 410"),
        CallbackStatus(state=CallbackState.DISABLED, attempts=1, last_error=OVER),
    ]
    before = make_sync("a", **SUCCEEDED).status

    events = [
        build_events(before, msgspec.structs.replace(before, alert=msgspec.structs.replace(ALERT, delivery=step)))
        for step in steps
    ]

    assert [[(event.type, event.reason) for event in each] for each in events] == [
        [("Normal", "AlertDelivered")],
        [],
        [("Warning", "AlertRetrying")],
        [("Warning", "AlertFailed")],
        [("Normal", "AlertDisabled")],
    ]


def test_the_watch_goes_on_looking_whatever_goes_wrong() -> None:
    looks, added = iter([BackendUnavailableError("away"), RuntimeError("a defect"), None, "a"]), list[str]()

    async def find_silent() -> str | None:
        look = next(looks)
        if isinstance(look, Exception):
            raise look
        return look

    async def sleep(_seconds: float) -> None:
        await asyncio.sleep(0)

    async def run() -> None:
        task = asyncio.create_task(
            watch_silence(find_silent, lambda name: (added.append(name), task.cancel()), sleep=sleep)
        )
        await asyncio.wait([task])

    asyncio.run(run())

    assert added == ["a"]
