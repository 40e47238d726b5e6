"""What makes real records awkward: a table of changes, each applied to every n-th record.

`records` applies it; a set of about a hundred records has met every oddity. Intervals are primes, so that oddities
also meet each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sample_attic_tech.relations import Record

LONG_TEXT = "A very long estimate name, é and 🏠 included, "


@dataclass(frozen=True, kw_only=True)
class Oddity:
    """A change to records whose index leaves the rest `at` when divided by `every`."""

    every: int
    at: int
    change: Callable[[Record], Record]


def _with(**fields: Any) -> Callable[[Record], Record]:  # noqa: ANN401 - any JSON value
    return lambda record: record | fields


def _without(*names: str) -> Callable[[Record], Record]:
    return lambda record: {name: value for name, value in record.items() if name not in names}


def _with_bare_id(name: str) -> Callable[[Record], Record]:
    return lambda record: record | {name: record[name]["id"] if isinstance(record.get(name), dict) else None}


def _inside(name: str, change: Callable[[Record], Record]) -> Callable[[Record], Record]:
    return lambda record: record | {name: change(record[name])} if isinstance(record.get(name), dict) else record


def _with_whole_money(record: Record) -> Record:
    return record | {name: int(record[name]) for name in ("true_cost", "retail_cost", "final_price")}


ODDITIES = (
    Oddity(every=5, at=2, change=_with_whole_money),
    Oddity(every=13, at=4, change=_inside("client", _without("fullName"))),
    Oddity(every=17, at=6, change=_inside("client", _with(phone=None, email=""))),
    Oddity(every=19, at=7, change=_inside("client", _without("phoneNumber", "email", "firstName"))),
    Oddity(every=23, at=9, change=_inside("property", _with_bare_id("client"))),
    Oddity(every=29, at=11, change=_with_bare_id("branch")),
    Oddity(every=31, at=12, change=_with_bare_id("user")),
    Oddity(every=37, at=14, change=_with_bare_id("client")),
    Oddity(every=41, at=15, change=_with_bare_id("property")),
    Oddity(every=43, at=17, change=_with(client=None)),
    Oddity(every=47, at=18, change=_with(branch=None)),
    Oddity(every=53, at=20, change=_with(user=None, property=None)),
    Oddity(every=59, at=21, change=_without("client", "property", "user", "branch")),
    Oddity(every=61, at=22, change=_with(tax_details=None)),
    Oddity(every=67, at=23, change=_with(tax_details={})),
    Oddity(every=71, at=25, change=_with(name=LONG_TEXT * 80)),
    Oddity(every=73, at=26, change=_without("name", "crew_notes", "payment_method", "labor_hours")),
    Oddity(every=79, at=28, change=_with(name=None, status=None, final_price=None)),
    Oddity(every=83, at=29, change=_without("status", "tax_details", "true_cost", "retail_cost", "final_price")),
    Oddity(every=89, at=30, change=_with(name="  ", crew_notes=None, labor_hours=None, discount_provided=0)),
    Oddity(every=97, at=31, change=_inside("branch", _with(name="Branch " + "ñ" * 400))),
)


def apply_oddities(index: int, record: Record) -> Record:
    """Build the record as its index makes it: most stay as they are."""
    for oddity in ODDITIES:
        if index % oddity.every == oddity.at:
            record = oddity.change(record)
    return record
