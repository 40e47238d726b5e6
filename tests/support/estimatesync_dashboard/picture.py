"""Draws the panels of a dashboard and their series as one SVG document, without a library. Pure.

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from math import floor, isfinite, log10
from typing import Any, Final

import msgspec

_VARIABLE: Final = re.compile(r"\$\{?namespace\}?")
_LABEL: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")

_CELL_WIDTH: Final = 46
_CELL_HEIGHT: Final = 30
_MARGIN: Final = 8
_HEAD: Final = 44
_LEFT: Final = 46
_LEGEND_ROW: Final = 15
_LEGEND_COLUMN: Final = 170
_MAX_SERIES: Final = 8
_COLOURS: Final = ("#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#b877d9", "#f2495c", "#8ab8ff", "#c0d8ff")
_TICKS: Final = 4


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a panel asks Prometheus; `legend` names each series by its labels."""

    expression: str
    legend: str


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One panel; place and size are in units of the grid, which is 24 wide."""

    title: str
    kind: str
    unit: str
    x: int
    y: int
    width: int
    height: int
    queries: tuple[Query, ...]


def parse_panels(dashboard: Mapping[str, Any]) -> tuple[Panel, ...]:
    """Read a dashboard (JSON builtins); its variable stands for every namespace."""
    return tuple(
        Panel(
            title=panel["title"],
            kind=panel["type"],
            unit=panel["fieldConfig"]["defaults"]["unit"],
            x=panel["gridPos"]["x"],
            y=panel["gridPos"]["y"],
            width=panel["gridPos"]["w"],
            height=panel["gridPos"]["h"],
            queries=tuple(
                Query(expression=_VARIABLE.sub(".*", target["expr"]), legend=target["legendFormat"])
                for target in panel["targets"]
            ),
        )
        for panel in dashboard["panels"]
    )


def format_legend(legend: str, labels: Mapping[str, str]) -> str:
    """Write the name of a series."""
    return _LABEL.sub(lambda match: labels.get(match[1], ""), legend).strip()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A series with its name; points are pairs of a Unix time and a value."""

    name: str
    points: tuple[tuple[float, float], ...]


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The time that is drawn, in Unix time."""

    start: float
    end: float


def build_picture(panels: Mapping[Panel, Sequence[Line]], *, title: str, span: Span) -> str:
    """Build the document; what it is, `title` says."""
    width = 24 * _CELL_WIDTH + 2 * _MARGIN
    height = _HEAD + _MARGIN + max((panel.y + panel.height) * _CELL_HEIGHT for panel in panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">',
        "<style>text { font: 11px system-ui, sans-serif; fill: #ccccdc }</style>",
        f'<rect width="{width}" height="{height}" fill="#111217"/>',
        f'<text x="{_MARGIN + 4}" y="27" style="font-size: 16px">EstimateSync</text>',
        f'<text x="{_MARGIN + 130}" y="27" fill-opacity="0.75">{escape(title)}</text>',
        *(part for panel, lines in panels.items() for part in _draw_panel(panel, _keep_numbers(lines), span)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _keep_numbers(lines: Sequence[Line]) -> list[Line]:
    """A quantile of nothing is not a number, and leaves a gap."""
    kept = [(line.name, tuple(point for point in line.points if isfinite(point[1]))) for line in lines]
    return [Line(name=name, points=points) for name, points in kept if points]


def _draw_panel(panel: Panel, lines: Sequence[Line], span: Span) -> Iterator[str]:
    x, y = _MARGIN + panel.x * _CELL_WIDTH, _HEAD + panel.y * _CELL_HEIGHT
    width, height = panel.width * _CELL_WIDTH - _MARGIN, panel.height * _CELL_HEIGHT - _MARGIN
    yield f'<g transform="translate({x} {y})">'
    yield f'<rect width="{width}" height="{height}" rx="3" fill="#181b1f" stroke="#2c3235"/>'
    yield f'<text x="10" y="20" style="font-weight: 600">{escape(panel.title)}</text>'
    if panel.kind == "stat":
        yield from _draw_number(lines, width, height)
    else:
        yield from _draw_graph(panel.unit, lines, span, width, height)
    yield "</g>"


def _draw_number(lines: Sequence[Line], width: int, height: int) -> Iterator[str]:
    last = sum(line.points[-1][1] for line in lines)
    style = "font-size: 40px; fill: #73bf69"
    yield f'<text x="{width / 2}" y="{height / 2 + 24}" text-anchor="middle" style="{style}">{round(last)}</text>'


def _draw_graph(unit: str, lines: Sequence[Line], span: Span, width: int, height: int) -> Iterator[str]:
    columns = max(1, (width - 20) // _LEGEND_COLUMN)
    rows = -(-min(len(lines), _MAX_SERIES) // columns)
    top, bottom, right = 32, height - 24 - rows * _LEGEND_ROW, width - 12
    most = choose_top(max((value for line in lines for _, value in line.points), default=0))

    def place(moment: float, value: float) -> str:
        across = _LEFT + (moment - span.start) / (span.end - span.start) * (right - _LEFT)
        return f"{across:.1f},{bottom - value / most * (bottom - top):.1f}"

    for tick in range(_TICKS + 1):
        level = bottom - tick / _TICKS * (bottom - top)
        yield f'<line x1="{_LEFT}" x2="{right}" y1="{level:.1f}" y2="{level:.1f}" stroke="#2c3235"/>'
        value = format_value(most * tick / _TICKS, unit)
        yield f'<text x="{_LEFT - 6}" y="{level + 4:.1f}" text-anchor="end">{value}</text>'
    yield from _draw_times(span, bottom, right)
    for index, line in enumerate(lines[:_MAX_SERIES]):
        points = " ".join(place(moment, value) for moment, value in line.points)
        yield f'<polyline points="{points}" fill="none" stroke="{_COLOURS[index]}" stroke-width="1.5"/>'
    yield from _draw_legend([line.name for line in lines[:_MAX_SERIES]], columns, bottom + 36)


def choose_top(most: float) -> float:
    """Choose the end of an axis so that each of its ticks is a round number; at least `most`."""
    share = most / _TICKS or 1 / _TICKS
    power = 10.0 ** floor(log10(share))
    return _TICKS * power * next(step for step in (1, 1.5, 2, 2.5, 3, 4, 5, 10) if step * power >= share * 0.999)


def _draw_times(span: Span, bottom: float, right: float) -> Iterator[str]:
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        moment = datetime.fromtimestamp(span.start + share * (span.end - span.start), UTC)
        across = _LEFT + share * (right - _LEFT)
        yield f'<text x="{across:.1f}" y="{bottom + 15:.1f}" text-anchor="{anchor}">{moment:%H:%M:%S}</text>'


def _draw_legend(names: Iterable[str], columns: int, top: float) -> Iterator[str]:
    for index, name in enumerate(names):
        x, y = 12 + index % columns * _LEGEND_COLUMN, top + index // columns * _LEGEND_ROW
        yield f'<rect x="{x}" y="{y - 5:.1f}" width="12" height="3" fill="{_COLOURS[index]}"/>'
        yield f'<text x="{x + 17}" y="{y:.1f}">{escape(name)}</text>'


def format_value(value: float, unit: str) -> str:
    """Write a value of an axis; `s` are seconds, anything else is a plain number."""
    if unit == "s":
        return f"{value * 1000:.0f} ms" if 0 < value < 1 else f"{value:.3g} s"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"  # noqa: PLR2004 - one digit before the point
