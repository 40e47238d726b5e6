from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from estimatesync_contract.causes import CAUSES
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import Mode
from estimatesync_contract.status import (
    AlertStatus,
    CallbackState,
    CallbackStatus,
    EstimateSyncStatus,
    Phase,
    Results,
)
from estimatesync_operator.core.sync_cache import SyncCache
from estimatesync_operator.core.watch_health import WatchHealth
from estimatesync_operator.metrics import OperatorMetrics
from estimatesync_operator.workqueue import PassOutcome
from prometheus_client import generate_latest

MakeSync = Callable[..., EstimateSync]

NOW = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)


class Instruments:
    """The metrics with what they read, and their values by name and labels."""

    def __init__(self) -> None:
        self.cache = SyncCache(default_ttl=timedelta(days=7))
        self.health = WatchHealth()
        self.is_leading = True
        self.metrics = OperatorMetrics()
        self.metrics.show(self.cache, self.health, is_leading=lambda: self.is_leading, clock=self)

    def now(self) -> datetime:
        return NOW

    def read(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"estimatesync_{name}", labels)


@pytest.fixture
def instruments() -> Instruments:
    return Instruments()


def test_syncs_are_counted_by_phase_and_reason_including_settled_ones(
    instruments: Instruments, make_sync: MakeSync
) -> None:
    callback = CallbackStatus(state=CallbackState.DELIVERED)
    done: dict[str, Any] = {"phase": Phase.FAILED, "reason": "LoginFailed", "observed_generation": 1}
    for name, fields in {
        "new": {},
        "waiting": {"phase": Phase.QUEUED, "reason": "Queued"},
        "done": {**done, "completion_time": NOW, "callback": callback},
        "owing": {**done, "completion_time": NOW, "callback": CallbackStatus(state=CallbackState.RETRYING)},
    }.items():
        instruments.cache.upsert(make_sync(name, **fields))

    assert instruments.read("syncs", phase="Failed", reason="LoginFailed") == 2
    assert instruments.read("syncs", phase="New", reason="") == 1
    assert instruments.read("queue_length") == 2
    assert instruments.read("callbacks_pending") == 1


def test_the_last_success_is_shown_with_its_time_once_there_is_one(
    instruments: Instruments, make_sync: MakeSync
) -> None:
    before = instruments.read("last_success_timestamp_seconds"), instruments.read("last_success_estimates")

    done: dict[str, Any] = {"phase": Phase.SUCCEEDED, "completion_time": NOW, "results": Results(total_fetched=1609)}
    instruments.cache.upsert(make_sync("a", **done))

    assert before == (None, None)
    assert instruments.read("last_success_timestamp_seconds") == NOW.timestamp()
    assert instruments.read("last_success_estimates") == 1609


def test_where_no_sync_has_succeeded_the_silence_began_with_the_oldest(
    instruments: Instruments, make_sync: MakeSync
) -> None:
    ended = {"phase": Phase.CANCELLED, "observed_generation": 1, "completion_time": NOW}
    callback = CallbackStatus(state=CallbackState.DELIVERED)
    for name, days, status in (("settled", 3, {**ended, "callback": callback}), ("live", 2, {}), ("owing", 4, ended)):
        sync = make_sync(name, **status)
        metadata = msgspec.structs.replace(sync.metadata, creation_timestamp=NOW - timedelta(days=days))
        instruments.cache.upsert(msgspec.structs.replace(sync, metadata=metadata))

    found = [instruments.read("last_success_timestamp_seconds")]
    for name in ("owing", "settled"):
        instruments.cache.remove(name)
        found.append(instruments.read("last_success_timestamp_seconds"))

    assert found == [(NOW - timedelta(days=days)).timestamp() for days in (4, 3, 2)]
    assert instruments.read("last_success_estimates") is None


def test_an_end_in_the_future_is_not_the_last_success(instruments: Instruments, make_sync: MakeSync) -> None:
    """A sync that a wrong clock has ended would say for as long that all is well."""
    for name, end in {"real": NOW, "future": NOW + timedelta(days=365)}.items():
        instruments.cache.upsert(make_sync(name, phase=Phase.SUCCEEDED, completion_time=end))

    assert instruments.read("last_success_timestamp_seconds") == NOW.timestamp()


