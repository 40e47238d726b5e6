"""What is measured: the sources and databases, and what the product must reach on each."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One source and one database.

    Attributes:
        fixed_ms: what a list call takes, whatever it returns.
        record_ms: what each of its records adds to that.
        honours_select: whether it leaves out what is not asked for, and is quicker by the share of bytes;
            EstimateSync, whose choice that is, then asks for fields.
        at_once: how many list calls the source works on at a time, the others waiting; 0 for any number.
        round_trip_ms: how far away the database is.
        rounds: how often every contender runs both loads.
        max_seconds: the goal for the whole process; None without one.
        max_times_limit: the goal against the limit; None without one.
        min_times_peer: the goal against the peer: how many times as long it takes.
        needs_full: measured only when asked for.
    """

    name: str
    records: int
    mean_bytes: int
    fixed_ms: float = 0.0
    record_ms: float = 0.0
    honours_select: bool = False
    at_once: int = 0
    round_trip_ms: float = 0.0
    rounds: int = 5
    max_seconds: float | None = None
    max_times_limit: float | None = None
    min_times_peer: float = 1.0
    needs_full: bool = False

    @property
    def is_large(self) -> bool:
        """Too large to try settings on: those of the next smaller size are taken."""
        return self.records > 50_000


_S2: Final = {"records": 1_609, "mean_bytes": 45_000, "fixed_ms": 300.0, "record_ms": 5.0, "at_once": 8}
_S4: Final = {"mean_bytes": 500, "fixed_ms": 5.0, "rounds": 3}

SCENARIOS: Final = (
    Scenario(name="S1", records=1_609, mean_bytes=500, max_seconds=0.35),
    Scenario(name="S2", **_S2, max_times_limit=1.12),  # type: ignore[arg-type] # mypy sees one type for all values
    Scenario(name="S2-select", **_S2, honours_select=True, max_times_limit=0.5),  # type: ignore[arg-type] # the same
    Scenario(name="S2-far", **_S2, round_trip_ms=25.0, max_times_limit=1.12),  # type: ignore[arg-type] # the same
    Scenario(name="S3", records=20_000, mean_bytes=500, fixed_ms=50.0, max_seconds=0.9, min_times_peer=1.8),
    Scenario(name="S4 2k", records=2_000, **_S4),  # type: ignore[arg-type] # the same
    Scenario(name="S4 20k", records=20_000, **_S4),  # type: ignore[arg-type] # the same
    Scenario(name="S4 200k", records=200_000, **_S4 | {"rounds": 2}, max_times_limit=1.5, min_times_peer=1.2),  # type: ignore[arg-type] # the same
    Scenario(name="S4 1M", records=1_000_000, **_S4 | {"rounds": 1}, needs_full=True),  # type: ignore[arg-type] # same
)

MOST_MEGABYTES: Final = 90
"""What the sync program may use at its peak, at every size."""

MOST_SECONDS_TO_FIRST_REQUEST: Final = 0.13
