"""Argo CD's health script, run by the Lua that Argo CD runs it with, agrees with the table of `docs/operating.md`."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from estimatesync_cluster.programs import GLUA, find_go_tool
from estimatesync_contract.causes import BLOCKERS
from estimatesync_contract.estimate_sync import EstimateSync, Metadata, to_object
from estimatesync_contract.spec import EstimateSyncSpec
from estimatesync_contract.status import EstimateSyncStatus, Phase
from estimatesync_operator.core.lifecycle import apply_conditions

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 12, 1, tzinfo=UTC)
ROWS = re.findall(r"^\| (.+) \| `\w+` \| (.+) \|$", (ROOT / "docs" / "operating.md").read_text(), re.MULTILINE)


@pytest.fixture(scope="session")
def glua() -> Path:
    return find_go_tool(GLUA, environ=os.environ, report=lambda line: sys.stderr.write(f"{line}\n"))


def build_sync(phase: Phase | None, *, reason: str = "", generation: int = 1, suspend: bool = False) -> EstimateSync:
    """Build a sync as the operator leaves it."""
    status = EstimateSyncStatus(observed_generation=1, phase=phase, reason=reason or phase, message='Page "9/17"\n')
    return EstimateSync(
        metadata=Metadata(name="a", generation=generation),
        spec=EstimateSyncSpec(suspend=suspend),
        status=apply_conditions(status, (), now=NOW) if phase else EstimateSyncStatus(),
    )


def to_lua(value: Any) -> str:
    """Write JSON builtins as Lua has them; a null is no field at all."""
    if isinstance(value, dict):
        return f"{{{','.join(f'[{to_lua(key)}]={to_lua(each)}' for key, each in value.items() if each is not None)}}}"
    if isinstance(value, list | tuple):
        return f"{{{','.join(map(to_lua, value))}}}"
    return json.dumps(value)


def list_cases() -> Iterator[Any]:
    """Each row of the page, with the syncs that it is about and what it says of each."""
    blocker = next(iter(BLOCKERS))
    syncs = [
        [build_sync(None)],
        [build_sync(phase, generation=2) for phase in Phase],
        [build_sync(Phase.QUEUED), build_sync(Phase.QUEUED, suspend=True)],
        [build_sync(Phase.RUNNING)],
        [build_sync(Phase.RUNNING, reason=blocker)],
        [build_sync(phase) for phase in Phase if phase.is_final],
    ]
    for (row, health), group in zip(ROWS, syncs, strict=True):
        usual, _, suspended = health.partition("; ")
        for sync in group:
            expected = suspended.removesuffix(" with `spec.suspend`") if sync.spec.suspend else usual
            words = f"{row}, {sync.status.phase}{' and suspended' if sync.spec.suspend else ''}"
            shown = to_object(sync)
            shown["metadata"]["generation"] = sync.metadata.generation
            yield pytest.param(shown, expected, id=words)


@pytest.mark.parametrize(("sync", "health"), list(list_cases()))
def test_the_script_says_of_each_phase_what_the_page_says(
    glua: Path, tmp_path: Path, sync: dict[str, Any], health: str
) -> None:
    script = (ROOT / "deploy" / "argocd" / "health.lua").read_text()
    # Argo CD sets the object before, and reads what is returned.
    lines = (
        f"obj = {to_lua(sync)}",
        "local found = (function()",
        script,
        "end)()",
        'print(found.status .. " " .. found.message)',
    )
    (tmp_path / "program.lua").write_text("\n".join(lines))

    ended = subprocess.run([glua, tmp_path / "program.lua"], capture_output=True, text=True, timeout=60, check=False)

    status, _, message = ended.stdout.partition(" ")
    assert (status, ended.returncode, ended.stderr) == (health, 0, "")
    assert message
