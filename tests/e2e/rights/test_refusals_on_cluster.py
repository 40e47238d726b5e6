"""Nobody asks for what the chart does not grant: judged over whatever tests were run."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize("part", ["api", "operator"])
def test_no_call_is_refused_for_want_of_a_right(part: str, denied_calls: tuple[Any, ...]) -> None:
    refused = [call for call in denied_calls if call.user.endswith(f"estimatesync-{part}")]

    assert refused == []


def test_sync_pods_ask_for_nothing(read_calls: Callable[[str], list[Any]]) -> None:
    asked = read_calls("sync")

    assert asked == []
