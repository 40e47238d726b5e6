"""Draws the pages of a running sync as small squares, those that are read filled. Pure."""

from dataclasses import dataclass
from typing import Final

from estimatesync_contract.status import Progress

_MOST_SQUARES: Final = 240
_SIDE: Final = 12
_GAP: Final = 3
_IN_A_ROW: Final = 40
_FEWEST_COLUMNS: Final = 20
"""A few pages are not drawn as large as a house."""


@dataclass(frozen=True, kw_only=True)
class Square:
    """One page."""

    x: int
    y: int
    is_read: bool


@dataclass(frozen=True, kw_only=True)
class PageMap:
    """All pages; for more of them than can be told apart there is no map."""

    width: int
    height: int
    side: int
    squares: tuple[Square, ...]


def build_page_map(progress: Progress | None) -> PageMap | None:
    """Lay the squares out in rows."""
    total = progress.total_pages if progress else 0
    if progress is None or not 1 < total <= _MOST_SQUARES:
        return None
    step, columns = _SIDE + _GAP, max(_FEWEST_COLUMNS, min(total, _IN_A_ROW))
    squares = tuple(
        Square(x=page % columns * step, y=page // columns * step, is_read=page < progress.page) for page in range(total)
    )
    rows = (total - 1) // columns + 1
    return PageMap(width=columns * step - _GAP, height=rows * step - _GAP, side=_SIDE, squares=squares)
