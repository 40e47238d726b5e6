"""Tones and what is going on: the smaller rules of the page, each at its bounds."""

from collections.abc import Callable
from datetime import datetime

import pytest
from estimatesync_api.status_page.core.detail_view import build_timeline
from estimatesync_api.status_page.core.list_view import CALLBACK_TONES
from estimatesync_api.status_page.core.localization import Localizer
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState

Make = Callable[..., EstimateSync]


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
