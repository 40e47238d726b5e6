"""What is measured: the sources and databases, and what the product must reach on each."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class LoadKind(IntEnum):
    """What has happened at the source before a load."""

    FIRST = 1
    CHANGED = 2
    UNCHANGED = 3
    MOMENT = 4


GENERATIONS: Final[Mapping[LoadKind, int]] = {
    LoadKind.FIRST: 1,
    LoadKind.CHANGED: 2,
    LoadKind.UNCHANGED: 2,
    LoadKind.MOMENT: 3,
}
"""Which generation of the records each load finds at the source."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One source and one database.

    Attributes:
        id_step: from one id to the next; those in between belong to others.
        first_ms: what the first list call of a load takes, as with a cold cache.
        fixed_ms: what any other takes, whatever it returns.
        record_ms: what each of its records adds to that.
        honours_select: whether it leaves out what is not asked for, and is quicker by the share of bytes;
            EstimateSync, whose choice that is, then asks for fields.
        at_once: how many list calls the source works on at a time, the others waiting; 0 for any number.
        round_trip_ms: how far away the database is.
        rounds: how often every contender runs both loads.
        max_seconds: the goal for the whole process; None without one.
        max_times_limit: the goal against the limit; None without one.
        min_times_peer: the goal against the peer: how many times as long it takes.
        max_times_changed: the goal for a load that finds nothing changed, against one that finds everything changed;
            None where the source sets the time of both.
        has_moment: whether there is a load that finds everything changed in one moment ten minutes ago.
        needs_full: measured only when asked for.
    """

    name: str
    records: int
    mean_bytes: int
    id_step: int = 3
    first_ms: float = 0.0
    fixed_ms: float = 0.0
    record_ms: float = 0.0
    honours_select: bool = False
    at_once: int = 0
    round_trip_ms: float = 0.0
    rounds: int = 5
    max_seconds: float | None = None
    max_times_limit: float | None = None
    min_times_peer: float = 1.0
    max_times_changed: float | None = None
    has_moment: bool = False
    needs_full: bool = False

    @property
    def is_large(self) -> bool:
        """Too large to try settings on: those of the next smaller size are taken."""
        return self.records > 50_000

    @property
    def own_loads(self) -> tuple[LoadKind, ...]:
        """What the sync program loads; the others, whose time does not depend on what has changed, the first two."""
        return (*SHARED_LOADS, LoadKind.UNCHANGED, *([LoadKind.MOMENT] if self.has_moment else []))


SHARED_LOADS: Final = (LoadKind.FIRST, LoadKind.CHANGED)


_S2: Final = {"records": 1_609, "mean_bytes": 45_000, "fixed_ms": 300.0, "record_ms": 5.0, "at_once": 8}
_S4: Final = {"mean_bytes": 500, "fixed_ms": 5.0, "rounds": 3}
_S4_LARGE: Final = _S4 | {"rounds": 2, "max_times_limit": 1.5, "min_times_peer": 1.2, "max_times_changed": 0.6}

SCENARIOS: Final = (
    Scenario(name="S1", records=1_609, mean_bytes=500, max_seconds=0.35),
    Scenario(name="S2", **_S2, max_times_limit=1.12, has_moment=True),  # type: ignore[arg-type] # mypy sees one type for all values
    Scenario(name="S2-select", **_S2, honours_select=True, max_times_limit=0.5),  # type: ignore[arg-type] # the same
    Scenario(name="S2-far", **_S2, round_trip_ms=25.0, max_times_limit=1.12),  # type: ignore[arg-type] # the same
    Scenario(
        name="S3", records=20_000, mean_bytes=500, fixed_ms=50.0, max_seconds=0.9, min_times_peer=1.8, has_moment=True
    ),
    Scenario(name="S4 2k", records=2_000, **_S4),  # type: ignore[arg-type] # the same
    Scenario(name="S4 20k", records=20_000, **_S4),  # type: ignore[arg-type] # the same
    Scenario(name="S4 200k", records=200_000, **_S4_LARGE),  # type: ignore[arg-type] # the same
    Scenario(name="S4 200k cold", records=200_000, **_S4_LARGE | {"rounds": 1}, id_step=1_000, first_ms=2_000.0),  # type: ignore[arg-type] # same
    Scenario(name="S4 1M", records=1_000_000, **_S4 | {"rounds": 1}, max_seconds=27.0, needs_full=True),  # type: ignore[arg-type] # same
)

MOST_TIMES_FIRST: Final = 1.1
"""How long a load may take that finds everything changed in one moment, against a first load."""

MOST_MEGABYTES: Final = 90
"""What the sync program may use at its peak, at every size."""

MOST_SECONDS_TO_FIRST_REQUEST: Final = 0.13
