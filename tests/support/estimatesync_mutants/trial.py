"""Runs tests within this process: all of a folder, watched, or those that see a change, with the change in place.

Each is called in a process of its own (`forked`), in which nothing of the product has been imported yet.
"""

import importlib.util
import sys
from collections.abc import Collection, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

import hypothesis
import pytest

from estimatesync_mutants.mutations import Mutation, mutate
from estimatesync_mutants.witnesses import Recorder, Witness

SURVIVED: Final = ""
"""What `try_mutation` returns when no test has failed."""

_OPTIONS: Final = (
    "-q", "--tb=line", "--no-header", "-pno:cacheprovider",
    # These plugins are here before pytest is; what they assert is not at stake.
    "-Wignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip


def list_libraries(root: Path, tests: Path) -> list[str]:
    """Collect the tests, and list what they import that is not in the checkout, in the order in which it was imported.

    Raises:
        RuntimeError: They cannot be collected.
    """
    if pytest.main([*_OPTIONS, "--collect-only", str(tests)]) != pytest.ExitCode.OK:
        raise RuntimeError("The tests cannot be collected.")
    ours = [folder for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    return [name for name, module in list(sys.modules.items()) if not _is_below(module, ours)]


def _is_below(module: ModuleType, folders: Collection[Path]) -> bool:
    file = getattr(module, "__file__", None)
    return file is None or any(Path(file).is_relative_to(folder) for folder in folders)


def record(root: Path, tests: Path, files: Collection[str]) -> dict[str, Any]:
    """Run the tests of a folder, and return what each runs of the files, with the tests that have failed."""
    _be_brief()
    recorder = Recorder(root, files)
    recorder.start()
    pytest.main([*_OPTIONS, str(tests)], plugins=[recorder])
    sys.settrace(None)
    return {"witnesses": list(recorder.list_witnesses()), "failed": sorted(recorder.failed)}


def try_mutation(root: Path, mutation: Mutation, witnesses: Sequence[Witness]) -> str:
    """Change a module, run the tests that see it until one fails, and return that test's name, or `SURVIVED`."""
    _be_brief()
    sys.meta_path.insert(0, _Finder(root, mutation))
    chosen = _Chosen({witness.test for witness in witnesses})
    files = list(dict.fromkeys(str(root / witness.file) for witness in witnesses))
    code = pytest.main([*_OPTIONS, "--exitfirst", *files], plugins=[chosen])
    if code in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        return SURVIVED
    return chosen.failed or "the tests cannot even be collected"


def _be_brief() -> None:
    """Let hypothesis neither shrink nor keep what it finds, nor mind how long it takes."""
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", derandomize=True, database=None, deadline=None, phases=phases)
    hypothesis.settings.load_profile("mutants")


class _Chosen:
    """A plugin of pytest that leaves out what does not see the change, and remembers what failed.

    A table of cases may be made of what has changed, so that a case has another name now: it belongs to a chosen test.
    """

    def __init__(self, tests: Collection[str]) -> None:
        self.failed = ""
        self._tests: Final = tests
        self._functions: Final = {test.partition("[")[0] for test in tests}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        known = {item.nodeid for item in items} & set(self._tests)
        functions = {test.partition("[")[0] for test in set(self._tests) - known} & self._functions
        items[:] = [item for item in items if item.nodeid in known or item.nodeid.partition("[")[0] in functions]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid


class _Finder(MetaPathFinder):
    """Imports one module from a changed syntax tree."""

    def __init__(self, root: Path, mutation: Mutation) -> None:
        self._root: Final = root
        self._mutation: Final = mutation

    def find_spec(self, name: str, _path: object, _target: object = None) -> ModuleSpec | None:
        if name != self._mutation.module:
            return None
        file = self._root / self._mutation.path
        loader = _Loader(name, str(file), self._mutation.number)
        return importlib.util.spec_from_file_location(name, file, loader=loader)


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, number: int) -> None:
        super().__init__(name, path)
        self._number: Final = number

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - of the one module
        tree = mutate(Path(self.path).read_text(encoding="utf-8"), self._number)
        return compile(tree, self.path, "exec", dont_inherit=True)


def list_importers(files: Iterator[tuple[str, str]], module: str) -> Iterator[str]:
    """List the files, of paths with their texts, that import a module or something from it."""
    package, _, name = module.rpartition(".")
    phrases = (f"from {module} import ", f"import {module}\n", f"from {package} import {name}")
    return (path for path, text in files if any(phrase in text for phrase in phrases))
