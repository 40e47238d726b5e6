"""`docs/causes.md` shows people the very table that the operator takes its words from."""

import re
from pathlib import Path

from estimatesync_contract.causes import CAUSES, OBSTACLES, Cause
from estimatesync_operator.core.job_observation import SIGNS

PAGE = Path(__file__).parents[2] / "docs" / "causes.md"


def format_row(cause: Cause) -> str:
    happened = re.sub(r"\{(\w+)\}", r"<\1>", cause.happened).replace("<", "*").replace(">", "*")
    signs = ", ".join(f"`{sign}`" for sign in sorted(SIGNS.get(cause.reason, ()))) or "—"
    return f"| `{cause.reason}` | {happened} | {cause.cure or '—'} | {signs} |"


def test_the_page_has_exactly_the_rows_of_the_table() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]

    assert rows == [format_row(cause) for cause in CAUSES]


def test_the_page_tells_obstacles_from_ends() -> None:
    before, _, after = PAGE.read_text().partition("## How a sync ends")

    assert {reason for reason in OBSTACLES if f"| `{reason}` |" not in before} == set()
    assert {reason for reason in OBSTACLES if f"| `{reason}` |" in after} == set()
