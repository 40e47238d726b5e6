"""How deep the histories went: which fault was met at which step, which states and ends were on record.

A history that never reaches anything proves nothing, so the gate asks for every cell of this table.
"""

from collections import Counter
from typing import Final

from estimatesync_contract.causes import Reason

from estimatesync_simulator.history import CALL_FAULTS, CELLS, WORLD_EFFECTS, Effect, Point, can_meet
from estimatesync_simulator.promises import FINAL_REASONS
from estimatesync_simulator.world import Report

_SHORT: Final = {
    Effect.KILL_BEFORE: "kill <",
    Effect.KILL_AFTER: "kill >",
    Effect.LOST_REQUEST: "lost <",
    Effect.LOST_ANSWER: "lost >",
    Effect.LATE_REQUEST: "late",
    Effect.SLOW: "slow",
    Effect.PAUSE: "pause",
}


class Coverage:
    """Adds up reports."""

    def __init__(self) -> None:
        self.histories = 0
        self.cells: Counter[tuple[Point, Effect]] = Counter()
        self.effects: Counter[Effect] = Counter()
        self.points: Counter[Point] = Counter()
        self.ends: Counter[Reason] = Counter()
        self._seconds = 0.0

    def add(self, report: Report) -> None:
        """Count one history."""
        self.histories += 1
        self.cells.update(report.cells)
        self.effects.update(report.effects)
        self.points.update(report.points)
        self.ends.update(Reason(reason) for _, reason in report.states if reason in FINAL_REASONS)
        self._seconds += report.seconds

    def list_missing(self) -> list[str]:
        """Everything that no history has reached."""
        cells = [f"{point}: {fault}" for point, fault in CELLS if (point, fault) not in self.cells]
        effects = [f"{effect}" for effect in WORLD_EFFECTS if effect not in self.effects]
        return cells + effects + [f"an end as {reason}" for reason in sorted(FINAL_REASONS - set(self.ends))]

    def format(self) -> str:
        """The table, for people: how often each step met each fault; a dot where that cannot be."""
        head = " ".join(f"{_SHORT.get(fault, fault):>6}" for fault in CALL_FAULTS)
        lines = [f"{'':38} {'steps':>8} {head}"]
        for point in Point:
            counts = (self._format_cell(point, fault) for fault in CALL_FAULTS)
            lines.append(f"{point:38} {self.points[point]:>8} {' '.join(counts)}")
        lines += ["", *(f"{effect:48} {self.effects[effect]:>6}" for effect in WORLD_EFFECTS)]
        lines += ["", *(f"ends as {reason:40} {self.ends[reason]:>6}" for reason in sorted(FINAL_REASONS))]
        steps, days = self.points.total() / max(self.histories, 1), self._seconds / 86_400
        lines += ["", f"{self.histories} histories, {steps:.0f} steps each, {days:.1f} simulated days"]
        return "\n".join(lines)

    def _format_cell(self, point: Point, fault: Effect) -> str:
        return f"{self.cells[point, fault]:>6}" if can_meet(point, fault) else f"{'·':>6}"
