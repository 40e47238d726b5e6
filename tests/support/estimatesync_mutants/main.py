"""Draws changes of the product's decisions by a seed, and tries each against the tests that see it (make mutants)."""

import argparse
import contextlib
import importlib
import os
import random
import secrets
import time
import tomllib
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from estimatesync_mutants.forked import Task, run_all
from estimatesync_mutants.mutations import Mutation, count_mutations, describe_mutations
from estimatesync_mutants.trial import SURVIVED, list_importers, list_libraries, record, try_mutation
from estimatesync_mutants.witnesses import Witness, Witnesses, parse_witnesses

ROOT: Final = Path(__file__).parents[3]
SOURCES: Final = ("api", "operator", "syncjob", "deploy/local", "deploy/moving")
"""The product's import roots."""
TESTS: Final = Path("tests/unit")
EQUIVALENT: Final = Path(__file__).parent / "equivalent.toml"
REQUIRED_PERCENT: Final = 90
_SEEDS: Final = 2**32
_LIMIT: Final = 600
"""Seconds of the processor for all tests of a folder, while they are watched."""
_PATIENCE: Final = 10
"""How many times its time on the processor a process may take: on a busy machine it has to wait for that."""


@dataclass(frozen=True, kw_only=True)
class Equivalent:
    """A change that makes no difference, whatever is tested, and why."""

    module: str
    scope: str
    before: str
    after: str
    why: str

    def matches(self, mutation: Mutation) -> bool:
        return all(getattr(self, name) == getattr(mutation, name) for name in ("module", "scope", "before", "after"))


def main() -> None:
    """Try the changes, tell what became of each, and list those that no test has noticed.

    Raises:
        SystemExit: Fewer than nine of ten were noticed, or the tests fail even without a change.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=300, help="how many to draw (default: 300)")
    parser.add_argument("--seed", type=int, help="what to draw them by (default: any; it is printed)")
    parser.add_argument("--only", default="", help="of files whose path contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many to try at a time")
    options = parser.parse_args()
    seed = secrets.randbelow(_SEEDS) if options.seed is None else options.seed
    os.chdir(ROOT)
    modules = {name: path for name, path in find_modules(ROOT) if options.only in str(path)}
    drawn, total = draw(modules, count=options.mutants, seed=seed)
    print(f"{len(drawn)} of {total} changes in {len(modules)} modules, drawn by SEED={seed}", flush=True)
    with TemporaryDirectory() as directory:
        laboratory = _Laboratory(jobs=options.jobs, directory=Path(directory))
        witnesses = laboratory.record(modules)
        survivors = list(laboratory.list_survivors(drawn, witnesses))
    raise SystemExit(_report(drawn, survivors, load_equivalent(EQUIVALENT)))


def find_modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Find the modules that decide, which are those of the folders `core`, with their paths from the root."""
    for source in SOURCES:
        for path in sorted((root / source).rglob("core/*.py")):
            name = ".".join(path.relative_to(root / source).with_suffix("").parts)
            if path.name != "__init__.py":
                yield name, path.relative_to(root)


def draw(modules: Mapping[str, Path], *, count: int, seed: int) -> tuple[list[Mutation], int]:
    """Draw changes, and count all that there are."""
    texts = {name: (ROOT / path).read_text(encoding="utf-8") for name, path in modules.items()}
    everything = [(name, number) for name, text in texts.items() for number in range(count_mutations(text))]
    chosen = random.Random(seed).sample(everything, min(count, len(everything)))  # noqa: S311 - no secret
    numbers: dict[str, set[int]] = {}
    for name, number in chosen:
        numbers.setdefault(name, set()).add(number)
    drawn = (describe_mutations(name, modules[name], texts[name], numbers[name]) for name in sorted(numbers))
    return [mutation for of_module in drawn for mutation in of_module], len(everything)


