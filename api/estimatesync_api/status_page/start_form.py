"""Finds what is wrong with the days that a person has typed, in her language. Pure; the API's own rules come after."""

from collections.abc import Mapping
from datetime import date

from estimatesync_api.status_page.tongue import Tongue


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
