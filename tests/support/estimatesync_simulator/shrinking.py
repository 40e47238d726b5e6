"""Shortens a history that breaks a promise to one in which nothing is left to leave out."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

import msgspec

from estimatesync_simulator.history import History, Run, SyncPlan

AnyHistory = TypeVar("AnyHistory")

_Item = TypeVar("_Item")

_PLAIN: Final = SyncPlan()


def shrink(
    history: AnyHistory,
    is_broken: Callable[[AnyHistory], bool],
    list_shorter: Callable[[AnyHistory], Iterable[AnyHistory]],
) -> AnyHistory:
    """Leave out whatever can be left out, as long as `is_broken` says that the promise is still broken.

    What goes first is what makes most of a log: half of the decisions, whole syncs. The history that comes out is a
    local minimum: without any single part of it the promise is kept.
    """
    while True:
        for shorter in list_shorter(history):
            if is_broken(shorter):
                history = shorter
                break
        else:
            return history


def list_shorter(history: History) -> Iterator[History]:
    """List histories of the operator in which one thing less is decided."""
    if history.jitter is not None:
        yield msgspec.structs.replace(history, jitter=None)
    for decisions in leave_out(history.decisions):
        yield msgspec.structs.replace(history, decisions=decisions)
    if len(history.syncs) > 1:
        # Only the last one: decisions name the others by their place.
        yield msgspec.structs.replace(history, syncs=history.syncs[:-1])
    for number, sync in enumerate(history.syncs):
        for plainer in _list_plainer(sync):
            syncs = (*history.syncs[:number], plainer, *history.syncs[number + 1 :])
            yield msgspec.structs.replace(history, syncs=syncs)
    for number, decision in enumerate(history.decisions):
        for nth in range(1, decision.nth):
            earlier = msgspec.structs.replace(decision, nth=nth)
            decisions = (*history.decisions[:number], earlier, *history.decisions[number + 1 :])
            yield msgspec.structs.replace(history, decisions=decisions)


def _list_plainer(sync: SyncPlan) -> Iterator[SyncPlan]:
    for runs in leave_out(sync.runs):
        yield msgspec.structs.replace(sync, runs=runs)
    for responses in leave_out(sync.responses):
        yield msgspec.structs.replace(sync, responses=responses)
    for responses in leave_out(sync.alert_responses):
        yield msgspec.structs.replace(sync, alert_responses=responses)
    for field in ("at", "timeout", "max_retries", "ttl", "wants_callback", "targets", "is_suspended", "is_malformed"):
        usual = getattr(_PLAIN, field)
        if getattr(sync, field) != usual:
            yield msgspec.structs.replace(sync, **{field: usual})
    if sync.runs and sync.runs[-1] == Run():
        yield msgspec.structs.replace(sync, runs=sync.runs[:-1])


def leave_out(items: tuple[_Item, ...]) -> Iterator[tuple[_Item, ...]]:
    """All, each half, then each one."""
    size = len(items)
    while size:
        for start in range(0, len(items), size):
            yield items[:start] + items[start + size :]
        size //= 2
