"""The table at the end of a run: each tier with its tests and seconds, and every tier that was not tried.

The seconds are those of all workers added up; those of the processor are the test's own and those of the programs that
it started, or had forked, and waited for. The rest is waiting, which costs nothing while other tests run. What belongs
to no tier is counted by itself: collecting the tests, and what the last test of a worker ends for all before it.
"""

import os
import time
from collections import defaultdict
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from estimatesync_processes.forked_process import processor

from estimatesync_test_run.workers import find_group

OTHER_TIERS: Final[Mapping[str, str]] = {
    "tests/e2e/page": "make test, where there is a Chromium (make browser)",
    "tests/e2e/resilience": "make test-resilience; takes as long as all the others together",
    "tests/e2e/oldest": "make test-oldest; builds the oldest Kubernetes first, and runs others' tests on it, too",
    "tests/installed": "make test-installed; downloads packages for each Python",
    "tests/payload": "make test-payload; needs Node.js",
    "tests/e2e/node": "make test-node; needs root on Linux, and a machine that may be a node",
    "tests/e2e/release": "make test-release; needs root on Linux, and builds a registry and cosign",
    "tests/alerts": "make test-alerts; builds Prometheus' promtool",
    "tests/e2e/alerts": "make test-alerts; the same",
}
"""What a whole run may leave out, and what runs it."""
PROCESSOR_SECONDS: Final = "processor_seconds"
SHARED_SECONDS: Final = "shared_processor_seconds"


@dataclass
class Tier:
    """What became of the tests of one folder."""

    tests: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    seconds: float = 0.0
    processor_seconds: float = 0.0


class TierTable:
    """Counts as the reports come in."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._shared_seconds = 0.0
        self._tiers: dict[str, Tier] = defaultdict(Tier)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        tier = self._tiers[find_tier(report.nodeid)]
        tier.tests.add(report.nodeid)
        tier.seconds += report.duration
        tier.processor_seconds += getattr(report, PROCESSOR_SECONDS, 0.0)
        self._shared_seconds += getattr(report, SHARED_SECONDS, 0.0)
        if report.failed:
            tier.failed.add(report.nodeid)
        if report.skipped:
            tier.skipped.add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        rows = [(name, tier) for name, tier in sorted(self._tiers.items()) if name]
        if len(rows) < 2:  # noqa: PLR2004 - the table of a single folder says nothing new
            return
        terminalreporter.section("tiers")
        terminalreporter.line(f"{'':<30}{'tests':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}{'processor':>11}")
        for name, tier in rows:
            terminalreporter.line(format_row(name, tier), red=bool(tier.failed))
        terminalreporter.line(f"{'collecting, and ending what was shared':<65}{self._shared_seconds:>11.0f}")
        workers = terminalreporter.config.getoption("numprocesses", None) or 1
        minutes, seconds = divmod(round(time.monotonic() - self._began), 60)
        terminalreporter.line(f"{minutes} min {seconds} s on {workers} worker{'s' if workers > 1 else ''}")
        is_whole = terminalreporter.config.args_source is pytest.Config.ArgsSource.TESTPATHS
        for name, command in OTHER_TIERS.items():
            if is_whole and name not in self._tiers:
                terminalreporter.line(f"NOT TRIED: {name}: {command}", yellow=True)


def format_row(name: str, tier: Tier) -> str:
    """Format a line of the table."""
    numbers = f"{len(tier.tests):>8}{len(tier.failed):>8}{len(tier.skipped):>9}"
    return f"{name:<30}{numbers}{tier.seconds:>9.0f}{tier.processor_seconds:>11.0f}"


def find_tier(nodeid: str) -> str:
    """Find the folder that a test belongs to: `tests/unit`, and for the end-to-end tests one level more."""
    parts = Path(nodeid.partition("::")[0]).parts[:-1]
    return "/".join(parts[:3] if "e2e" in parts else parts[:2])


def read_processor_seconds() -> float:
    """Read what the processor has done so far for this process, and for what it started and has ended."""
    return sum(os.times()[:4]) + processor.seconds


@dataclass
class Meter:
    """Splits what the processor does between the tests' own reports and what is shared."""

    read: float
    shared: float = 0.0

    def take(self) -> float:
        """Return what the processor has done since the last call."""
        before, self.read = self.read, read_processor_seconds()
        return self.read - before

    def take_shared(self) -> float:
        """Return what has been kept from the tiers since the last call."""
        shared, self.shared = self.shared, 0.0
        return shared


_meter: Final = Meter(read_processor_seconds())


def pytest_collection_finish() -> None:
    """Keep it from the tier of whichever test comes first."""
    _meter.shared += _meter.take()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """Keep from the tier of the last test what ends with the session; a group of tests ends what is its own."""
    try:
        yield
    finally:
        if nextitem is None and find_group(item.nodeid) is None:
            _meter.shared += _meter.take()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to each report what the processor has done since the one before; a worker sends it along."""
    report = yield
    setattr(report, PROCESSOR_SECONDS, _meter.take())
    setattr(report, SHARED_SECONDS, _meter.take_shared())
    return report


def pytest_configure(config: pytest.Config) -> None:
    """Count where the reports of all workers arrive."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(TierTable(), "tier-table")
