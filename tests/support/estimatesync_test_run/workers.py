"""Hands tests to the workers of pytest-xdist: the long ones first, so that short ones fill the time at the end.

Most tests wait for what they have started. One worker therefore begins with those that do not, and uses what the
processors have left.

A file is handed out whole, as its tests share what they started. In some files each test starts all that it needs, and
goes to whichever worker is free; elsewhere several files share a cluster, and go to one worker, which stops it
after the last of them: until the end of the run it would keep a processor busy for nothing.
"""

import gc
from collections.abc import Iterable
from typing import Final

import pytest
from _pytest.runner import runtestprotocol
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

ONE_BY_ONE: Final = (
    "tests/documents/test_commands.py",
    "tests/e2e/api/",
    "tests/e2e/product/",
    "tests/integration/api/test_api_over_http.py",
    "tests/integration/client/test_client_on_one_machine.py",
    "tests/integration/local/test_one_machine.py",
    "tests/integration/syncjob/",
    "tests/integration/tracing/test_traces_of_one_machine.py",
)
TOGETHER: Final = {
    "tests/e2e/chart/": "chart",
    "tests/e2e/cluster/": "own cluster",
    "tests/e2e/product/test_definition_on_cluster.py": "own cluster",
}
JUDGEMENT: Final = "tests/e2e/rights/"
"""Judges what all others did, and so comes last."""
LONGEST_FIRST: Final = (
    "tests/e2e/chart/",
    "tests/e2e/cluster/",
    "tests/e2e/product/",
    "tests/documents/",
    "tests/e2e/",
    "tests/integration/syncjob/outages/",
    "tests/integration/tracing/",
    "tests/integration/",
    "tests/unit/syncjob/test_job_completeness.py",
    "tests/unit/simulator/",
    "tests/",
)
BUSY: Final = ("tests/documents/test_site.py", "tests/unit/", "tests/agreement/")
"""Tests that wait for nothing but a processor."""


class LongestFirst(LoadScopeScheduling):
    """Keeps the order that the tests were collected in, but that one worker begins with those that wait for nothing."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        if node is self.nodes[0] is not self.nodes[-1] and (scope := find_busy(self.workqueue)):
            self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return find_group(nodeid) or (nodeid if path.startswith(ONE_BY_ONE) else path)


def find_group(nodeid: str) -> str | None:
    """Find the name of the files that share a cluster, if a test is in one of them."""
    return next((together for prefix, together in TOGETHER.items() if nodeid.startswith(prefix)), None)


def find_busy(scopes: Iterable[str]) -> str | None:
    """Find the first of the tests that wait for nothing; None when there is none left."""
    return next((scope for scope in scopes if scope.startswith(BUSY)), None)


def compute_rank(nodeid: str) -> int:
    """Compute how late a test is handed out."""
    if nodeid.startswith(JUDGEMENT):
        return len(LONGEST_FIRST)
    return next(rank for rank, prefix in enumerate(LONGEST_FIRST) if nodeid.startswith(prefix))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort, on workers only: a run without them keeps the order of the folders, from cheap to dear."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: compute_rank(item.nodeid))


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Keep the collector of garbage from looking at thousands of tests again and again while they become more."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Do so later, too: they stay to the end."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run the last test of a group as the last of all: pytest then ends everything, and begins anew what is needed."""
    group = find_group(item.nodeid)
    if nextitem is None or group in {None, find_group(nextitem.nodeid)} or not hasattr(item.config, "workerinput"):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    runtestprotocol(item, nextitem=None)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Keep the order of `pytest_collection_modifyitems`, where xdist would begin with the files of the most tests."""
    config.option.loadscopereorder = False
    return LongestFirst(config, log)
