"""From single loads to medians and ratios; pure. The report and the picture are built on these."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from contenders import LIMIT, OURS, PEER
from rounds import Load
from scenarios import (
    MOST_MEGABYTES,
    MOST_SECONDS_TO_FIRST_REQUEST,
    MOST_TIMES_FIRST,
    SHARED_LOADS,
    LoadKind,
    Scenario,
)

LOADS: Final = {
    LoadKind.FIRST: "first load",
    LoadKind.CHANGED: "every record changed",
    LoadKind.UNCHANGED: "nothing changed",
    LoadKind.MOMENT: "every record changed in one moment, ten minutes ago",
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The sync program with other settings than its defaults: the best first load, in seconds."""

    scenario: str
    page_size: int
    concurrency: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Table:
    """Everything that one run has measured."""

    loads: Mapping[Scenario, Sequence[Load]]
    settings: Sequence[Setting]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One scenario and one load: medians over the rounds, NaN for who did not run.

    Attributes:
        times_own: how many times as long as in each other load the sync program takes in this one.
    """

    scenario: Scenario
    load: LoadKind
    times_own: Mapping[LoadKind, float]
    seconds: Mapping[str, float]
    cpu: Mapping[str, float]
    megabytes: Mapping[str, float]
    start_seconds: float
    list_calls: Mapping[str, int]
    max_in_flight: Mapping[str, int]
    words: Mapping[str, str]
    rounds: int

    @property
    def times_limit(self) -> float:
        """How many times as long as the limit the sync program takes."""
        return self.seconds[OURS] / self.seconds[LIMIT]

    @property
    def times_peer(self) -> float:
        """How many times as long as the sync program the peer takes."""
        return self.seconds[PEER] / self.seconds[OURS]


def compute_rows(table: Table) -> list[Row]:
    """Compute the medians, in the order of the scenarios."""
    return [
        _compute_row(scenario, load, loads)
        for scenario, loads in table.loads.items()
        for load in LOADS
        if any(each.load == load for each in loads)
    ]


def find_missed_goals(row: Row) -> list[str]:
    """List the goals that a row misses, each with what was measured."""
    missed = [*_find_missed_against_others(row), *_find_missed_against_own(row)]
    if row.start_seconds > MOST_SECONDS_TO_FIRST_REQUEST:
        missed.append(f"first request after {row.start_seconds:.2f} s > {MOST_SECONDS_TO_FIRST_REQUEST} s")
    if row.megabytes[OURS] > MOST_MEGABYTES:
        missed.append(f"{row.megabytes[OURS]:.0f} MB > {MOST_MEGABYTES} MB")
    return missed


def _find_missed_against_others(row: Row) -> Iterator[str]:
    if row.load not in SHARED_LOADS:
        return
    scenario, seconds = row.scenario, row.seconds[OURS]
    if scenario.max_seconds is not None and seconds > scenario.max_seconds:
        yield f"{seconds:.2f} s > {scenario.max_seconds} s"
    if scenario.max_times_limit is not None and row.times_limit > scenario.max_times_limit:
        yield f"{row.times_limit:.2f} × limit > {scenario.max_times_limit} ×"
    if row.times_peer < scenario.min_times_peer:
        yield f"{row.times_peer:.1f} × ahead of dlt < {scenario.min_times_peer} ×"


def _find_missed_against_own(row: Row) -> Iterator[str]:
    most = row.scenario.max_times_changed
    if row.load is LoadKind.UNCHANGED and most is not None and row.times_own[LoadKind.CHANGED] > most:
        yield f"{row.times_own[LoadKind.CHANGED]:.2f} × every record changed > {most} ×"
    if row.load is LoadKind.MOMENT and row.times_own[LoadKind.FIRST] > MOST_TIMES_FIRST:
        yield f"{row.times_own[LoadKind.FIRST]:.2f} × first load > {MOST_TIMES_FIRST} ×"


def _compute_row(scenario: Scenario, load: LoadKind, all_loads: Sequence[Load]) -> Row:
    loads = [each for each in all_loads if each.load == load]
    own_seconds = {
        other: [each.wall_seconds for each in all_loads if each.load == other and each.contender == OURS]
        for other in LOADS
    }
    own_medians = {other: median(seconds) for other, seconds in own_seconds.items() if seconds}
    by_name = {name: [each for each in loads if each.contender == name] for name in (OURS, LIMIT, PEER)}
    ran = {name: each for name, each in by_name.items() if each}
    nothing = dict.fromkeys(by_name, float("nan"))
    return Row(
        scenario=scenario,
        load=load,
        times_own={
            other: own_medians.get(load, float("nan")) / own_medians.get(other, float("nan")) for other in LOADS
        },
        seconds=nothing | {name: median(each.wall_seconds for each in own) for name, own in ran.items()},
        cpu=nothing | {name: median(each.cpu_seconds for each in own) for name, own in ran.items()},
        megabytes=nothing | {name: max(each.peak_megabytes for each in own) for name, own in ran.items()},
        start_seconds=median(each.start_seconds for each in by_name[OURS] or loads),
        list_calls={name: own[0].list_calls for name, own in ran.items()},
        max_in_flight={name: max(each.max_in_flight for each in own) for name, own in ran.items()},
        words={name: own[0].words for name, own in ran.items()},
        rounds=max(len(own) for own in ran.values()),
    )
