from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import EstimateSyncSpec, Mode
from estimatesync_contract.status import CallbackState, CallbackStatus, Phase, Results
from estimatesync_operator.core.sync_cache import SyncCache, parse_version

MakeSync = Callable[..., EstimateSync]

NOW = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)
DONE: dict[str, Any] = {
    "phase": Phase.SUCCEEDED,
    "reason": "Succeeded",
    "observed_generation": 1,
    "completion_time": NOW,
    "callback": CallbackStatus(state=CallbackState.DELIVERED),
    "spec": EstimateSyncSpec(ttl_seconds_after_finished=60),
}
TTL = timedelta(days=2)
RUNNING: dict[str, Any] = {"phase": Phase.RUNNING, "reason": "Running"}


def version(sync: EstimateSync, number: int, **metadata: Any) -> EstimateSync:
    changed = msgspec.structs.replace(sync.metadata, resource_version=str(number), **metadata)
    return msgspec.structs.replace(sync, metadata=changed)


def test_the_newest_version_is_kept_whatever_comes_late(make_sync: MakeSync) -> None:
    cache = SyncCache(default_ttl=TTL)
    old, new = version(make_sync("a"), 9), version(make_sync("a", **RUNNING), 10)

    taken = [cache.upsert(sync) for sync in (new, old, new)]

    assert taken == [True, False, False]
    assert cache.get("a") == new


def test_a_settled_sync_leaves_the_cache_and_comes_back_when_it_changes(make_sync: MakeSync) -> None:
    cache = SyncCache(default_ttl=TTL)
    cache.upsert(version(make_sync("a", **DONE), 1))

    assert cache.get("a") is None
    assert cache.is_settled("a")
    assert cache.count_states() == {("Succeeded", "Succeeded"): 1}
    assert cache.compute_idle_time("a", now=NOW + timedelta(seconds=20)) == timedelta(seconds=40)
    assert cache.compute_idle_time("a", now=NOW + timedelta(days=1)) == timedelta()

    asked_again = version(make_sync("a", **DONE), 2, annotations={"botzilla.io/redeliver": "1"})
    cache.upsert(asked_again)

    assert cache.get("a") == asked_again
    assert (len(cache), cache.is_settled("a")) == (1, False)


def test_a_settled_sync_is_kept_for_its_own_ttl_or_else_for_the_default(make_sync: MakeSync) -> None:
    cache = SyncCache(default_ttl=TTL)
    cache.upsert(version(make_sync("own", **DONE), 1))
    cache.upsert(version(make_sync("default", **{**DONE, "spec": EstimateSyncSpec()}), 2))

    idle_times = {name: cache.compute_idle_time(name, now=NOW) for name in ("own", "default")}

    assert idle_times == {"own": timedelta(seconds=60), "default": timedelta(days=2)}


@pytest.mark.parametrize(
    ("fields", "is_settled"),
    [
        pytest.param(DONE, True, id="delivered"),
        pytest.param({**DONE, "callback": None}, True, id="no callback on record"),
        pytest.param({**DONE, "callback": CallbackStatus(state=CallbackState.RETRYING)}, False, id="to be delivered"),
        pytest.param({**DONE, "generation": 2}, False, id="a change to acknowledge"),
        pytest.param(RUNNING, False, id="running"),
        pytest.param({}, False, id="new"),
    ],
)
def test_a_sync_is_settled_when_nothing_is_left_to_do(
    make_sync: MakeSync, fields: dict[str, Any], *, is_settled: bool
) -> None:
    cache = SyncCache(default_ttl=TTL)

    cache.upsert(make_sync("a", **fields))

    assert cache.is_settled("a") is is_settled


def test_only_what_waits_or_runs_is_unfinished(make_sync: MakeSync) -> None:
    cache = SyncCache(default_ttl=TTL)
    cache.upsert(make_sync("new"))
    cache.upsert(make_sync("running", **RUNNING))
    cache.upsert(make_sync("owing", **{**DONE, "callback": CallbackStatus(state=CallbackState.PENDING)}))
    cache.upsert(version(make_sync("going", **RUNNING), 1, deletion_timestamp=NOW))

    assert [sync.name for sync in cache.list_unfinished()] == ["new", "running"]


def test_a_stale_sync_counts_as_unfinished_but_is_not_served(make_sync: MakeSync) -> None:
    cache = SyncCache(default_ttl=TTL)
    sync = make_sync("a", **RUNNING)
    cache.upsert(sync)

    cache.mark_stale("a")

    assert (cache.get("a"), cache.list_stale(), len(cache.list_unfinished())) == (None, ("a",), 1)
    assert cache.upsert(sync)
    assert (cache.get("a"), cache.list_stale()) == (sync, ())


