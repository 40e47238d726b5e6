from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from estimatesync_operator.adapters.jobs import JobSnapshots
from estimatesync_operator.core.sync_cache import SyncCache
from estimatesync_operator.core.watch_health import WatchHealth
from estimatesync_operator.watch_handlers import Served, WatchHandlers

NOW = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)
SOON = timedelta(milliseconds=50)
DONE = {
    "phase": "Succeeded",
    "observedGeneration": 1,
    "completionTime": "2025-10-16T14:08:00Z",
    "callback": {"state": "Delivered"},
}


class Desk:
    """The handlers with everything it feeds, in sight."""

    def __init__(self) -> None:
        self.planned: list[tuple[str, timedelta]] = []
        self.seconds = 0.0
        self.cache = SyncCache(default_ttl=timedelta(days=7))
        self.snapshots = JobSnapshots(lambda: self.seconds)
        self.handlers = WatchHandlers(self)

    def serve(self) -> None:
        self.handlers.serve(Served(cache=self.cache, snapshots=self.snapshots, health=WatchHealth(), queue=self))

    def now(self) -> datetime:
        return NOW

    def add_after(self, name: str, delay: timedelta) -> None:
        self.planned.append((name, delay))


@pytest.fixture
def desk() -> Desk:
    """A desk at work."""
    desk = Desk()
    desk.serve()
    return desk


def _sync(version: int, *, ttl: int = 60, **status: Any) -> dict[str, Any]:
    metadata = {"name": "a", "uid": "u", "resourceVersion": str(version), "generation": 1}
    return {"metadata": metadata, "spec": {"ttlSecondsAfterFinished": ttl}, "status": status}


def _job(name: str = "job", label: str | None = "a") -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"botzilla.io/sync": label} if label else {}}}


def test_a_new_version_is_enqueued_and_a_repeated_one_is_not(desk: Desk) -> None:
    desk.handlers.handle_sync("ADDED", _sync(1))
    desk.handlers.handle_sync("MODIFIED", _sync(1))
    desk.handlers.handle_sync("MODIFIED", _sync(2, phase="Running"))

    assert desk.planned == [("a", SOON), ("a", SOON)]


@pytest.mark.parametrize(
    ("ttl", "planned"),
    [
        pytest.param(3660, [("a", timedelta(hours=1))], id="when its time is over"),
        pytest.param(60, [("a", SOON)], id="now, its time is over"),
    ],
)
def test_a_settled_sync_is_enqueued_only_to_be_removed(
    desk: Desk, ttl: int, planned: list[tuple[str, timedelta]]
) -> None:
    desk.handlers.handle_sync(None, _sync(1, ttl=ttl, **DONE))

    assert desk.planned == planned


def test_after_the_list_every_sync_is_planned_once(desk: Desk) -> None:
    desk.handlers.handle_sync(None, _sync(1, ttl=3660, **DONE))
    desk.planned.clear()

    desk.serve()

    assert desk.planned == [("a", timedelta(hours=1))]


def test_a_deleted_sync_is_forgotten_and_enqueued_so_that_the_queue_moves(desk: Desk) -> None:
    desk.handlers.handle_sync("ADDED", _sync(1, phase="Running"))

    desk.handlers.handle_sync("DELETED", _sync(2, phase="Running"))

    assert len(desk.cache) == 0
    assert desk.planned[-1] == ("a", SOON)


def test_an_object_that_cannot_be_read_is_enqueued(desk: Desk) -> None:
    desk.handlers.handle_sync("ADDED", {"metadata": {"name": "bad"}, "spec": {"pageSize": "many"}})

    assert desk.planned == [("bad", SOON)]


def test_a_job_snapshot_serves_one_reconcile_only(desk: Desk) -> None:
    desk.handlers.handle_job("MODIFIED", _job())

    assert desk.planned == [("a", SOON)]
    assert desk.snapshots.pop("job") == _job()
    assert desk.snapshots.pop("job") is None


def test_an_old_snapshot_is_worth_nothing(desk: Desk) -> None:
    desk.handlers.handle_job("MODIFIED", _job())
    desk.seconds = 1.5

    assert desk.snapshots.pop("job") is None


def test_old_snapshots_do_not_pile_up(desk: Desk) -> None:
    for number in range(300):
        desk.seconds = number
        desk.handlers.handle_job("ADDED", _job(f"job-{number}"))

    kept = [number for number in range(300) if desk.snapshots.pop(f"job-{number}")]

    assert kept == [298, 299]


def test_a_deleted_job_enqueues_its_sync_and_leaves_no_snapshot(desk: Desk) -> None:
    desk.handlers.handle_job("ADDED", _job())
    desk.handlers.handle_job("DELETED", _job())

    assert desk.snapshots.pop("job") is None
    assert desk.planned == [("a", SOON)] * 2


OVER = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(_job(label=None), id="a foreign job"),
        pytest.param({**_job(), **OVER}, id="of a settled sync, and over"),
    ],
)
def test_foreign_jobs_and_old_jobs_of_settled_syncs_enqueue_nothing(desk: Desk, job: dict[str, Any]) -> None:
    desk.handlers.handle_sync(None, _sync(1, **DONE))
    desk.planned.clear()

    desk.handlers.handle_job(None, job)
    desk.handlers.handle_job("DELETED", job)

    assert desk.planned == []


def test_a_job_at_work_enqueues_even_a_settled_sync(desk: Desk) -> None:
    """It was created late, by a request that had been given up."""
    desk.handlers.handle_sync(None, _sync(1, **DONE))
    desk.planned.clear()

    desk.handlers.handle_job("ADDED", _job())

    assert desk.planned == [("a", SOON)]
    assert desk.snapshots.pop("job") == _job()
