"""The geometry of the charts: durations of syncs over time, and estimates per day. Pure; the templates draw it.

Heights are told from zero, so that a bar twice as high is twice as much. Everything has its words beside it: each chart
comes with a table of the same numbers.

Durations and counts over time, over the syncs that are still stored. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState, Phase, Results

from estimatesync_api.listing import find_phase
from estimatesync_api.status_page.core.list_view import Fact
from estimatesync_api.status_page.core.localization import NOTHING, Tongue

WIDTH: Final = 720
HEIGHT: Final = 230
LEFT: Final = 84
RIGHT: Final = 8
TOP: Final = 10
BOTTOM: Final = 34

_STEPS: Final = (1, 2, 5)
_TIME_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_MOST_BAR_WIDTH: Final = 28.0
_GAP_SHARE: Final = 0.25


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A part of a bar."""

    y: float
    height: float
    tone: str


@dataclass(frozen=True, kw_only=True)
class ChartBar:
    """One sync, or one day; `title` says it in words."""

    x: float
    width: float
    slices: tuple[Slice, ...]
    title: str


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A line and its label."""

    at: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What a template draws."""

    bars: tuple[ChartBar, ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    base: int = HEIGHT - BOTTOM


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What is drawn as one bar: amounts from the bottom up, each with its tone."""

    amounts: tuple[tuple[str, float], ...]
    title: str
    label: str


def build_chart(samples: Sequence[Sample], ticks: Sequence[tuple[float, str]], *, most_labels: int = 6) -> Chart:
    """Lay bars out from left to right.

    Args:
        samples: In the order they are shown.
        ticks: Amounts to draw a line at, with their labels; the largest is the top.
        most_labels: So many fit below the bars.
    """
    top = max((amount for amount, _ in ticks), default=0) or 1
    room = (WIDTH - LEFT - RIGHT) / max(1, len(samples))
    width = min(_MOST_BAR_WIDTH, room * (1 - _GAP_SHARE))
    bars = tuple(
        ChartBar(
            x=_round(LEFT + room * place + (room - width) / 2),
            width=_round(width),
            slices=_stack(sample, top),
            title=sample.title,
        )
        for place, sample in enumerate(samples)
    )
    return Chart(
        bars=bars,
        rows=tuple(Tick(at=_round(_compute_y(amount, top)), label=label) for amount, label in ticks),
        columns=_choose_labels(samples, room, most_labels),
    )


def choose_amounts(most: float) -> tuple[float, ...]:
    """Choose round amounts from zero up to the first one that covers everything."""
    unit = 1.0
    while True:
        for step in _STEPS:
            if step * unit * 4 >= most:
                return _count_up(step * unit, most)
        unit *= 10


def choose_seconds(most: float) -> tuple[float, ...]:
    """The same for times, which people count in minutes and hours."""
    step = next((step for step in _TIME_STEPS if step * 4 >= most), _TIME_STEPS[-1])
    return _count_up(step, most)


def _count_up(step: float, most: float) -> tuple[float, ...]:
    count = max(1, -int(-most // step))
    return tuple(step * number for number in range(count + 1))


def _stack(sample: Sample, top: float) -> tuple[Slice, ...]:
    slices: list[Slice] = []
    total = 0.0
    for tone, amount in sample.amounts:
        if amount > 0:
            low, high = _compute_y(total, top), _compute_y(total + amount, top)
            slices.append(Slice(y=_round(high), height=_round(max(1.0, low - high)), tone=tone))
            total += amount
    return tuple(slices)


def _choose_labels(samples: Sequence[Sample], room: float, most: int) -> tuple[Tick, ...]:
    every = max(1, -(-len(samples) // most))
    return tuple(
        Tick(at=_round(LEFT + room * (place + 0.5)), label=sample.label)
        for place, sample in enumerate(samples)
        if place % every == 0 and sample.label
    )


def _compute_y(amount: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - amount / top)


def _round(value: float) -> float:
    return round(value, 1)


MOST_SYNCS: Final = 500
"""As many as are read for the charts, the newest first."""
BARS: Final = 60
STRIP: Final = 30


@dataclass(frozen=True, kw_only=True)
class DayRow:
    """A day in words and numbers: a line of the table."""

    day: str
    succeeded: str
    failed: str
    cancelled: str
    duration: str
    new: str
    updated: str


@dataclass(frozen=True, kw_only=True)
class Trends:
    """What the page of trends shows."""

    tiles: tuple[Fact, ...]
    durations: Chart
    counts: Chart
    rows: tuple[DayRow, ...]


def build_trends(syncs: Sequence[EstimateSync], tongue: Tongue) -> Trends | None:
    """Draw what there is; None when no sync has ended yet. Syncs are given newest first."""
    ended = [sync for sync in reversed(syncs) if sync.is_finished and sync.status.completion_time]
    if not ended:
        return None
    days = _group(ended, tongue)
    return Trends(
        tiles=_list_tiles(ended, tongue),
        durations=_draw_durations(ended[-BARS:], tongue),
        counts=_draw_counts(days, tongue),
        rows=tuple(_build_row(day, found, tongue) for day, found in reversed(days)),
    )


def build_strip(syncs: Sequence[EstimateSync], tongue: Tongue) -> tuple[Chart, str] | None:
    """Draw the newest ends as a strip, and say it in words; None when there are none."""
    ended = [sync for sync in reversed(syncs) if sync.is_finished and sync.status.completion_time][-STRIP:]
    if not ended:
        return None
    good = sum(1 for sync in ended if find_phase(sync) is Phase.SUCCEEDED)
    words = tongue.say_count("strip", len(ended), good=tongue.say_number(good))
    return _draw_durations(ended, tongue), words


def _draw_durations(ended: Sequence[EstimateSync], tongue: Tongue) -> Chart:
    samples = [
        Sample(
            amounts=((find_phase(sync).lower(), max(0.5, _seconds(sync))),),
            title=tongue.join([_say_end(sync, tongue), tongue.say(f"phase.{find_phase(sync).lower()}"), length]),
            label=_say_short_day(_day(sync, tongue), tongue),
        )
        for sync in ended
        for length in [tongue.say_duration(timedelta(seconds=_seconds(sync)))]
    ]
    most = max(_seconds(sync) for sync in ended)
    ticks = [(seconds, tongue.say_duration(timedelta(seconds=seconds))) for seconds in choose_seconds(max(1.0, most))]
    return build_chart(samples, ticks)


def _draw_counts(days: Sequence[tuple[date, list[EstimateSync]]], tongue: Tongue) -> Chart:
    totals = [(day, *_sum_counts(found)) for day, found in days]
    samples = [
        Sample(
            amounts=(("updated", updated), ("new", new)),
            title=tongue.join([tongue.say_day(day), _say_counts(new, updated, tongue)]),
            label=_say_short_day(day, tongue),
        )
        for day, new, updated in totals
    ]
    most = max(new + updated for _, new, updated in totals)
    ticks = [(amount, tongue.say_number(int(amount))) for amount in choose_amounts(max(1.0, most))]
    return build_chart(samples, ticks)


def _list_tiles(ended: Sequence[EstimateSync], tongue: Tongue) -> tuple[Fact, ...]:
    good = [sync for sync in ended if find_phase(sync) is Phase.SUCCEEDED]
    judged = [sync for sync in ended if find_phase(sync) is not Phase.CANCELLED]
    unheard = sum(1 for sync in ended if _has_failed_callback(sync))
    share = tongue.say_percent(100 * len(good) // len(judged)) if judged else NOTHING
    typical = tongue.say_duration(timedelta(seconds=median(map(_seconds, good)))) if good else NOTHING
    longest = tongue.say_duration(timedelta(seconds=max(map(_seconds, good)))) if good else NOTHING
    return (
        Fact(name=tongue.say("trends.ended"), text=tongue.say_number(len(ended))),
        Fact(name=tongue.say("trends.share"), text=share),
        Fact(name=tongue.say("trends.typical"), text=typical),
        Fact(name=tongue.say("trends.longest"), text=longest),
        Fact(name=tongue.say("trends.unheard"), text=tongue.say_number(unheard)),
    )


def _build_row(day: date, found: Sequence[EstimateSync], tongue: Tongue) -> DayRow:
    by_phase = {phase: [sync for sync in found if find_phase(sync) is phase] for phase in Phase}
    good, (new, updated) = by_phase[Phase.SUCCEEDED], _sum_counts(found)
    typical = tongue.say_duration(timedelta(seconds=median(map(_seconds, good)))) if good else NOTHING
    return DayRow(
        day=tongue.say_day(day),
        succeeded=tongue.say_number(len(good)),
        failed=tongue.say_number(len(by_phase[Phase.FAILED])),
        cancelled=tongue.say_number(len(by_phase[Phase.CANCELLED])),
        duration=typical,
        new=tongue.say_number(new),
        updated=tongue.say_number(updated),
    )


def _group(ended: Iterable[EstimateSync], tongue: Tongue) -> list[tuple[date, list[EstimateSync]]]:
    days: dict[date, list[EstimateSync]] = {}
    for sync in ended:
        days.setdefault(_day(sync, tongue), []).append(sync)
    return sorted(days.items())


def _sum_counts(found: Iterable[EstimateSync]) -> tuple[int, int]:
    results = [sync.status.results or Results() for sync in found if find_phase(sync) is Phase.SUCCEEDED]
    return sum(each.new_estimates for each in results), sum(each.updated_estimates for each in results)


def _say_counts(new: int, updated: int, tongue: Tongue) -> str:
    return tongue.say("list.counts", new=tongue.say_number(new), updated=tongue.say_number(updated))


def _say_end(sync: EstimateSync, tongue: Tongue) -> str:
    end = _end(sync)
    # Told in full: a chart may reach over several days.
    return tongue.say_moment(end, now=end).full


def _say_short_day(day: date, tongue: Tongue) -> str:
    return tongue.say_day(day).rpartition("\N{NO-BREAK SPACE}")[0]


def _day(sync: EstimateSync, tongue: Tongue) -> date:
    return _end(sync).astimezone(tongue.time_zone).date()


def _end(sync: EstimateSync) -> datetime:
    if sync.status.completion_time is None:
        raise ValueError(f"{sync.name} has not ended")
    return sync.status.completion_time


def _seconds(sync: EstimateSync) -> int:
    return sync.status.duration_seconds or 0


def _has_failed_callback(sync: EstimateSync) -> bool:
    return sync.status.callback is not None and sync.status.callback.state is CallbackState.FAILED