def test_a_removed_sync_does_not_come_back_with_the_answer_to_a_write(make_sync: MakeSync) -> None:
    cache = SyncCache(default_ttl=TTL)
    cache.upsert(version(make_sync("a", **RUNNING), 1))
    cache.remove("a", "3")

    cache.upsert_written(version(make_sync("a", **RUNNING), 2))

    assert len(cache) == 0


def test_a_new_sync_of_the_name_outlives_the_removal_of_the_old_one(make_sync: MakeSync) -> None:
    cache = SyncCache(default_ttl=TTL)
    cache.upsert(version(make_sync("a"), 5))

    cache.remove("a", "4")

    assert cache.get("a") is not None


@pytest.mark.parametrize(("text", "expected"), [("12", 12), ("", 0), ("x1", 0), ("²", 0)])
def test_versions_are_numbers(text: str, expected: int) -> None:
    assert parse_version(text) == expected


def test_a_name_that_another_sync_has_taken_is_forgotten(make_sync: MakeSync) -> None:
    cache = SyncCache(default_ttl=TTL)
    cache.upsert(version(make_sync("a", **RUNNING), 1))
    cache.upsert(version(make_sync("settled", **DONE), 2))

    cache.remove_others("a", "uid-a")
    assert len(cache) == 2

    cache.remove_others("a", "another")
    cache.remove_others("settled", "another")
    assert len(cache) == 0


def test_stale_syncs_are_named_in_the_same_order_in_every_process(make_sync: MakeSync) -> None:
    cache = SyncCache(default_ttl=TTL)
    for number, name in enumerate(("c", "a", "b"), 1):
        cache.upsert(version(make_sync(name, **RUNNING), number))
        cache.mark_stale(name)

    assert cache.list_stale() == ("a", "b", "c")


def test_the_cache_knows_which_sync_has_succeeded_last(make_sync: MakeSync) -> None:
    cache = SyncCache(default_ttl=TTL)
    later = {**DONE, "completion_time": NOW + timedelta(minutes=1)}
    owing = {**later, "completion_time": NOW + timedelta(minutes=2), "callback": None}
    failed = {**later, "completion_time": NOW + timedelta(hours=1), "phase": Phase.FAILED}

    found: list[str | None] = []

    def look() -> None:
        newest = cache.find_newest_success(now=NOW + timedelta(days=1))
        found.append(newest.name if newest else None)

    look()
    for name, status in {"later": later, "done": DONE, "failed": failed, "owing": owing}.items():
        cache.upsert(version(make_sync(name, **status), 1))
        look()
    for name in ("owing", "done", "later"):
        cache.remove(name)
        look()

    assert found == [None, "later", "later", "later", "owing", "later", "later", None]


def test_an_end_in_the_future_is_the_last_once_its_time_has_come(make_sync: MakeSync) -> None:
    cache = SyncCache(default_ttl=TTL)
    ends = {"future": NOW + timedelta(minutes=6), "near": NOW + timedelta(minutes=5), "done": NOW}
    for name, end in ends.items():
        cache.upsert(version(make_sync(name, **{**DONE, "completion_time": end}), 1))

    found = [cache.find_newest_success(now=NOW + timedelta(minutes=late)) for late in (-1, 0, 1)]

    assert [each and each.name for each in found] == ["done", "near", "future"]


def test_a_sync_that_takes_the_name_of_the_newest_that_has_succeeded_is_not_taken_for_it(make_sync: MakeSync) -> None:
    cache = SyncCache(default_ttl=TTL)
    cache.upsert(version(make_sync("old", **{**DONE, "completion_time": NOW - timedelta(days=1)}), 1))
    cache.upsert(version(make_sync("new", **DONE), 2))
    cache.upsert(version(make_sync("new", **RUNNING), 3, uid="another"))

    newest = cache.find_newest_success(now=NOW + timedelta(days=1))

    assert newest is not None
    assert newest.name == "old"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param(None, 1609, id="of an earlier version"),
        pytest.param(Mode.WHOLE, 1609, id="whole"),
        pytest.param(Mode.CHANGES, None, id="changes alone may be none"),
    ],
)
def test_how_many_estimates_there_were_is_known_of_a_whole_sync(
    make_sync: MakeSync, mode: Mode | None, expected: int | None
) -> None:
    cache = SyncCache(default_ttl=TTL)
    cache.upsert(make_sync("a", **DONE, mode=mode, results=Results(total_fetched=1609)))

    newest = cache.find_newest_success(now=NOW + timedelta(days=1))

    assert newest is not None
    assert newest.total_fetched == expected
