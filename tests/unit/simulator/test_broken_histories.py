"""Histories in which the operator once broke a promise, each as short as the simulator could make it."""

from collections.abc import Callable

import pytest
from estimatesync_contract.causes import Reason
from estimatesync_operator.leadership import LeaseHolder
from estimatesync_simulator.history import Decision, Effect, Fate, History, Point, Response, Run, SyncPlan
from estimatesync_simulator.world import run_history

# One that has succeeded is not deleted before the next.
FAILING = SyncPlan(runs=(Run(fate=Fate.FAILS_FOR_GOOD, reason=Reason.LOGIN_FAILED),))


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(
            History(
                syncs=(SyncPlan(is_malformed=True),),
                decisions=(Decision(effect=Effect.ERROR, point=Point.RECORD_MALFORMED),),
            ),
            id="that a sync is malformed could not be recorded",
        ),
        pytest.param(
            History(syncs=(FAILING,), decisions=(Decision(effect=Effect.CONFLICT, point=Point.DELETE_SYNC),)),
            id="the deletion of an old sync met a conflict",
        ),
        pytest.param(
            History(
                syncs=(FAILING,), decisions=(Decision(effect=Effect.RELIST, point=Point.DELETE_SYNC, seconds=3.0),)
            ),
            id="the watch never showed that a sync was deleted",
        ),
        pytest.param(
            History(
                syncs=(SyncPlan(),),
                decisions=(Decision(effect=Effect.CLOCK, point=Point.CREATE_JOB, seconds=3600.0),),
            ),
            id="the clock was ahead of the job that was about to say that it is complete",
        ),
        pytest.param(
            History(
                syncs=(SyncPlan(),),
                decisions=(
                    Decision(effect=Effect.LOST_ANSWER, point=Point.SEND_CALLBACK),
                    Decision(effect=Effect.RECREATE, point=Point.SEND_CALLBACK, nth=2),
                ),
            ),
            id="a malformed sync took the name while the callback was sent",
        ),
        pytest.param(
            History(
                syncs=(SyncPlan(runs=(Run(fate=Fate.TOO_SLOW),)), SyncPlan(at=15.0)),
                decisions=(
                    Decision(effect=Effect.RELIST, at=3.0, seconds=3.0),
                    Decision(effect=Effect.RECREATE, at=4.0, nth=2),
                ),
            ),
            id="unseen, a malformed sync took the name of one that ran, and kept its slot",
        ),
        pytest.param(
            History(
                syncs=(SyncPlan(is_suspended=True),),
                decisions=(
                    Decision(effect=Effect.OUTAGE, at=4.7, seconds=40.0),
                    Decision(effect=Effect.DELETE_SYNC, at=23.0, seconds=120.0),
                ),
            ),
            id="unseen, a sync was deleted that was held",
        ),
        pytest.param(
            History(syncs=(FAILING,), decisions=(Decision(effect=Effect.REDELIVER, point=Point.DELETE_SYNC),)),
            id="a callback was requested again while the sync was deleted",
        ),
        pytest.param(
            History(
                syncs=(SyncPlan(responses=(Response.MISSING,)),),
                decisions=(
                    Decision(effect=Effect.SLOW, point=Point.STOP_JOB, seconds=120.0),
                    Decision(effect=Effect.CANCEL, at=0.5),
                    Decision(effect=Effect.DELETE_SYNC, at=31.1),
                    Decision(effect=Effect.LATE_SYNCS, at=0.1, seconds=120.0),
                ),
                jitter=5,
            ),
            id="the watch showed a sync that was known to be gone, and its callback was sent again",
        ),
        pytest.param(
            History(
                syncs=(SyncPlan(runs=(Run(fate=Fate.NO_IMAGE, seconds=45.0),)),),
                decisions=(
                    Decision(effect=Effect.SLOW, point=Point.LIST_EVENTS, seconds=120.0),
                    Decision(effect=Effect.DELETE_JOB, point=Point.LIST_EVENTS),
                ),
                jitter=2,
            ),
            id="the pod had said that all is stored, and no one listened because the events did not come",
        ),
        pytest.param(
            History(
                syncs=(SyncPlan(), SyncPlan()),
                decisions=(
                    Decision(effect=Effect.ERROR, point=Point.TAKE_SLOT),
                    Decision(effect=Effect.SUSPEND, point=Point.TAKE_SLOT, seconds=40.0),
                    Decision(effect=Effect.LOST_REQUEST, point=Point.TAKE_SLOT, nth=2),
                ),
            ),
            id="a sync was suspended while its slot could not be recorded, and was never looked at again",
        ),
        pytest.param(
            History(
                syncs=(SyncPlan(),),
                decisions=(
                    Decision(effect=Effect.LOST_REQUEST, point=Point.TAKE_LEASE, nth=2),
                    Decision(effect=Effect.KILL_BEFORE, point=Point.RECORD_RUNNING),
                ),
            ),
            id="the next process of a pod failed to take its lease, and waited until it lapsed",
        ),
    ],
)
def test_a_promise_that_was_broken_once_is_kept(find_broken: Callable[[History], str], history: History) -> None:
    assert not find_broken(history)


