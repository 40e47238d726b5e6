"""The charts of the trends page and their table: durations of syncs, and estimates per day. Pure; templates draw them.

They cover the syncs that are still stored. Heights start at zero, so that a bar twice as high is twice as much, and the
table holds the same numbers for readers who cannot see the charts.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import Final

from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState, Phase, Results

from estimatesync_api.core.listing import find_phase
from estimatesync_api.status_page.core.list_view import Field, find_stored, format_counts
from estimatesync_api.status_page.core.localization import NOTHING, Localizer

MAX_SYNCS: Final = 500
"""How many syncs the charts cover, the newest first."""
WIDTH: Final = 720
HEIGHT: Final = 250
LEFT: Final = 84
RIGHT: Final = 8
TOP: Final = 20
BOTTOM: Final = 44

_MAX_BARS: Final = 60
_STRIP_BARS: Final = 30
_MIN_STRIP_BARS: Final = 5
"""Fewer bars without an axis say nothing."""
_MIN_SLOTS: Final = 12
"""A few bars stand at the axis, side by side, instead of far apart."""
_STEPS: Final = (1, 2, 5)
_TIME_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_MAX_BAR_WIDTH: Final = 28.0
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
    """A grid line or a place on the axis, with its label."""

    at: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """The geometry that a template draws."""

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
    """The data of one bar: amounts from the bottom up, each with its tone."""

    amounts: tuple[tuple[str, float], ...]
    title: str
    label: str
    label_again: str = ""
    """What stands below the bar instead where the label before it says the same."""


def build_chart(samples: Sequence[Sample], ticks: Sequence[tuple[float, str]], *, max_labels: int = 6) -> Chart:
    """Lay bars out from left to right.

    Args:
        samples: In the order of the bars.
        ticks: Amounts to draw a line at, with their labels; the largest is the top.
        max_labels: How many fit below the bars.
    """
    top = max((amount for amount, _ in ticks), default=0) or 1
    slot_width = (WIDTH - LEFT - RIGHT) / max(_MIN_SLOTS, len(samples))
    width = min(_MAX_BAR_WIDTH, slot_width * (1 - _GAP_SHARE))
    bars = tuple(
        ChartBar(
            x=_round(LEFT + slot_width * index + (slot_width - width) / 2),
            width=_round(width),
            slices=_stack(sample, top),
            title=sample.title,
        )
        for index, sample in enumerate(samples)
    )
    return Chart(
        bars=bars,
        rows=tuple(Tick(at=_round(_compute_y(amount, top)), label=label) for amount, label in ticks),
        columns=_choose_labels(samples, slot_width, max_labels),
    )


def choose_amounts(highest: float) -> tuple[float, ...]:
    """Choose round amounts from zero up to the first one that covers everything."""
    unit = 1.0
    while True:
        for step in _STEPS:
            if step * unit * 4 >= highest:
                return _count_up(step * unit, highest)
        unit *= 10


def choose_seconds(highest: float) -> tuple[float, ...]:
    """Do the same for seconds, in steps that are round in minutes and hours."""
    step = next((step for step in _TIME_STEPS if step * 4 >= highest), _TIME_STEPS[-1])
    return _count_up(step, highest)


def _count_up(step: float, highest: float) -> tuple[float, ...]:
    count = max(1, -int(-highest // step))
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


def _choose_labels(samples: Sequence[Sample], slot_width: float, max_labels: int) -> tuple[Tick, ...]:
    """Label as many bars as fit, by the width that a label needs."""
    every = max(1, math.ceil((WIDTH - LEFT - RIGHT) / max_labels / slot_width))
    chosen = [(index, sample) for index, sample in enumerate(samples) if index % every == 0 and sample.label]
    before = ["", *(sample.label for _, sample in chosen)]
    return tuple(
        Tick(
            at=_round(LEFT + slot_width * (index + 0.5)),
            label=sample.label_again if sample.label_again and sample.label == label_before else sample.label,
        )
        for (index, sample), label_before in zip(chosen, before, strict=False)
    )


def _compute_y(amount: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - amount / top)


def _round(value: float) -> float:
    return round(value, 1)


@dataclass(frozen=True, kw_only=True)
class DayRow:
    """One line of the table: a day with its numbers."""

    day: str
    succeeded: str
    failed: str
    cancelled: str
    duration: str
    new: str
    changed: str
    unchanged: str


@dataclass(frozen=True, kw_only=True)
class Trends:
    """The trends page: tiles, charts, table."""

    tiles: tuple[Field, ...]
    durations: Chart
    counts: Chart
    rows: tuple[DayRow, ...]


def build_trends(syncs: Sequence[EstimateSync], localizer: Localizer) -> Trends | None:
    """Build the charts from syncs given newest first; None when none has ended yet."""
    ended = [sync for sync in reversed(syncs) if sync.is_finished and sync.status.completion_time]
    if not ended:
        return None
    days = _group(ended, localizer)
    return Trends(
        tiles=_build_tiles(ended, localizer),
        durations=_draw_durations(ended[-_MAX_BARS:], localizer),
        counts=_draw_counts(days, localizer),
        rows=tuple(_build_row(day, found, localizer) for day, found in reversed(days)),
    )


def build_strip(syncs: Sequence[EstimateSync], localizer: Localizer) -> tuple[Chart, str] | None:
    """Build a strip of the newest syncs that have ended, with its caption; None when they are too few."""
    ended = [sync for sync in reversed(syncs) if sync.is_finished and sync.status.completion_time][-_STRIP_BARS:]
    if len(ended) < _MIN_STRIP_BARS:
        return None
    succeeded = sum(1 for sync in ended if find_phase(sync) is Phase.SUCCEEDED)
    words = localizer.format_count("strip", len(ended), good=localizer.format_number(succeeded))
    return _draw_durations(ended, localizer), words


def _draw_durations(ended: Sequence[EstimateSync], localizer: Localizer) -> Chart:
    is_one_day = len({_day(sync, localizer) for sync in ended}) == 1
    samples = [_build_duration_sample(sync, localizer, is_one_day=is_one_day) for sync in ended]
    highest = max(1.0, *(_seconds(sync) for sync in ended))
    ticks = [(seconds, localizer.format_duration(timedelta(seconds=seconds))) for seconds in choose_seconds(highest)]
    return build_chart(samples, ticks)


def _build_duration_sample(sync: EstimateSync, localizer: Localizer, *, is_one_day: bool) -> Sample:
    phase, seconds = find_phase(sync).lower(), _seconds(sync)
    duration = localizer.format_duration(timedelta(seconds=seconds))
    clock = f"{_end(sync).astimezone(localizer.time_zone):%H:%M}"
    return Sample(
        amounts=((phase, max(0.5, seconds)),),
        title=localizer.join([_format_end(sync, localizer), localizer.translate(f"phase.{phase}"), duration]),
        label=clock if is_one_day else _format_short_day(_day(sync, localizer), localizer),
        label_again="" if is_one_day else clock,
    )


def _draw_counts(days: Sequence[tuple[date, list[EstimateSync]]], localizer: Localizer) -> Chart:
    totals = [(day, _sum_results(found)) for day, found in days]
    samples = [
        Sample(
            amounts=(("changed", total.changed_estimates), ("new", total.new_estimates)),
            title=localizer.join([localizer.format_day(day), format_counts(total, localizer)]),
            label=_format_short_day(day, localizer),
        )
        for day, total in totals
    ]
    highest = max(total.new_estimates + total.changed_estimates for _, total in totals)
    ticks = [(amount, localizer.format_number(int(amount))) for amount in choose_amounts(max(1.0, highest))]
    return build_chart(samples, ticks)


def _build_tiles(ended: Sequence[EstimateSync], localizer: Localizer) -> tuple[Field, ...]:
    succeeded = [sync for sync in ended if find_phase(sync) is Phase.SUCCEEDED]
    undelivered = sum(1 for sync in ended if _has_failed_callback(sync))
    share = localizer.format_percent(_compute_share(len(succeeded), len(ended)))
    typical = localizer.format_duration(timedelta(seconds=median(map(_seconds, succeeded)))) if succeeded else NOTHING
    longest = localizer.format_duration(timedelta(seconds=max(map(_seconds, ended))))
    return (
        Field(name=localizer.translate("trends.ended"), text=localizer.format_number(len(ended))),
        Field(name=localizer.translate("trends.share"), text=share),
        Field(name=localizer.translate("trends.typical"), text=typical),
        Field(name=localizer.translate("trends.longest"), text=longest),
        Field(name=localizer.translate("trends.undelivered"), text=localizer.format_number(undelivered)),
    )


def _compute_share(count: int, total: int) -> int:
    """Compute whole percent, rounded; a hundred are all."""
    return 100 if count == total else min(99, (200 * count + total) // (2 * total))


def _build_row(day: date, found: Sequence[EstimateSync], localizer: Localizer) -> DayRow:
    by_phase = {phase: [sync for sync in found if find_phase(sync) is phase] for phase in Phase}
    succeeded, total = by_phase[Phase.SUCCEEDED], _sum_results(found)
    typical = localizer.format_duration(timedelta(seconds=median(map(_seconds, succeeded)))) if succeeded else NOTHING
    return DayRow(
        day=localizer.format_day(day),
        succeeded=localizer.format_number(len(succeeded)),
        failed=localizer.format_number(len(by_phase[Phase.FAILED])),
        cancelled=localizer.format_number(len(by_phase[Phase.CANCELLED])),
        duration=typical,
        new=localizer.format_number(total.new_estimates),
        changed=localizer.format_number(total.changed_estimates),
        unchanged=localizer.format_number(total.unchanged_estimates),
    )


def _group(ended: Iterable[EstimateSync], localizer: Localizer) -> list[tuple[date, list[EstimateSync]]]:
    days: dict[date, list[EstimateSync]] = {}
    for sync in ended:
        days.setdefault(_day(sync, localizer), []).append(sync)
    return sorted(days.items())


def _sum_results(found: Iterable[EstimateSync]) -> Results:
    results = [stored for sync in found if (stored := find_stored(sync))]
    return Results(
        new_estimates=sum(each.new_estimates for each in results),
        updated_estimates=sum(each.updated_estimates for each in results),
        unchanged_estimates=sum(each.unchanged_estimates for each in results),
    )


def _format_end(sync: EstimateSync, localizer: Localizer) -> str:
    end = _end(sync)
    # In full, with the day: a chart may cover several days.
    return localizer.to_moment(end, now=end).full


def _format_short_day(day: date, localizer: Localizer) -> str:
    return localizer.format_day(day).rpartition("\N{NO-BREAK SPACE}")[0]


def _day(sync: EstimateSync, localizer: Localizer) -> date:
    return _end(sync).astimezone(localizer.time_zone).date()


def _end(sync: EstimateSync) -> datetime:
    if sync.status.completion_time is None:
        raise ValueError(f"{sync.name} has not ended")
    return sync.status.completion_time


def _seconds(sync: EstimateSync) -> int:
    return sync.status.duration_seconds or 0


def _has_failed_callback(sync: EstimateSync) -> bool:
    return any(each.state is CallbackState.FAILED for each in sync.status.deliveries)