def test_how_many_estimates_there_were_is_known_of_the_last_whole_sync_though_changes_were_read_since(
    instruments: Instruments, make_sync: MakeSync
) -> None:
    for hours, (mode, count) in enumerate([(Mode.WHOLE, 7), (Mode.WHOLE, 0), (Mode.CHANGES, 0), (Mode.CHANGES, 3)]):
        end = {"phase": Phase.SUCCEEDED, "completion_time": NOW - timedelta(hours=9 - hours)}
        instruments.cache.upsert(make_sync(f"sync-{hours}", **end, mode=mode, results=Results(total_fetched=count)))

    assert instruments.read("last_success_estimates") == 0


def test_callbacks_that_were_given_up_are_shown_until_they_are_requested_again(
    instruments: Instruments, make_sync: MakeSync
) -> None:
    done: dict[str, Any] = {"phase": Phase.FAILED, "observed_generation": 1, "completion_time": NOW}
    given_up = make_sync("a", **done, callback=CallbackStatus(state=CallbackState.FAILED))
    instruments.cache.upsert(given_up)
    before = instruments.read("callbacks_given_up")

    metadata = msgspec.structs.replace(
        given_up.metadata, resource_version="2", annotations={"botzilla.io/redeliver": "again"}
    )
    instruments.cache.upsert(msgspec.structs.replace(given_up, metadata=metadata))

    assert (before, instruments.read("callbacks_given_up")) == (1, 0)


@pytest.mark.parametrize(
    ("name", "label", "values"),
    [
        pytest.param("callback_attempts_total", "outcome", {"delivered", "retrying", "failed"}, id="callbacks"),
        pytest.param("records_total", "kind", {"new", "changed", "unchanged", "skipped"}, id="records"),
        pytest.param("reconcile_errors_total", "kind", set(PassOutcome) - {"done"}, id="passes"),
        pytest.param("syncs_finished_total", "reason", {cause.reason for cause in CAUSES} | {"Succeeded"}, id="ends"),
    ],
)
def test_every_counter_shows_a_zero_before_it_counts(
    instruments: Instruments, name: str, label: str, values: set[str]
) -> None:
    """Else the first failure would be no increase to Prometheus, and no alert."""
    samples = [sample for family in instruments.metrics.registry.collect() for sample in family.samples]

    shown = {sample.labels[label]: sample.value for sample in samples if sample.name == f"estimatesync_{name}"}
    assert shown == dict.fromkeys(values, 0)


def test_getting_a_slot_ends_the_queue_wait(instruments: Instruments, make_sync: MakeSync) -> None:
    sync = make_sync("a", phase=Phase.QUEUED)

    instruments.metrics.record_change(
        sync, EstimateSyncStatus(phase=Phase.RUNNING, start_time=NOW + timedelta(seconds=90))
    )

    assert instruments.read("queue_wait_seconds_sum") == 90
    assert instruments.read("queue_wait_seconds_bucket", le="60.0") == 0
    assert instruments.read("queue_wait_seconds_bucket", le="180.0") == 1


def test_an_end_is_counted_with_its_records_and_its_time(instruments: Instruments, make_sync: MakeSync) -> None:
    results = Results(new_estimates=45, updated_estimates=1564, unchanged_estimates=1500)
    done = EstimateSyncStatus(phase=Phase.SUCCEEDED, reason="Succeeded", duration_seconds=487, results=results)

    instruments.metrics.record_change(make_sync("a", phase=Phase.RUNNING), done)
    instruments.metrics.record_change(make_sync("a", phase=Phase.SUCCEEDED), done)

    assert instruments.read("syncs_finished_total", phase="Succeeded", reason="Succeeded") == 1
    assert instruments.read("sync_duration_seconds_sum") == 487
    kinds = {kind: instruments.read("records_total", kind=kind) for kind in ("new", "changed", "unchanged")}
    assert kinds == {"new": 45, "changed": 64, "unchanged": 1500}


