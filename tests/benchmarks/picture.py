"""Draws the picture of the document, as SVG and without a library; pure.

One row for each scenario and load, one bar for each program. The scale is logarithmic, because a second and a minute
must both be readable; each bar carries its seconds and, against the limit, its ratio.
"""

from collections.abc import Iterable
from math import isnan, log10
from typing import Final

from contenders import LIMIT, OURS, PEER
from figures import LOADS, Row, Table, compute_rows

_COLOURS: Final = {OURS: "#1f77b4", LIMIT: "#9aa0a6", PEER: "#e07b39"}
_WIDTH: Final = 860
_LEFT: Final = 200
_RIGHT: Final = 120
_BAR: Final = 11
_ROW: Final = 3 * _BAR + 12
_TOP: Final = 56
_SHORTEST: Final = 0.1
"""Seconds at the left edge."""


def build_picture(table: Table) -> str:
    """Build the SVG document."""
    rows = compute_rows(table)
    longest = max(seconds for row in rows for seconds in row.seconds.values() if not isnan(seconds))
    height = _TOP + _ROW * len(rows) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}">',
        "<style>text { font: 11px system-ui, sans-serif }</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="12" y="18" style="font-size: 14px">Median seconds of the whole process, logarithmic scale</text>',
        *_draw_legend(),
        *_draw_grid(longest, height),
        *(part for index, row in enumerate(rows) for part in _draw_row(row, _TOP + _ROW * index, longest)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _draw_legend() -> Iterable[str]:
    for index, (name, colour) in enumerate(_COLOURS.items()):
        x = 12 + 110 * index
        yield f'<rect x="{x}" y="26" width="12" height="12" fill="{colour}"/><text x="{x + 17}" y="36">{name}</text>'


def _draw_grid(longest: float, height: int) -> Iterable[str]:
    ticks = [factor * 10.0**power for power in range(-1, 4) for factor in (1, 2, 5)]
    for tick in ticks:
        if _SHORTEST < tick <= longest:
            x = _compute_x(tick, longest)
            yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 4}" y2="{height - 12}" stroke="#e8eaed"/>'
            yield f'<text x="{x:.1f}" y="{_TOP - 7}" text-anchor="middle" fill="#5f6368">{tick:g} s</text>'


def _draw_row(row: Row, top: int, longest: float) -> Iterable[str]:
    yield f'<text x="12" y="{top + _BAR + 2}" style="font-weight: bold">{row.scenario.name}</text>'
    yield f'<text x="12" y="{top + 2 * _BAR + 5}" fill="#5f6368">{LOADS[row.load]}</text>'
    for index, (name, colour) in enumerate(_COLOURS.items()):
        seconds = row.seconds[name]
        if not isnan(seconds):
            y, end = top + index * _BAR, _compute_x(seconds, longest)
            ratio = seconds / row.seconds[LIMIT]
            note = "" if name == LIMIT or isnan(ratio) else f" ({ratio:.2f} × limit)"
            yield f'<rect x="{_LEFT}" y="{y}" width="{end - _LEFT:.1f}" height="{_BAR - 1}" fill="{colour}"/>'
            yield f'<text x="{end + 4:.1f}" y="{y + _BAR - 2}">{seconds:.2f}{note}</text>'


def _compute_x(seconds: float, longest: float) -> float:
    share = log10(max(seconds, _SHORTEST) / _SHORTEST) / log10(longest / _SHORTEST)
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
