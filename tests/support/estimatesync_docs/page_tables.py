"""Fills the tables that stand between marks in pages that people write: `<!-- NAME -->` … `<!-- /NAME -->`. Pure."""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

import msgspec
from estimatesync_api.core.representation import Body, CallbackBody, SyncState
from estimatesync_api.openapi import examples
from estimatesync_api.status_page.core.localization import read_translations
from estimatesync_contract.causes import BLOCKERS, CAUSES, Cause
from estimatesync_contract.specific_causes import CLUSTER_CAUSES, SOURCE_CAUSES, SpecificCause
from estimatesync_operator.core.job_observation import SIGNS

from estimatesync_docs.errors_page import format_exits, format_problems, list_program_reasons
from estimatesync_docs.tables import format_code, format_json, format_table

ENGLISH: Final = "en"

_CAUSE_HEADINGS: Final[Mapping[str, list[str]]] = {
    ENGLISH: ["Reason", "What happened", "What to do", "Kubernetes says"],
    "es": ["Razón", "Qué pasó", "Qué hacer", "Kubernetes dice"],
}
_CAUSE_WORD: Final[Mapping[str, str]] = {ENGLISH: "Cause", "es": "Causa"}


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


def format_causes_tables(language: str = ENGLISH) -> dict[str, str]:
    """Write the tables of `docs/causes.md` in a language of the status page: each reason is in one of them."""
    reported = {reason for reason, _ in list_program_reasons()}
    write = partial(_format_causes, language=language)
    return {
        "blockers": write(cause for cause in CAUSES if cause.reason in BLOCKERS),
        "ends": write(cause for cause in CAUSES if cause.reason not in BLOCKERS | reported),
        "reports": write(cause for cause in CAUSES if cause.reason in reported),
        "of Attic Tech": _format_specific_causes(SOURCE_CAUSES, language),
        "of the database": _format_specific_causes(frozenset(SpecificCause) - SOURCE_CAUSES - CLUSTER_CAUSES, language),
        "of the API server": _format_specific_causes(CLUSTER_CAUSES, language),
    }


def _format_specific_causes(chosen: frozenset[SpecificCause], language: str) -> str:
    causes = (each for each in SpecificCause if each in chosen)
    rows = ([format_code(each.code), *_describe_specific_cause(each, language)] for each in causes)
    return format_table([_CAUSE_WORD[language], *_CAUSE_HEADINGS[language][1:3]], rows)


def _describe_specific_cause(cause: SpecificCause, language: str) -> tuple[str, str]:
    if language == ENGLISH:
        return cause.summary, cause.cure
    texts = read_translations()[language]
    return texts[f"cause.{cause.code}.happened"], texts[f"cause.{cause.code}.cure"]


def _format_body(body: Body) -> str:
    return f"```json\n{format_json(msgspec.to_builtins(body))}\n```\n"


def _list_optional_fields(kind: type[Body], prefix: str = "") -> list[list[str]]:
    """Take from a type of answer the fields that are not always there, with what it says about them."""
    _, components = msgspec.json.schema_components([kind])
    fields = components[kind.__name__]["properties"]
    always = components[kind.__name__]["required"]
    return [[format_code(f"{prefix}{name}"), fields[name]["description"]] for name in fields if name not in always]


def _format_causes(causes: Iterable[Cause], *, language: str) -> str:
    return format_table(_CAUSE_HEADINGS[language], (_format_cause(cause, language) for cause in causes))


def _format_cause(cause: Cause, language: str) -> list[str]:
    happened, cure = _describe_cause(cause, language)
    signs = ", ".join(map(format_code, sorted(SIGNS.get(cause.reason, ()))))
    return [format_code(cause.reason), happened, cure or "—", signs or "—"]


def _describe_cause(cause: Cause, language: str) -> tuple[str, str]:
    """What happened, and what to do. In English with the names of the details that only the single case knows."""
    if language == ENGLISH:
        return re.sub(r"\{(\w+)\}", r"*\1*", cause.happened), cause.cure
    texts = read_translations()[language]
    return texts[f"cause.{cause.reason}.happened"].rstrip("."), texts[f"cause.{cause.reason}.cure"].rstrip(".")
