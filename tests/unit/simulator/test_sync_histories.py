"""The sync program keeps its promises in hundreds of histories of a source that changes, faults, and pods that die.

That the simulator notices when it does not is shown by programs that are broken on purpose.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pytest
from estimatesync_job.core.pages import CLOSING_PAGE, FetchedPage
from estimatesync_job.core.ports import Source, StoredRun, Transferred
from estimatesync_job.core.queries import ChangesQuery, PageQuery
from estimatesync_job.core.rows import Rows
from estimatesync_simulator.main import SYNC
from estimatesync_simulator.sync_program.coverage import Coverage
from estimatesync_simulator.sync_program.database import Transaction
from estimatesync_simulator.sync_program.history import (
    CELLS,
    Change,
    Decision,
    Effect,
    History,
    Kind,
    Step,
    generate_history,
)
from estimatesync_simulator.sync_program.world import Program, run_history

HISTORIES: Final = 3 * len(CELLS)
PRINT_DIGEST: Final = """
import hashlib
from estimatesync_simulator.sync_program.history import generate_history
from estimatesync_simulator.sync_program.world import run_history
log = [line for seed in range(40) for line in run_history(generate_history(seed)).log]
print(len(log), hashlib.sha256("\\n".join(log).encode()).hexdigest())
"""

PLAIN_LIFE: Final = [
    "pod-0 connects to the database",
    "pod-0 looks for a run of this sync",
    "pod-0 logs in",
    "pod-0 asks for a page",
    "pod-0 stages rows",
    "pod-0 asks for a page",
    "pod-0 stages rows",
    "pod-0 asks for changes",
    "pod-0 stages rows",
    "pod-0 counts changed rows",
    "pod-0 counts what is staged",
    "pod-0 merges",
    "pod-0 commits",
    "pod-0 reports success: total_fetched 4, new_estimates 2, updated_estimates 2, total_processed 4",
    "next sync reports success: total_fetched 4, updated_estimates 4, unchanged_estimates 4, total_processed 4",
]


@pytest.fixture(scope="module")
def coverage() -> Coverage:
    """What the fixed histories of the gate reach, none of which breaks a promise."""
    reached: Coverage = SYNC.measure_coverage(range(HISTORIES))
    return reached


def test_every_promise_is_kept_and_every_fault_is_met_at_every_step(coverage: Coverage) -> None:
    assert coverage.list_missing() == []


def test_histories_are_deep(coverage: Coverage) -> None:
    """On the average a history makes more steps than a sync that meets nothing, though pods die before their end."""
    assert coverage.steps.total() / coverage.histories > len(PLAIN_LIFE)


def test_a_plain_history_reads_like_the_life_of_a_sync() -> None:
    log = run_history(History(seed=0, page_size=2, concurrency=1)).log

    assert [line.split(maxsplit=1)[1] for line in log] == PLAIN_LIFE


def test_a_seed_makes_the_same_history_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "2")
    }

    assert len(digests) == 1


@dataclass
class Believing:
    """The source, as a sync sees it that believes its pages: its closing passes bring nothing."""

    source: Source

    async def login(self) -> datetime | None:
        return await self.source.login()

    async def fetch_page(self, query: PageQuery) -> FetchedPage:
        return await self.source.fetch_page(query)

    async def fetch_changes(self, query: ChangesQuery) -> FetchedPage:
        response = await self.source.fetch_changes(query)
        return FetchedPage(
            page=CLOSING_PAGE, limit=response.limit, total_pages=1, has_more=False, size_bytes=0, seconds=0.0,
            rows=Rows(), problems=(), first=None, last=None, asked_at=response.asked_at,
        )  # fmt: skip


class WithoutClosingPass(Program):
    def wrap_source(self, source: Source) -> Source:
        return Believing(source)


class Forgetful(Transaction):
    """Does not look whether this sync has committed already."""

    async def fetch_committed_run(self) -> StoredRun | None:
        await super().fetch_committed_run()
        return None

    async def merge(self, transferred: Transferred) -> StoredRun:
        self._uid += "again" if self._database.find_run(self._uid) else ""
        return await super().merge(transferred)


class Believes(Transaction):
    """Takes a commit without an answer for one that has failed."""

    async def _confirm(self, fault: Exception) -> None:
        raise fault


class InParts(Transaction):
    """Writes rows as they come, and not in one transaction."""

    async def write_rows(self, rows: Rows) -> None:
        await super().write_rows(rows)
        self._database.estimates |= {row.attic_tech_estimate_id: row for row in rows}


def broken_by(transaction: type[Transaction]) -> Program:
    program = Program()
    program.transaction = transaction
    return program


@pytest.mark.parametrize(
    ("program", "history", "broken"),
    [
        pytest.param(
            WithoutClosingPass(),
            History(seed=1, page_size=1, concurrency=1, changes=(Change(request=4, kind=Kind.DELETE, target=3),)),
            "was there",
            id="it-believes-its-pages",
        ),
        pytest.param(
            broken_by(Believes),
            History(seed=1, decisions=(Decision(effect=Effect.LOST_ANSWER, step=Step.COMMIT),)),
            "reports a failure, but has committed",
            id="it-does-not-ask-what-became-of-its-commit",
        ),
        pytest.param(
            broken_by(Forgetful),
            History(seed=1, decisions=(Decision(effect=Effect.KILL_AFTER, step=Step.COMMIT),)),
            "committed",
            id="it-commits-again",
        ),
        pytest.param(
            broken_by(InParts),
            History(seed=1, decisions=(Decision(effect=Effect.KILL_BEFORE, step=Step.COMMIT),)),
            "has changed without a commit",
            id="it-writes-in-parts",
        ),
    ],
)
def test_a_broken_program_is_noticed(program: Program, history: History, broken: str) -> None:
    assert not run_history(history).violations

    violations = run_history(history, program).violations
    assert any(broken in violation for violation in violations), violations


def test_a_history_is_told_in_order_and_shortened() -> None:
    seed = next(seed for seed in range(HISTORIES) if len(generate_history(seed).changes) > 3)
    history = generate_history(seed)

    told = SYNC.format_history(history, run_history(history))

    assert told.index("decided beforehand:") < told.index("pod-0 logs in")
    shorter = list(SYNC.list_shorter(history))
    assert shorter
    assert all(len(one.changes) <= len(history.changes) for one in shorter)
