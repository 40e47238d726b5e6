"""What the page says when it cannot do what was asked: error pages, the sign-in form, the start form. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from estimatesync_contract.specific_causes import CLUSTER_CAUSES, SpecificCause

from estimatesync_api.core.problems import ApiError, Problem
from estimatesync_api.status_page.core.localization import Localizer

_ERROR_PAGES: Final = {
    Problem.NOT_FOUND: "not_found",
    Problem.SYNC_NOT_FOUND: "not_found",
    Problem.UNAVAILABLE: "unavailable",
    Problem.KEYS_UNAVAILABLE: "keys",
    Problem.TOO_MANY_REQUESTS: "too_many",
    Problem.KEY_READ_ONLY: "read_only",
    Problem.INTERNAL_ERROR: "internal",
}
_TEMPORARY: Final = frozenset({Problem.UNAVAILABLE, Problem.KEYS_UNAVAILABLE, Problem.TOO_MANY_REQUESTS})
_SIGN_IN_ERRORS: Final = {
    Problem.KEY_MISSING: "sign_in.missing",
    Problem.TOO_MANY_GUESSES: "sign_in.too_many",
    Problem.TOO_MANY_REQUESTS: "error.too_many_text",
    Problem.KEYS_UNAVAILABLE: "error.keys",
}


@dataclass(frozen=True, kw_only=True)
class ErrorPage:
    """A title, and what it means for the reader."""

    title: str
    text: str
    is_temporary: bool
    """The page tries again by itself."""


def build_error_page(problem: Problem | None, localizer: Localizer, error: ApiError | None) -> ErrorPage:
    """Put a problem into words; None stands for a form that was refused."""
    if problem is None:
        title, text = localizer.translate("error.form"), localizer.translate("error.form_text")
        return ErrorPage(title=title, text=text, is_temporary=False)
    key = _ERROR_PAGES.get(problem)
    if key is None:
        # Rare, so it is shown in the API's own words.
        title = localizer.translate("error.refused")
        return ErrorPage(title=title, text=str(error or problem.message), is_temporary=False)
    title, text = localizer.translate(f"error.{key}"), localizer.translate(f"error.{key}_text")
    if error and error.cause:
        text = f"{format_store_cause(error.cause, localizer)} {text}"
    return ErrorPage(title=title, text=text, is_temporary=problem in _TEMPORARY)


def format_store_cause(cause: SpecificCause, localizer: Localizer) -> str:
    """Say which part cannot be used now, and how."""
    happened = localizer.translate(f"cause.{cause.code}.happened")
    if cause in CLUSTER_CAUSES:
        return f"{happened[0].upper()}{happened[1:]}."
    return localizer.translate("error.database", happened=happened)


def format_sign_in_error(error: ApiError, localizer: Localizer) -> str:
    """Say why a key was not accepted."""
    return localizer.translate(_SIGN_IN_ERRORS.get(error.problem, "sign_in.wrong"), seconds=error.retry_after)


def find_start_errors(fields: Mapping[str, str], localizer: Localizer) -> tuple[tuple[str, str], ...]:
    """Find what is wrong with the days in the start form: names of fields, each with its error.

    A blank day is fine, since there are default days. The API's own rules are checked afterwards.
    """
    first, last = fields.get("from", "").strip(), fields.get("to", "").strip()
    errors = [
        (name, localizer.translate(f"start.error.{key}"))
        for name, key, text in (("from", "start", first), ("to", "end", last))
        if text and _parse_day(text) is None
    ]
    if not errors and (start := _parse_day(first)) and (end := _parse_day(last)) and start > end:
        errors = [("from", localizer.translate("start.error.order"))]
    return tuple(errors)


def _parse_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
