"""Makes up histories until one breaks a promise, or the time is over (make simulate)."""

import argparse
import secrets
import time
from collections.abc import Sequence
from typing import Final

from estimatesync_simulator.coverage import Coverage
from estimatesync_simulator.history import History, generate_history
from estimatesync_simulator.shrinking import shrink
from estimatesync_simulator.world import Report, run_history

_SEEDS: Final = 2**32
_LINES_AT_THE_START: Final = 150
_LINES_AT_THE_END: Final = 20


def main() -> None:
    """Run random seeds, or the one that is given.

    Raises:
        SystemExit: A promise is broken; the shortest history that breaks it has been printed, with the seed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to go on (default: 60)")
    parser.add_argument("--seed", type=int, help="the one history to look at")
    options = parser.parse_args()
    if options.seed is not None:
        _show(options.seed)
        return
    coverage, end = Coverage(), time.monotonic() + options.seconds
    first = secrets.randbelow(_SEEDS)
    while time.monotonic() < end:
        seed = first + coverage.histories
        report = run_history(generate_history(seed))
        coverage.add(report)
        if report.violations:
            print(coverage.format())
            raise SystemExit(explain_failure(seed))
    print(coverage.format())
    print("every promise was kept")


def explain_failure(seed: int) -> str:
    """Shorten a history that breaks a promise, and tell it."""
    shortest = shrink(generate_history(seed), is_broken)
    return f"{format_history(shortest, run_history(shortest))}\n\nThe same again: make simulate SEED={seed}"


def is_broken(history: History) -> bool:
    """Return whether a promise is broken in this history."""
    return bool(run_history(history).violations)


def format_history(history: History, report: Report) -> str:
    """Tell a history as a log, after what was decided beforehand."""
    decided = [f"  sync-{number}: {plan}" for number, plan in enumerate(history.syncs)]
    decided += [f"  {decision}" for decision in history.decisions]
    broken = [f"BROKEN: {violation}" for violation in report.violations]
    return "\n".join(("decided beforehand:", *decided, "", *_abridge(report.log), "", *broken))


def _abridge(log: Sequence[str]) -> Sequence[str]:
    """What never ends goes on like this."""
    left_out = len(log) - _LINES_AT_THE_START - _LINES_AT_THE_END
    if left_out <= 0:
        return log
    return [*log[:_LINES_AT_THE_START], f"… {left_out} lines …", *log[-_LINES_AT_THE_END:]]


def _show(seed: int) -> None:
    history = generate_history(seed)
    report = run_history(history)
    if report.violations:
        raise SystemExit(explain_failure(seed))
    print(format_history(history, report))
    print("every promise was kept")
