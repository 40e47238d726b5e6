"""What a person is told when a page cannot be shown as asked. Pure.

Finds what is wrong with the days that a person has typed, in her language. Pure; the API's own rules come after.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from estimatesync_api.problems import ApiError, Problem
from estimatesync_api.status_page.core.localization import Tongue

_KEYS: Final = {
    Problem.NOT_FOUND: "not_found",
    Problem.SYNC_NOT_FOUND: "not_found",
    Problem.UNAVAILABLE: "unavailable",
    Problem.TOO_MANY_REQUESTS: "too_many",
    Problem.KEY_READ_ONLY: "read_only",
    Problem.INTERNAL_ERROR: "internal",
}
_PASSING: Final = frozenset({Problem.UNAVAILABLE, Problem.TOO_MANY_REQUESTS})


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A title and what it means for the person."""

    title: str
    text: str
    may_pass: bool
    """The page may try again by itself."""


def build_fault(problem: Problem | None, tongue: Tongue, error: ApiError | None) -> Fault:
    """Put a problem into words; None stands for a form that was refused."""
    if problem is None:
        return Fault(title=tongue.say("error.form"), text=tongue.say("error.form_text"), may_pass=False)
    key = _KEYS.get(problem)
    if key is None:
        # Rare, and told in the API's own words.
        return Fault(title=tongue.say("error.refused"), text=str(error or problem.message), may_pass=False)
    return Fault(title=tongue.say(f"error.{key}"), text=tongue.say(f"error.{key}_text"), may_pass=problem in _PASSING)


def find_start_faults(fields: Mapping[str, str], tongue: Tongue) -> tuple[tuple[str, str], ...]:
    """Name each field with a fault, and the fault. A blank day is none: there are default days."""
    first, last = fields.get("from", "").strip(), fields.get("to", "").strip()
    faults = [
        (name, tongue.say(f"start.fault.{word}"))
        for name, word, text in (("from", "start", first), ("to", "end", last))
        if text and _parse(text) is None
    ]
    if not faults and (start := _parse(first)) and (end := _parse(last)) and start > end:
        faults = [("from", tongue.say("start.fault.order"))]
    return tuple(faults)


def _parse(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
