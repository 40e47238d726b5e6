"""Fills the tables that stand between marks in pages that people write: `<!-- NAME -->` … `<!-- /NAME -->`. Pure."""

import re
from collections.abc import Iterable, Mapping

from estimatesync_contract.causes import BLOCKERS, CAUSES, Cause
from estimatesync_operator.core.job_observation import SIGNS

from estimatesync_docs.errors_page import format_exits, format_problems, list_program_reasons
from estimatesync_docs.tables import format_code, format_table


def fill_tables(page: str, tables: Mapping[str, str]) -> str:
    """Put each table between its marks.

    Raises:
        ValueError: The page does not have the marks of a table exactly once.
    """
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, *after = re.split(f"{begin}.*?{end}", page, flags=re.DOTALL)
        if len(after) != 1:
            raise ValueError(f"the page needs one table named {name}")
        page = f"{before}{begin}{table}{end}{after[0]}"
    return page


def format_api_tables() -> dict[str, str]:
    """Write the tables of `docs/api.md`."""
    return {"problems": format_problems()}


def format_client_tables() -> dict[str, str]:
    """Write the tables of `docs/client.md`."""
    return {"exit codes": format_exits()}


def format_causes_tables() -> dict[str, str]:
    """Write the tables of `docs/causes.md`: each reason is in one of them."""
    reported = {reason for reason, _ in list_program_reasons()}
    return {
        "blockers": _format_causes(cause for cause in CAUSES if cause.reason in BLOCKERS),
        "ends": _format_causes(cause for cause in CAUSES if cause.reason not in BLOCKERS | reported),
        "reports": _format_causes(cause for cause in CAUSES if cause.reason in reported),
    }


def _format_causes(causes: Iterable[Cause]) -> str:
    return format_table(["Reason", "What happened", "What to do", "Kubernetes says"], map(_format_cause, causes))


def _format_cause(cause: Cause) -> list[str]:
    happened = re.sub(r"\{(\w+)\}", r"*\1*", cause.happened)
    signs = ", ".join(map(format_code, sorted(SIGNS.get(cause.reason, ()))))
    return [format_code(cause.reason), happened, cause.cure or "—", signs or "—"]