def test_a_job_that_appears_after_its_sync_was_cancelled_is_stopped() -> None:
    """Its creation was given up when no answer came, and the request arrived all the same."""
    late = Decision(effect=Effect.LATE_REQUEST, point=Point.CREATE_JOB, seconds=3.0)
    cancelled = Decision(effect=Effect.CANCEL, point=Point.CREATE_JOB)

    report = run_history(History(syncs=(SyncPlan(),), decisions=(late, cancelled)))

    steps = [line.split(maxsplit=1)[1] for line in report.log]
    assert not report.violations
    assert steps.index("operator-1 records the end of sync-0") < steps.index("late request creates the job of sync-0")
    assert steps.index("late request creates the job of sync-0") < steps.index(
        "operator-1 stops the job of estimatesync-est-1"
    )
    assert not [step for step in steps if step.startswith("node ends pod")]


STAYS = SyncPlan(timeout=300, runs=(Run(fate=Fate.SIDECAR_STAYS, seconds=200.0),))
LATE_JOB = (
    Decision(effect=Effect.LATE_REQUEST, point=Point.CREATE_JOB, seconds=3.0),
    Decision(effect=Effect.CANCEL, point=Point.CREATE_JOB),
)


@pytest.mark.parametrize("fault", [Effect.LOST_REQUEST, Effect.ERROR, Effect.THROTTLED])
@pytest.mark.parametrize(
    ("sync", "decisions", "point", "nth"),
    [
        pytest.param(STAYS, (), Point.STOP_JOB, 1, id="a pod that goes on is stopped"),
        pytest.param(STAYS, (), Point.RECORD_LOG, 1, id="its log is kept"),
        pytest.param(SyncPlan(), LATE_JOB, Point.STOP_JOB, 1, id="a job that came late is stopped"),
        pytest.param(SyncPlan(), LATE_JOB, Point.READ_JOB, 2, id="a job that came late is read"),
    ],
)
def test_a_job_that_is_at_work_for_nothing_is_stopped_although_a_call_failed(
    sync: SyncPlan, decisions: tuple[Decision, ...], point: Point, nth: int, fault: Effect
) -> None:
    failing = Decision(effect=fault, point=point, nth=nth)

    report = run_history(History(syncs=(sync,), decisions=(*decisions, failing)))

    steps = [line.split(maxsplit=1)[1] for line in report.log]
    assert not report.violations
    assert (point, fault) in report.cells
    assert "operator-1 stops the job of estimatesync-est-1" in steps
    assert not [step for step in steps if step.startswith("node ends pod")]


def test_an_operator_that_comes_late_keeps_the_log_before_it_stops_the_job() -> None:
    late = Decision(effect=Effect.LATE_JOBS, at=11.0, seconds=120.0)
    killed = Decision(effect=Effect.KILL_BEFORE, point=Point.RECORD_LOG, seconds=3.0)

    report = run_history(History(syncs=(STAYS,), decisions=(late, killed)))

    assert not report.violations
    assert report.points[Point.RECORD_LOG] > 0


def test_a_log_that_cannot_be_read_is_not_asked_for_without_pause() -> None:
    """The node that holds it may be away for minutes; in the end the pod is stopped, and the log is lost with it."""
    unreadable = tuple(Decision(effect=Effect.ERROR, point=Point.READ_LOG, nth=nth) for nth in range(1, 1000))

    report = run_history(History(syncs=(STAYS,), decisions=unreadable))

    assert report.violations == ("the log of sync-0 gets lost",)
    assert 3 < report.points[Point.READ_LOG] < 10


