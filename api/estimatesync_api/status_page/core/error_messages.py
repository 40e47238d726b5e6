"""What the page says when it cannot do what was asked: error pages, the sign-in form, the start form. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from estimatesync_contract.specific_causes import CLUSTER_CAUSES, SpecificCause

from estimatesync_api.core.problems import ApiError, Problem
from estimatesync_api.core.sync_request import FIRST_DAY, LAST_DAY
from estimatesync_api.status_page.core.addresses import REDELIVER_STEP
from estimatesync_api.status_page.core.localization import Localizer

_ERROR_PAGES: Final = {
    Problem.NOT_FOUND: "not_found",
    Problem.SYNC_NOT_FOUND: "not_found",
    Problem.UNAVAILABLE: "unavailable",
    Problem.KEYS_UNAVAILABLE: "keys",
    Problem.TOO_MANY_REQUESTS: "too_many",
    Problem.KEY_READ_ONLY: "read_only",
    Problem.METHOD_NOT_ALLOWED: "method",
    Problem.INTERNAL_ERROR: "internal",
}
_TEMPORARY: Final = frozenset({Problem.UNAVAILABLE, Problem.KEYS_UNAVAILABLE, Problem.TOO_MANY_REQUESTS})
_UNSURE: Final = frozenset(
    {
        None,
        SpecificCause.API_SERVER_BUSY,
        SpecificCause.API_SERVER_UNREACHABLE,
        SpecificCause.DATABASE_BROKE,
        SpecificCause.DATABASE_SILENT,
        SpecificCause.DATABASE_STOPPING,
        SpecificCause.DATABASE_TOO_SLOW,
        SpecificCause.POOLER_LIMIT,
    }
)
"""What leaves open whether a request was carried out whose answer is missing; the others have refused it."""
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
    form: str = ""
    """Where the form is that was sent in vain, if sending it again may help."""


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


def build_form_error_page(error: ApiError, localizer: Localizer, *, path: str, is_acting: bool) -> ErrorPage:
    """Say whether a form that was sent to a path has done anything, and lead back to it."""
    page = build_error_page(error.problem, localizer, error)
    if not page.is_temporary:
        return page
    key = "unsure" if is_acting and is_outcome_unknown(error) else "not_done"
    if key == "not_done" and path.endswith(f"/{REDELIVER_STEP}"):
        key = "not_sent"
    cause = format_store_cause(error.cause, localizer) if error.cause else ""
    text = " ".join(filter(None, [cause, localizer.translate(f"error.{key}_text", seconds=error.retry_after)]))
    # Leads back to the list where the form is there.
    return ErrorPage(title=localizer.translate(f"error.{key}"), text=text, is_temporary=False, form=path)


def is_outcome_unknown(error: ApiError) -> bool:
    """Return whether what failed like this may have been stored all the same, as after a timeout."""
    return error.problem is Problem.UNAVAILABLE and error.cause in _UNSURE


def format_store_cause(cause: SpecificCause, localizer: Localizer) -> str:
    """Say which part cannot be used now, and how."""
    happened = localizer.translate(f"cause.{cause.code}.happened")
    if cause in CLUSTER_CAUSES:
        return f"{happened[0].upper()}{happened[1:]}."
    return localizer.translate("error.database", happened=happened)


def format_sign_in_error(error: ApiError, localizer: Localizer) -> str:
    """Say why a key was not accepted."""
    return localizer.translate(_SIGN_IN_ERRORS.get(error.problem, "sign_in.wrong"), seconds=error.retry_after)


def find_start_errors(fields: Mapping[str, str], localizer: Localizer, *, today: date) -> tuple[tuple[str, str], ...]:
    """Find what is wrong with the days in the start form: names of fields, each with its error.

    A blank day is fine, since there are default days: the last one is today.
    """
    first, last = fields.get("from", "").strip(), fields.get("to", "").strip()
    errors = [
        (name, localizer.translate(f"start.error.{key}", first=FIRST_DAY, last=LAST_DAY))
        for name, key in (("from", _find_day_error(first, "start")), ("to", _find_day_error(last, "end")))
        if key
    ]
    start, end = _parse_day(first), _parse_day(last)
    if not errors and start and start > (end or today):
        errors = [("from", localizer.translate("start.error.order"))] if end else []
        errors = errors or [("to", localizer.translate("start.error.today"))]
    return tuple(errors)


def format_refused_days(localizer: Localizer) -> tuple[tuple[str, str], ...]:
    """Say that the API's own rules do not allow the days in the start form."""
    return (("from", localizer.translate("start.error.days")),)


def _find_day_error(text: str, name: str) -> str:
    """Find what is wrong with a day: the key of its error, or blank."""
    day = _parse_day(text)
    if day is None:
        return name if text else ""
    return "" if FIRST_DAY <= day <= LAST_DAY else f"{name}_range"


def _parse_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
