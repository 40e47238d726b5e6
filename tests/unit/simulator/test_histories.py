"""The operator keeps its promises in hundreds of fixed histories; `make simulate` makes up thousands of others."""

import os
import subprocess
import sys

import pytest
from estimatesync_simulator.coverage import Coverage
from estimatesync_simulator.history import CELLS, Decision, Effect, Fate, History, Point, Run, SyncPlan
from estimatesync_simulator.main import OPERATOR
from estimatesync_simulator.world import run_history

HISTORIES = 3 * len(CELLS)
PRINT_DIGEST = """
import hashlib
from estimatesync_simulator.history import generate_history
from estimatesync_simulator.world import run_history
log = [line for seed in range(20) for line in run_history(generate_history(seed)).log]
print(len(log), hashlib.sha256("\\n".join(log).encode()).hexdigest())
"""

PLAIN_LIFE = [
    "operator-1 starts",
    "person creates sync-0",
    "operator-1 reads the lease → 404",
    "operator-1 takes the lease",
    "operator-1 lists the syncs",
    "operator-1 takes a slot",
    "operator-1 records the start of sync-0",
    "operator-1 creates the job of sync-0",
    "job controller creates pod estimatesync-est-1-0, which succeeds",
    "operator-1 reads the job of estimatesync-est-1",
    "operator-1 lists the pods of estimatesync-est-1",
    "operator-1 reads the log of estimatesync-est-1-0",
    "node ends pod estimatesync-est-1-0 with exit code 0",
    "job controller says that estimatesync-est-1 is SuccessCriteriaMet: CompletionsReached",
    "operator-1 lists the pods of estimatesync-est-1",
    "job controller says that estimatesync-est-1 is Complete: CompletionsReached",
    "operator-1 records the end of sync-0",
    "receiver takes msg_est-1 of sync-0: 200",
    "operator-1 sends the callback of sync-0",
    "operator-1 records the attempt of sync-0",
    "operator-1 reads the sync of sync-0",
    "operator-1 records the stay of sync-0",
    "operator-1 reads the sync of sync-0",
    "operator-1 records the alert of sync-0",
    "receiver takes alert_est-1 of sync-0: 200",
    "operator-1 sends the alert of sync-0",
    "operator-1 records the alert's attempt of sync-0",
]


@pytest.fixture(scope="module")
def coverage() -> Coverage:
    """What the fixed histories of the gate reach, none of which breaks a promise."""
    reached: Coverage = OPERATOR.measure_coverage(range(HISTORIES))
    return reached


def test_every_promise_is_kept_and_every_fault_is_met_at_every_step(coverage: Coverage) -> None:
    assert coverage.list_missing() == []


def test_histories_are_deep(coverage: Coverage) -> None:
    """On the average a history makes more steps than a sync that meets nothing, whose steps are counted below."""
    plain = run_history(History(syncs=(SyncPlan(),)))

    assert not plain.violations
    assert plain.points.total() < coverage.points.total() / coverage.histories


def test_a_plain_history_reads_like_the_life_of_a_sync() -> None:
    log = run_history(History(syncs=(SyncPlan(),))).log

    steps = [line.split(maxsplit=1)[1] for line in log]
    assert [step for step in steps if "event" not in step and "progress" not in step] == PLAIN_LIFE


def test_a_sync_that_has_succeeded_is_deleted_when_a_newer_one_has() -> None:
    first, second = SyncPlan(ttl=60), SyncPlan(at=15.0, ttl=60)

    log = run_history(History(syncs=(first, second))).log

    steps = [line.split(maxsplit=1)[1] for line in log]
    assert "operator-1 deletes the sync of sync-0" in steps
    assert "operator-1 records the stay of sync-1" in steps
    assert "operator-1 deletes the sync of sync-1" not in steps


def test_a_sync_without_progress_costs_eight_calls_and_its_part_of_a_write_of_the_lease() -> None:
    log = run_history(History(syncs=(SyncPlan(runs=(Run(seconds=3.0),)),))).log

    steps = [line.split(maxsplit=1)[1] for line in log]
    start, end = steps.index("operator-1 takes a slot"), steps.index("operator-1 records the attempt of sync-0")
    assert [step for step in steps[start : end + 2] if step.startswith("operator-1")] == [
        "operator-1 takes a slot",
        "operator-1 records the start of sync-0",
        "operator-1 creates the job of sync-0",
        "operator-1 emits an event of sync-0",
        "operator-1 lists the pods of estimatesync-est-1",
        "operator-1 records the end of sync-0",
        "operator-1 emits an event of sync-0",
        "operator-1 sends the callback of sync-0",
        "operator-1 records the attempt of sync-0",
        "operator-1 emits an event of sync-0",
    ]


def test_an_operator_that_has_replaced_another_and_dies_is_followed_by_the_next_process_of_its_pod() -> None:
    rollout = Decision(effect=Effect.ROLLOUT, at=40.0, seconds=120.0)
    death = Decision(effect=Effect.KILL_BEFORE, point=Point.TAKE_SLOT, nth=2)
    slow = SyncPlan(timeout=150, runs=(Run(fate=Fate.TOO_SLOW),))

    assert not run_history(History(syncs=(slow, SyncPlan()), decisions=(rollout, death))).violations


def test_a_seed_makes_the_same_history_in_every_process() -> None:
    """Not even the order of sets of strings may have a say, which differs from process to process."""
    digests = {
        subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "2")
    }

    assert len(digests) == 1
