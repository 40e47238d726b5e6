"""Fills the tables that stand between marks in pages that people write: `<!-- NAME -->` … `<!-- /NAME -->`. Pure."""

import re
from collections.abc import Iterable, Mapping

import msgspec
from estimatesync_api.core.representation import Body, CallbackBody, SyncState
from estimatesync_api.openapi import examples
from estimatesync_contract.causes import BLOCKERS, CAUSES, Cause
from estimatesync_operator.core.job_observation import SIGNS

from estimatesync_docs.errors_page import format_exits, format_problems, list_program_reasons
from estimatesync_docs.tables import format_code, format_json, format_table


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
    """Write the tables and the answers of `docs/api.md`."""
    return {
        "problems": format_problems(),
        "sync": _format_body(examples.SYNC),
        "list": _format_body(examples.LIST),
        "at times": format_table(
            ["Field", "Meaning"], (*_list_optional_fields(SyncState), *_list_optional_fields(CallbackBody, "callback."))
        ),
    }


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


def _format_body(body: Body) -> str:
    return f"```json\n{format_json(msgspec.to_builtins(body))}\n```\n"


def _list_optional_fields(kind: type[Body], prefix: str = "") -> list[list[str]]:
    """Take from a type of answer the fields that are not always there, with what it says about them."""
    _, components = msgspec.json.schema_components([kind])
    fields = components[kind.__name__]["properties"]
    always = components[kind.__name__]["required"]
    return [[format_code(f"{prefix}{name}"), fields[name]["description"]] for name in fields if name not in always]


def _format_causes(causes: Iterable[Cause]) -> str:
    return format_table(["Reason", "What happened", "What to do", "Kubernetes says"], map(_format_cause, causes))


def _format_cause(cause: Cause) -> list[str]:
    happened = re.sub(r"\{(\w+)\}", r"*\1*", cause.happened)
    signs = ", ".join(map(format_code, sorted(SIGNS.get(cause.reason, ()))))
    return [format_code(cause.reason), happened, cause.cure or "—", signs or "—"]
