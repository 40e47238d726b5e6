"""Makes up histories until one breaks a promise, or the time is over (make simulate): the operator's, the sync's."""

import argparse
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from estimatesync_simulator import coverage, history, shrinking, world
from estimatesync_simulator.sync_program import coverage as sync_coverage
from estimatesync_simulator.sync_program import history as sync_history
from estimatesync_simulator.sync_program import world as sync_world

_SEEDS: Final = 2**32
_LINES_AT_THE_START: Final = 150
_LINES_AT_THE_END: Final = 20


class Report(Protocol):
    """What became of a history, whichever program it is about."""

    @property
    def log(self) -> Sequence[str]: ...
    @property
    def violations(self) -> Sequence[str]: ...


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """One of the two simulated worlds; `tell` lists what was decided beforehand."""

    name: str
    generate: Callable[[int], Any]
    run: Callable[[Any], Any]
    list_shorter: Callable[[Any], Any]
    create_coverage: Callable[[], Any]
    tell: Callable[[Any], list[str]]

    def is_broken(self, history: Any) -> bool:  # noqa: ANN401 - of either world
        """Return whether a promise is broken in this history."""
        return bool(self.run(history).violations)

    def measure_coverage(self, seeds: Iterable[int]) -> Any:  # noqa: ANN401 - of either world
        """Return what the histories of these seeds reach.

        Raises:
            AssertionError: One of them breaks a promise; it is told.
        """
        reached = self.create_coverage()
        for seed in seeds:
            report = self.run(self.generate(seed))
            if report.violations:
                raise AssertionError(self.explain_failure(seed))
            reached.add(report)
        return reached

    def explain_failure(self, seed: int) -> str:
        """Shorten a history that breaks a promise, and tell it."""
        shortest = shrinking.shrink(self.generate(seed), self.is_broken, self.list_shorter)
        told = self.format_history(shortest, self.run(shortest))
        return f"{told}\n\nThe same again: make simulate OF={self.name} SEED={seed}"

    def format_history(self, history: Any, report: Report) -> str:  # noqa: ANN401 - of either world
        """Tell a history as a log, after what was decided beforehand."""
        decided = [f"  {line}" for line in self.tell(history)]
        broken = [f"BROKEN: {violation}" for violation in report.violations]
        return "\n".join(("decided beforehand:", *decided, "", *_abridge(report.log), "", *broken))


OPERATOR: Final = Simulation(
    name="operator",
    generate=history.generate_history,
    run=world.run_history,
    list_shorter=shrinking.list_shorter,
    create_coverage=coverage.Coverage,
    tell=lambda told: [
        *(f"sync-{number}: {plan}" for number, plan in enumerate(told.syncs)),
        *map(str, told.decisions),
    ],
)
SYNC: Final = Simulation(
    name="sync",
    generate=sync_history.generate_history,
    run=sync_world.run_history,
    list_shorter=sync_history.list_shorter,
    create_coverage=sync_coverage.Coverage,
    tell=lambda told: [str(told), *map(str, told.changes), *map(str, told.decisions)],
)
SIMULATIONS: Final = {simulation.name: simulation for simulation in (OPERATOR, SYNC)}


def main() -> None:
    """Run random seeds of one program or of both, or the one seed that is given.

    Raises:
        SystemExit: A promise is broken; the shortest history that breaks it has been printed, with the seed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--of", choices=SIMULATIONS, help="the program to simulate (default: one after the other)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to go on in all (default: 60)")
    parser.add_argument("--seed", type=int, help="the one history to look at; needs --of")
    options = parser.parse_args()
    chosen = [SIMULATIONS[options.of]] if options.of else list(SIMULATIONS.values())
    if options.seed is None:
        for simulation in chosen:
            _explore(simulation, seconds=options.seconds / len(chosen))
    elif options.of:
        _show(chosen[0], options.seed)
    else:
        parser.error(f"a seed is one of {' or '.join(SIMULATIONS)}: say OF={OPERATOR.name} or OF={SYNC.name}")


def _explore(simulation: Simulation, *, seconds: float) -> None:
    print(f"the {simulation.name}:", flush=True)
    reached, end = simulation.create_coverage(), time.monotonic() + seconds
    first = secrets.randbelow(_SEEDS)
    while time.monotonic() < end:
        seed = first + reached.histories
        report = simulation.run(simulation.generate(seed))
        reached.add(report)
        if report.violations:
            print(reached.format())
            raise SystemExit(simulation.explain_failure(seed))
    print(reached.format())
    print(f"the {simulation.name} kept every promise\n", flush=True)


def _abridge(log: Sequence[str]) -> Sequence[str]:
    """What never ends goes on like this."""
    left_out = len(log) - _LINES_AT_THE_START - _LINES_AT_THE_END
    if left_out <= 0:
        return log
    return [*log[:_LINES_AT_THE_START], f"… {left_out} lines …", *log[-_LINES_AT_THE_END:]]


def _show(simulation: Simulation, seed: int) -> None:
    told = simulation.generate(seed)
    report = simulation.run(told)
    if report.violations:
        raise SystemExit(simulation.explain_failure(seed))
    print(simulation.format_history(told, report))
    print("every promise was kept")
