"""The geometry of the charts: durations of syncs over time, and estimates per day. Pure; the templates draw it.

Heights are told from zero, so that a bar twice as high is twice as much. Everything has its words beside it: each chart
comes with a table of the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

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
