"""How deep the histories of the sync program went: which fault was met at which step, and how syncs ended."""

from collections import Counter
from typing import Final

from estimatesync_simulator.sync_program.history import CELLS, STEP_FAULTS, WORLD_EFFECTS, Effect, Step, can_meet
from estimatesync_simulator.sync_program.promises import CAUSES
from estimatesync_simulator.sync_program.world import SUCCEEDED, UNKNOWN, Report

ENDS: Final = (SUCCEEDED, *sorted(reason.value for reason in CAUSES), UNKNOWN)
_WIDTH: Final = 6
_SHORT: Final = {
    Effect.KILL_BEFORE: "kill <", Effect.KILL_AFTER: "kill >", Effect.STOP: "stop", Effect.NODE_LOST: "node",
    Effect.LOST_REQUEST: "lost <", Effect.LOST_ANSWER: "lost >", Effect.SLOW: "slow", Effect.CUT: "cut",
    Effect.PROXY: "proxy", Effect.EXPIRED: "token", Effect.REFUSED: "no",
}  # fmt: skip


class Coverage:
    """Adds up reports."""

    def __init__(self) -> None:
        self.histories = 0
        self.steps: Counter[Step] = Counter()
        self.cells: Counter[tuple[Step, Effect]] = Counter()
        self.effects: Counter[Effect] = Counter()
        self.ends: Counter[str] = Counter()
        self._pods = 0

    def add(self, report: Report) -> None:
        """Count one history."""
        self.histories += 1
        self.steps.update(report.steps)
        self.cells.update(report.cells)
        self.effects.update(report.effects)
        self.ends[report.end] += 1
        self._pods += report.pods

    def list_missing(self) -> list[str]:
        """Everything that no history has reached."""
        cells = [f"{step}: {fault}" for step, fault in CELLS if (step, fault) not in self.cells]
        effects = [f"{effect}" for effect in WORLD_EFFECTS if effect not in self.effects]
        return cells + effects + [f"an end as {end}" for end in ENDS if end not in self.ends]

    def format(self) -> str:
        """The table, for people: how often each step met each fault; a dot where that cannot be."""
        head = " ".join(f"{_SHORT.get(fault, fault):>{_WIDTH}}" for fault in STEP_FAULTS)
        lines = [f"{'':38} {'steps':>8} {head}"]
        for step in Step:
            counts = (self._format_cell(step, fault) for fault in STEP_FAULTS)
            lines.append(f"{step:38} {self.steps[step]:>8} {' '.join(counts)}")
        lines += ["", *(f"{effect:48} {self.effects[effect]:>6}" for effect in WORLD_EFFECTS)]
        lines += ["", *(f"ends as {end:40} {self.ends[end]:>6}" for end in ENDS)]
        steps, pods = self.steps.total() / max(self.histories, 1), self._pods / max(self.histories, 1)
        lines += ["", f"{self.histories} histories of the sync program, {steps:.0f} steps and {pods:.1f} pods each"]
        return "\n".join(lines)

    def _format_cell(self, step: Step, fault: Effect) -> str:
        return f"{self.cells[step, fault]:>{_WIDTH}}" if can_meet(step, fault) else f"{'·':>{_WIDTH}}"
