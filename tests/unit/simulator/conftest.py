"""What the tests of the simulator share."""

from collections.abc import Callable

import pytest
from estimatesync_simulator.history import History
from estimatesync_simulator.main import OPERATOR
from estimatesync_simulator.world import run_history


@pytest.fixture
def find_broken() -> Callable[[History], str]:
    """Let a history happen; empty when every promise was kept, else its log."""

    def find(history: History) -> str:
        report = run_history(history)
        return OPERATOR.format_history(history, report) if report.violations else ""

    return find
