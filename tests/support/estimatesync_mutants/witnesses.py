"""Which test sees which line: all of them are run once, and watched.

A change is tried by the tests that run its line, and by no other. What a module makes while it is imported (tables,
constants, defaults) is seen by no test in particular: it is tried by whatever uses the module, or one that imports it.
"""

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

from estimatesync_mutants.mutations import Mutation

_WHILE_IMPORTED: Final = ""
"""Stands for a test where there is none: the tests are being collected."""


@dataclass(frozen=True, kw_only=True)
class Witness:
    """A test, how long it keeps the processor busy, and which lines of which files it runs."""

    test: str
    seconds: float
    lines: Mapping[str, frozenset[int]]

    @property
    def file(self) -> str:
        return self.test.partition("::")[0]


class Witnesses:
    """All of them."""

    def __init__(self, witnesses: Collection[Witness], *, importers: Mapping[str, frozenset[str]]) -> None:
        """Keep the tests that have passed.

        Args:
            witnesses: as they were recorded.
            importers: for each module the files that import it, of the product and of the tests.
        """
        self.all: Final = tuple(witness for witness in witnesses if witness.test != _WHILE_IMPORTED)
        self._importers: Final = importers
        self._imported: Final[dict[str, set[int]]] = defaultdict(set)
        for witness in witnesses:
            if witness.test == _WHILE_IMPORTED:
                for path, lines in witness.lines.items():
                    self._imported[path] |= lines

    def select(self, mutation: Mutation) -> list[Witness]:
        """Select the tests that see a change; those of the quickest files come first."""
        seen = [witness for witness in self.all if self._sees(witness, mutation)]
        seconds: dict[str, float] = defaultdict(float)
        for witness in seen:
            seconds[witness.file] += witness.seconds
        return sorted(seen, key=lambda witness: (seconds[witness.file], witness.file))

    def _sees(self, witness: Witness, mutation: Mutation) -> bool:
        path = str(mutation.path)
        if mutation.lines is not None and not self._imported[path].intersection(mutation.lines):
            return not witness.lines.get(path, frozenset()).isdisjoint(mutation.lines)
        importers = self._importers.get(mutation.module, frozenset())
        return witness.file in importers or not ({path} | importers).isdisjoint(witness.lines)


class Recorder:
    """A plugin of pytest that watches each test."""

    def __init__(self, root: Path, files: Collection[str]) -> None:
        """Watch some files below the root of the checkout, named from there."""
        self.passed: Final[set[str]] = set()
        self.failed: Final[set[str]] = set()
        self._files: Final = {str(root / file): file for file in files}
        self._seconds: Final[dict[str, float]] = defaultdict(float)
        self._seen: Final[dict[str, dict[str, set[int]]]] = defaultdict(lambda: defaultdict(set))
        self._now: dict[str, set[int]] = self._seen[_WHILE_IMPORTED]

    def start(self) -> None:
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def list_witnesses(self) -> Iterator[dict[str, Any]]:
        """List what was recorded of the tests that passed, for JSON."""
        for test, seen in self._seen.items():
            if test not in self.failed:
                lines = {path: sorted(numbers) for path, numbers in seen.items()}
                yield {"test": test, "seconds": self._seconds[test], "lines": lines}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Note what this test runs."""
        began = time.process_time()
        self._now = self._seen[item.nodeid]
        try:
            return (yield)
        finally:
            self._now = self._seen[_WHILE_IMPORTED]
            self._seconds[item.nodeid] += time.process_time() - began

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid)

    def _trace(self, frame: FrameType, _event: str, _argument: object) -> Any:
        return self._trace_line if frame.f_code.co_filename in self._files else None

    def _trace_line(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line":
            self._now[self._files[frame.f_code.co_filename]].add(frame.f_lineno)
        return self._trace_line


def parse_witnesses(recorded: Sequence[Mapping[str, Any]]) -> list[Witness]:
    """Read what `Recorder` has listed."""
    return [
        Witness(
            test=one["test"],
            seconds=one["seconds"],
            lines={path: frozenset(lines) for path, lines in one["lines"].items()},
        )
        for one in recorded
    ]