def load_equivalent(path: Path) -> list[Equivalent]:
    """Load the changes that are known to make no difference."""
    return [Equivalent(**row) for row in tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", [])]


class _Laboratory:
    def __init__(self, *, jobs: int, directory: Path) -> None:
        self._jobs: Final = jobs
        self._directory: Final = directory

    def record(self, modules: Mapping[str, Path]) -> Witnesses:
        """Import what the tests import of others, so that no fork has to; then watch all tests once."""
        began = time.monotonic()
        for library in self._run_one(lambda: list_libraries(ROOT, ROOT / TESTS)):
            _import_library(library)
        files = [str(path) for path in modules.values()]
        folders = sorted(folder for folder in (ROOT / TESTS).iterdir() if list(folder.glob("test_*.py")))
        # The one that takes longest begins.
        folders.sort(key=lambda folder: folder.name != "simulator")
        tasks = [
            Task(
                item=folder,
                work=partial(record, ROOT, folder, files),
                processor_seconds=_LIMIT,
                seconds=_PATIENCE * _LIMIT,
            )
            for folder in folders
        ]
        witnesses, failed = list[Witness](), list[str]()
        for answer in run_all(tasks, jobs=self._jobs, directory=self._directory):
            if answer.value is None:
                raise SystemExit(f"the tests of {answer.item} cannot be run")
            witnesses += parse_witnesses(answer.value["witnesses"])
            failed += answer.value["failed"]
        for test in failed:
            print(f"left out, because it fails without any change: {test}")
        print(f"{len(witnesses)} tests watched in {time.monotonic() - began:.0f} s", flush=True)
        return Witnesses(witnesses, importers=_find_importers(modules))

    def list_survivors(self, drawn: Sequence[Mutation], witnesses: Witnesses) -> Iterator[Mutation]:
        """Try each change, and yield those that no test has noticed."""
        tasks = [_build_task(mutation, witnesses.select(mutation)) for mutation in drawn]
        answers = run_all(tasks, jobs=self._jobs, directory=self._directory)
        for number, answer in enumerate(answers, start=1):
            outcome = "it took too long, or died" if answer.value is None else answer.value
            verdict = f"noticed by {outcome}" if outcome != SURVIVED else "SURVIVED"
            print(f"{number:>4}/{len(drawn)} {answer.item}\n          {verdict}", flush=True)
            if outcome == SURVIVED:
                yield answer.item

    def _run_one(self, work: Any) -> Any:
        task = Task(item=None, work=work, processor_seconds=_LIMIT, seconds=_PATIENCE * _LIMIT)
        return next(iter(run_all([task], jobs=1, directory=self._directory))).value


def _import_library(name: str) -> None:
    with warnings.catch_warnings(action="ignore"), contextlib.suppress(Exception):
        importlib.import_module(name)


def _build_task(mutation: Mutation, seen_by: Sequence[Witness]) -> Task[Mutation]:
    """Build the trial; it may take some times as long as the same tests take when nothing is changed."""
    seconds = 20 + 4 * sum(witness.seconds for witness in seen_by)
    return Task(
        item=mutation,
        work=lambda: try_mutation(ROOT, mutation, seen_by) if seen_by else SURVIVED,
        processor_seconds=round(seconds),
        seconds=_PATIENCE * seconds,
    )


def _find_importers(modules: Collection[str]) -> dict[str, frozenset[str]]:
    paths = [path for folder in (*SOURCES, "tests/unit") for path in (ROOT / folder).rglob("*.py")]
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}
    return {module: frozenset(list_importers(iter(texts.items()), module)) for module in modules}


def _report(drawn: Sequence[Mutation], survivors: Collection[Mutation], known: Sequence[Equivalent]) -> int:
    """Print the score and the survivors, and return the exit code."""
    excused = {one: row.why for one in survivors for row in known if row.matches(one)}
    real = [one for one in survivors if one not in excused]
    tried = len(drawn) - len(excused)
    percent = 100 * (tried - len(real)) / max(tried, 1)
    print(f"\n{tried - len(real)} of {tried} changes were noticed: {percent:.1f} % ({REQUIRED_PERCENT} % are required)")
    for one, why in sorted(excused.items(), key=lambda item: str(item[0])):
        print(f"  makes no difference: {one} ({why})")
    for one in sorted(real, key=str):
        print(f"  survived: {one}")
    return int(percent < REQUIRED_PERCENT)