def test_a_drop_shows_as_soon_as_there_is_something_to_compare_to(
    instruments: Instruments, make_sync: MakeSync
) -> None:
    first = Results(total_fetched=1609)
    for results in (first, Results(total_fetched=7, previous_total_fetched=1609), first):
        done = EstimateSyncStatus(phase=Phase.SUCCEEDED, reason="Succeeded", duration_seconds=1, results=results)
        before = [instruments.read("fetched_estimates", sync=sync) for sync in ("newest", "previous")]
        instruments.metrics.record_change(make_sync("a", phase=Phase.RUNNING), done)

    assert before == [7, 1609]
    assert [instruments.read("fetched_estimates", sync=sync) for sync in ("newest", "previous")] == [7, 1609]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param((CallbackState.PENDING, 0), (CallbackState.RETRYING, 1), "retrying", id="failed attempt"),
        pytest.param((CallbackState.RETRYING, 3), (CallbackState.DELIVERED, 4), "delivered", id="delivered"),
        pytest.param((CallbackState.RETRYING, 9), (CallbackState.FAILED, 10), "failed", id="given up"),
        pytest.param((CallbackState.FAILED, 10), (CallbackState.PENDING, 0), None, id="asked for again"),
    ],
)
def test_attempts_are_counted_by_outcome(
    instruments: Instruments,
    make_sync: MakeSync,
    before: tuple[CallbackState, int],
    after: tuple[CallbackState, int],
    expected: str | None,
) -> None:
    sync = make_sync("a", phase=Phase.SUCCEEDED, callback=CallbackStatus(state=before[0], attempts=before[1]))
    callback = CallbackStatus(state=after[0], attempts=after[1])

    instruments.metrics.record_change(sync, EstimateSyncStatus(phase=Phase.SUCCEEDED, callback=callback))

    assert _find_counted(instruments, "callback_attempts_total") == ({expected} if expected else set())
    assert _find_counted(instruments, "alert_attempts_total") == set()


def test_attempts_to_deliver_an_alert_are_counted_apart(instruments: Instruments, make_sync: MakeSync) -> None:
    states = ((CallbackState.PENDING, 0), (CallbackState.RETRYING, 1), (CallbackState.DISABLED, 1))
    alerts = [None, *(_build_alert(CallbackStatus(state=state, attempts=attempts)) for state, attempts in states)]

    for before, after in pairwise(alerts):
        sync = make_sync("a", phase=Phase.SUCCEEDED, alert=before)
        instruments.metrics.record_change(sync, EstimateSyncStatus(phase=Phase.SUCCEEDED, alert=after))

    assert _find_counted(instruments, "alert_attempts_total") == {"retrying"}
    assert _find_counted(instruments, "callback_attempts_total") == set()


def _build_alert(delivery: CallbackStatus) -> AlertStatus:
    return AlertStatus(time=NOW, since=NOW, stale_after_hours=26, delivery=delivery)


def _find_counted(instruments: Instruments, name: str) -> set[str]:
    outcomes = ("retrying", "delivered", "failed", "pending", "disabled")
    return {outcome for outcome in outcomes if instruments.read(name, outcome=outcome)}


def test_passes_are_counted_and_those_repeated_are_errors(instruments: Instruments) -> None:
    for result in ("done", "done", "stale", "unavailable"):
        instruments.metrics.record_pass(result, 0.5)

    assert instruments.read("reconcile_total", result="done") == 2
    assert instruments.read("reconcile_errors_total", kind="stale") == 1
    assert instruments.read("reconcile_errors_total", kind="done") is None
    assert instruments.read("reconcile_duration_seconds_count") == 4


def test_the_last_watch_event_is_a_timestamp(instruments: Instruments) -> None:
    instruments.health.note_event("jobs", now=NOW)

    assert instruments.read("watch_last_event_timestamp_seconds", resource="jobs") == NOW.timestamp()


def test_the_page_can_be_written_and_holds_no_name_of_a_sync(instruments: Instruments, make_sync: MakeSync) -> None:
    instruments.cache.upsert(make_sync("secret-name", phase=Phase.QUEUED))

    page = generate_latest(instruments.metrics.registry).decode()

    assert "process_resident_memory_bytes" in page
    assert "secret-name" not in page


def test_who_cannot_renew_its_lease_leads_no_more_and_shows_no_syncs(instruments: Instruments) -> None:
    assert (instruments.read("operator_leader"), instruments.read("queue_length")) == (1, 0)

    instruments.is_leading = False

    assert (instruments.read("operator_leader"), instruments.read("queue_length")) == (0, None)
