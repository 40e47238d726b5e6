"""Least privilege, by the API server's own books: what the whole tier asked for, against what the chart grants."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

# A watch is in the books when it has ended, which is a moment after its client has.
WAIT_SECONDS = 90.0


@pytest.mark.parametrize("part", ["api", "operator"])
def test_every_right_is_used_and_nothing_else_is_asked_for(
    part: str, granted: dict[str, frozenset[Any]], read_calls: Callable[[str], list[Any]]
) -> None:
    deadline = time.monotonic() + WAIT_SECONDS

    def count_used() -> Counter[tuple[str, str]]:
        return Counter((call.verb, call.resource) for call in read_calls(part) if not call.forbidden)

    while (used := count_used()).keys() != granted[part] and time.monotonic() < deadline:
        time.sleep(0.2)

    assert {"unused": granted[part] - used.keys(), "not granted": used.keys() - granted[part]} == {
        "unused": set(),
        "not granted": set(),
    }
