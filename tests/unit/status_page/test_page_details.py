"""Squares, tones and what is going on: the smaller rules of the page, each at its bounds."""

from collections.abc import Callable
from datetime import datetime

import pytest
from estimatesync_api.status_page.core.detail_view import build_progress_grid, build_timeline
from estimatesync_api.status_page.core.list_view import CALLBACK_TONES
from estimatesync_api.status_page.core.localization import Localizer
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState, build_progress

Make = Callable[..., EstimateSync]


@pytest.mark.parametrize(
    ("pages", "size"),
    [
        (1, None),
        (2, (297, 12)),
        (20, (297, 12)),
        (21, (312, 12)),
        (40, (597, 12)),
        (41, (597, 27)),
        (240, (597, 87)),
        (241, None),
    ],
)
def test_as_many_squares_as_can_be_told_apart(pages: int, size: tuple[int, int] | None) -> None:
    grid = build_progress_grid(build_progress(page=1, total_pages=pages, fetched=100))

    assert (grid and (grid.width, grid.height)) == size
    if grid:
        assert len(grid.squares) == pages
        assert [square.is_read for square in grid.squares] == [True] + [False] * (pages - 1)
        assert (grid.squares[1].x, grid.squares[1].y) == (15, 0)


def test_without_progress_there_are_no_squares() -> None:
    assert build_progress_grid(None) is None


def test_a_callback_has_the_tone_of_what_it_means() -> None:
    assert {state.value: tone for state, tone in CALLBACK_TONES.items()} == {
        "Pending": "queued",
        "Retrying": "stalled",
        "Delivered": "succeeded",
        "Failed": "failed",
        "Disabled": "cancelled",
    }
    assert CALLBACK_TONES.keys() == set(CallbackState)


@pytest.mark.parametrize(
    ("state", "tones"),
    [("queued", ["done", "now", "next"]), ("running", ["done", "done"])],
)
def test_a_timeline_begins_with_what_is_done(
    make_sync: Make, english: Localizer, now: datetime, state: str, tones: list[str]
) -> None:
    timeline = build_timeline(make_sync(state), english, now=now)

    assert [step.tone for step in timeline][: len(tones)] == tones