@pytest.mark.parametrize("seconds", [-3600.0, -90.0, 90.0, 3600.0])
def test_a_sidecar_gets_its_time_to_end_although_the_clocks_differ(seconds: float) -> None:
    runs = (Run(fate=Fate.SIDECAR_STAYS_BEHIND, seconds=3.0),)
    jump = Decision(effect=Effect.CLOCK, point=Point.CREATE_JOB, seconds=seconds)

    report = run_history(History(syncs=(SyncPlan(timeout=300, runs=runs),), decisions=(jump,)))

    assert not report.violations
    assert ("Succeeded", "Succeeded") in report.states


@pytest.mark.parametrize("fault", [None, Effect.LOST_REQUEST, Effect.LOST_ANSWER, Effect.LATE_REQUEST, Effect.ERROR])
def test_a_run_that_failed_beside_a_sidecar_that_goes_on_is_tried_again(fault: Effect | None) -> None:
    runs = (Run(fate=Fate.SIDECAR_STAYS_BEHIND, seconds=200.0, reason=Reason.SOURCE_UNAVAILABLE),)
    faults = (Decision(effect=fault, point=Point.STOP_RUN, seconds=3.0),) if fault else ()

    report = run_history(History(syncs=(SyncPlan(timeout=300, runs=runs),), decisions=faults))

    assert not report.violations
    assert ("Succeeded", "Succeeded") in report.states
    assert report.points[Point.STOP_RUN] == 1 + (fault in {Effect.LOST_REQUEST, Effect.ERROR, Effect.LATE_REQUEST})


def test_the_last_run_that_failed_beside_a_sidecar_that_goes_on_is_told_at_once() -> None:
    run = Run(fate=Fate.SIDECAR_STAYS_BEHIND, seconds=200.0, reason=Reason.SOURCE_UNAVAILABLE)

    report = run_history(History(syncs=(SyncPlan(timeout=300, max_retries=1, runs=(run, run)),)))

    assert not report.violations
    assert ("Failed", "SourceUnavailable") in report.states
    assert (report.points[Point.STOP_RUN], report.points[Point.STOP_JOB]) == (1, 1)


@pytest.mark.parametrize("seconds", [50.0, 200.0])
def test_a_sidecar_on_a_lost_node_is_not_looked_at_without_pause(seconds: float) -> None:
    runs = (Run(fate=Fate.SIDECAR_ON_LOST_NODE, seconds=seconds, reason=Reason.INTERRUPTED),)

    report = run_history(History(syncs=(SyncPlan(timeout=300, runs=runs),)))

    assert not report.violations
    assert ("Running", "NodeLost") in report.states
    assert report.points[Point.LIST_PODS] < 30


PAUSED_WITH_A_SLOT = History(
    syncs=(SyncPlan(is_suspended=True, runs=(Run(seconds=45.0),)), SyncPlan(at=0.4)),
    decisions=(
        Decision(effect=Effect.PAUSE, point=Point.RECORD_START, seconds=25.0),
        Decision(effect=Effect.RESUME, at=5.0),
        *(Decision(effect=Effect.ERROR, point=Point.RECORD_WAITING, nth=nth) for nth in range(2, 20)),
    ),
)
"""An older sync is let go, another one leads, and only then does the first one record that the younger sync runs.

No one has written to that sync meanwhile: only the lease can say that it has a slot.
"""

PAUSED_WITH_A_CALLBACK = History(
    syncs=(SyncPlan(responses=(Response.ERROR, Response.ERROR)),),
    decisions=(Decision(effect=Effect.PAUSE, point=Point.RENEW_LEASE, nth=6, seconds=40.0),),
)
"""Another one leads, and meanwhile the next attempt becomes due for the first one, too."""


@pytest.mark.parametrize("history", [PAUSED_WITH_A_SLOT, PAUSED_WITH_A_CALLBACK], ids=["slot", "callback"])
def test_a_leader_that_was_paused_does_no_harm(history: History) -> None:
    report = run_history(history)

    assert not report.violations
    assert "operator-2 takes the lease" in {line.split(maxsplit=1)[1] for line in report.log}


async def do_nothing(*_: object) -> bool:
    return True


@pytest.mark.parametrize(
    ("method", "history", "broken"),
    [
        pytest.param(
            "publish", PAUSED_WITH_A_SLOT, "2 syncs run at once, 1 may", id="a slot that no one else knows of"
        ),
        pytest.param("confirm", PAUSED_WITH_A_CALLBACK, "the callback of sync-0 is sent by", id="nobody looks again"),
    ],
)
def test_a_leader_that_was_paused_does_harm_where_its_lease_is_not_minded(
    method: str, history: History, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LeaseHolder, method, do_nothing)

    violations = run_history(history).violations

    assert [violation for violation in violations if violation.startswith(broken)]
