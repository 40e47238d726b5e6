import asyncio

import pytest
from estimatesync_simulator.coverage import Coverage
from estimatesync_simulator.history import (
    CELLS,
    Decision,
    Effect,
    Fate,
    History,
    Point,
    Run,
    SyncPlan,
    generate_history,
)
from estimatesync_simulator.loop import SimulatedLoop
from estimatesync_simulator.main import OPERATOR
from estimatesync_simulator.shrinking import list_shorter, shrink
from estimatesync_simulator.world import run_history


def test_a_day_passes_at_once_and_whatever_is_due_happens_in_time() -> None:
    loop, seen = SimulatedLoop(), []

    async def live() -> None:
        await asyncio.sleep(86_400)
        seen.append(loop.time())

    task = loop.create_task(live())
    loop.run_until(task.done, deadline=100_000)
    loop.close()

    assert seen == [pytest.approx(86_400)]


def test_nothing_happens_after_the_deadline() -> None:
    loop, seen = SimulatedLoop(), []
    loop.call_later(10, seen.append, "in time")
    loop.call_later(30, seen.append, "too late")

    loop.run_until(lambda: False, deadline=20)
    loop.close()

    assert seen == ["in time"]


def test_a_history_is_shortened_to_what_breaks_it() -> None:
    """As if only the cancellation of the second sync broke a promise, and only while the first one runs long."""
    long_run = Run(fate=Fate.TOO_SLOW)
    cancel = Decision(effect=Effect.CANCEL, sync=1, at=5.0)

    def is_broken(history: History) -> bool:
        return cancel in history.decisions and long_run in history.syncs[0].runs and len(history.syncs) > 1

    noise = tuple(Decision(effect=Effect.TOUCH, at=float(second)) for second in range(7))
    syncs = (SyncPlan(runs=(Run(), long_run, Run()), ttl=0), SyncPlan(timeout=40), SyncPlan())

    shortest = shrink(History(syncs=syncs, decisions=(*noise, cancel, *noise), jitter=1), is_broken, list_shorter)

    assert shortest == History(syncs=(SyncPlan(runs=(long_run,)), SyncPlan()), decisions=(cancel,))


def test_successive_seeds_are_about_successive_cells() -> None:
    first = [generate_history(seed).decisions[0] for seed in range(len(CELLS))]

    assert [(decision.point, decision.effect) for decision in first] == list(CELLS)


def test_what_no_history_has_reached_is_missing() -> None:
    coverage = Coverage()
    killed = Decision(effect=Effect.KILL_AFTER, point=Point.CREATE_JOB)
    coverage.add(run_history(History(syncs=(SyncPlan(),), decisions=(killed,))))

    missing = coverage.list_missing()

    assert f"{Point.CREATE_JOB}: {Effect.KILL_AFTER}" not in missing
    assert {f"{Point.CREATE_JOB}: {Effect.KILL_BEFORE}", f"{Effect.OUTAGE}", "an end as Malformed"} <= set(missing)
    assert "an end as Succeeded" not in missing


def test_a_history_is_told_as_a_log_after_what_was_decided() -> None:
    killed = Decision(effect=Effect.KILL_AFTER, point=Point.CREATE_JOB)
    history = History(syncs=(SyncPlan(max_retries=2),), decisions=(killed,))

    told = OPERATOR.format_history(history, run_history(history))

    assert told.startswith(
        "decided beforehand:\n"
        "  sync-0: max_retries 2\n"
        "  when it creates the job for the 1. time: the operator dies after, 0 s\n"
    )
    assert "00:00:00.105 operator-1 creates the job of sync-0 and dies\n" in told
    assert "00:00:03.105 operator-2 starts\n" in told
