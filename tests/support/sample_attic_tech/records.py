"""Made-up estimates: the same seed, index and time always give the same record, so any part of a set is known.

Demos and tests build their data here. What makes real records awkward (missing, null, bare, long) is a table of edge
cases, each applied to every n-th record: a set of about a hundred has met every one. Intervals are primes, so that edge
cases also meet each other.

Payload stores ids and populates them on reading. The sample keeps records fully populated, as `depth=2` gives them;
`selection` takes away what a listing does not ask for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any

import msgspec

from sample_attic_tech import field_values

Record = dict[str, Any]
"""One estimate as JSON gives it; a record is replaced, never edited in place."""

RELATIONS: Mapping[str, str] = {
    "branch": "branches",
    "user": "users",
    "client": "clients",
    "property": "properties",
}
"""The collection behind each relation, of an estimate and of a property."""

FULL_DEPTH = 2
"""The deepest relation of a record (property → client); Payload's default depth is the same."""

LONG_TEXT = "A very long estimate name, é and 🏠 included, "

FIRST_ID = 4_200
DEFAULT_SPAN = timedelta(days=45)
MONEY_FIELDS = ("true_cost", "retail_cost", "final_price", "sub_services_retail_cost", "discount_provided")

# One edit of many estimates at once gives them all the same instant: every eighth record has one of these.
BULK_EDIT_EVERY = 8
BULK_EDITS = 3
# Room between creation and last change, so that an older version fits.
SHORTEST_LIFE = timedelta(minutes=2)


@lru_cache(maxsize=200_000)
def parse_instant(text: str) -> datetime:
    """Read an ISO date or date-time as JavaScript's `Date` does; a bare date is midnight UTC, no offset means UTC.

    The cache pays because every listing compares and sorts the same stored texts again.

    Raises:
        ValueError: when the text is not an ISO date.
    """
    instant = datetime.fromisoformat(text)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def format_timestamp(instant: datetime) -> str:
    """Write an instant as Payload does: UTC, milliseconds, `Z`; finer digits are cut."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, kw_only=True)
class EdgeCase:
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


EDGE_CASES = (
    EdgeCase(every=5, at=2, change=_with_whole_money),
    EdgeCase(every=13, at=4, change=_inside("client", _without("fullName"))),
    EdgeCase(every=17, at=6, change=_inside("client", _with(phone=None, email=""))),
    EdgeCase(every=19, at=7, change=_inside("client", _without("phoneNumber", "email", "firstName"))),
    EdgeCase(every=23, at=9, change=_inside("property", _with_bare_id("client"))),
    EdgeCase(every=29, at=11, change=_with_bare_id("branch")),
    EdgeCase(every=31, at=12, change=_with_bare_id("user")),
    EdgeCase(every=37, at=14, change=_with_bare_id("client")),
    EdgeCase(every=41, at=15, change=_with_bare_id("property")),
    EdgeCase(every=43, at=17, change=_with(client=None)),
    EdgeCase(every=47, at=18, change=_with(branch=None)),
    EdgeCase(every=53, at=20, change=_with(user=None, property=None)),
    EdgeCase(every=59, at=21, change=_without("client", "property", "user", "branch")),
    EdgeCase(every=61, at=22, change=_with(tax_details=None)),
    EdgeCase(every=67, at=23, change=_with(tax_details={})),
    EdgeCase(every=71, at=25, change=_with(name=LONG_TEXT * 80)),
    EdgeCase(every=73, at=26, change=_without("name", "crew_notes", "payment_method", "labor_hours")),
    EdgeCase(every=79, at=28, change=_with(name=None, status=None, final_price=None)),
    EdgeCase(every=83, at=29, change=_without("status", "tax_details", "true_cost", "retail_cost", "final_price")),
    EdgeCase(every=89, at=30, change=_with(name="  ", crew_notes=None, labor_hours=None, discount_provided=0)),
    EdgeCase(every=97, at=31, change=_inside("branch", _with(name="Branch " + "ñ" * 400))),
)


def apply_edge_cases(index: int, record: Record) -> Record:
    """Build the record as its index makes it: most stay as they are."""
    for edge_case in EDGE_CASES:
        if index % edge_case.every == edge_case.at:
            record = edge_case.change(record)
    return record


def build_records(
    count: int, seed: int, now: datetime, *, span: timedelta = DEFAULT_SPAN, padding_bytes: int = 0
) -> list[Record]:
    """Build `count` estimates as `depth=2` shows them; a smaller count gives the beginning of a larger one.

    Args:
        count: how many.
        seed: another seed, other estimates (with the same ids).
        now: the newest possible `updatedAt`, aware.
        span: how far back `createdAt` and `updatedAt` reach.
        padding_bytes: JSON bytes by which each record grows, as populated relations make real ones heavy.
    """
    padding = _build_padding(padding_bytes)
    return [_build_record(index, seed, now, span) | padding for index in range(count)]


def build_older_version(record: Mapping[str, Any]) -> Record:
    """Build an earlier version of a record: earlier `updatedAt`, other prices, another status, same id."""
    updated_at = parse_instant(record["updatedAt"])
    created_at = parse_instant(record["createdAt"])
    older = created_at + (updated_at - created_at) / 2
    at = older if older < updated_at else updated_at - timedelta(days=1)
    prices = {name: _build_older_price(record[name]) for name in MONEY_FIELDS if record.get(name) is not None}
    status = "draft" if record.get("status") != "draft" else "sent"
    return dict(record) | prices | {"status": status, "updatedAt": format_timestamp(at)}


def _build_older_price(price: float) -> float:
    return _format_cents(round(price * 100) + 12_345)


def _build_record(index: int, seed: int, now: datetime, span: timedelta) -> Record:
    rng = Random(f"{seed}:{index}")  # noqa: S311 - made-up data, repeatable on purpose
    client = _build_client(rng.randrange(400), seed)
    names = {"id": FIRST_ID + index, "name": _build_name(rng, client), "status": rng.choice(field_values.STATUSES)}
    record = names | _build_dates(rng, index, now, span) | _build_prices(rng) | _build_work(rng)
    relations = {"branch": _build_branch(rng), "user": _build_user(rng, seed), "client": client}
    return apply_edge_cases(index, record | relations | {"property": _build_property(rng, client)})


def _build_name(rng: Random, client: Record) -> str:
    return f"{client['lastName']}: {rng.choice(field_values.SERVICES)}"


def _build_dates(rng: Random, index: int, now: datetime, span: timedelta) -> Record:
    updated_at = now - (span - SHORTEST_LIFE) * rng.random()
    if index % BULK_EDIT_EVERY == 0:
        updated_at = now - span * rng.randrange(1, BULK_EDITS + 1) / (BULK_EDITS + 1)
    room = updated_at - SHORTEST_LIFE - (now - span)
    created_at = now - span + room * rng.random()
    return {"createdAt": format_timestamp(created_at), "updatedAt": format_timestamp(updated_at)}


def _build_prices(rng: Random) -> Record:
    retail, sub_services, discount = rng.randrange(50_000, 4_000_000), rng.randrange(0, 200_000), rng.randrange(50_000)
    final = retail + sub_services - discount
    return {
        "true_cost": _format_cents(retail * 6 // 10),
        "retail_cost": _format_cents(retail),
        "sub_services_retail_cost": _format_cents(sub_services),
        "discount_provided": _format_cents(discount),
        "final_price": _format_cents(final),
        "tax_details": {"tax_rate": 8.25, "final_price_after_taxes": _format_cents(final * 10_825 // 10_000)},
    }


def _format_cents(cents: int) -> float:
    """JSON from JavaScript has no `12.0`: whole amounts are integers."""
    return cents // 100 if cents % 100 == 0 else cents / 100


def _build_work(rng: Random) -> Record:
    return {
        "labor_hours": rng.choice((0, 4, 7.5, 12, 16.25, 40)),
        "crew_notes": rng.choice(field_values.CREW_NOTES),
        "payment_method": rng.choice(field_values.PAYMENT_METHODS),
    }


def _build_branch(rng: Random) -> Record:
    number = rng.randrange(len(field_values.BRANCHES))
    return {"id": number + 1, "name": field_values.BRANCHES[number], "phone": f"(555) 010-{number:04}"}


def _build_user(rng: Random, seed: int) -> Record:
    number = rng.randrange(12)
    first, last = _build_person(f"{seed}:user:{number}")
    return {"id": 10 + number, "name": f"{first} {last}", "email": f"seller{number}@example.com"}


def _build_client(number: int, seed: int) -> Record:
    first, last = _build_person(f"{seed}:client:{number}")
    return {
        "id": 7_000 + number,
        "fullName": f"{first} {last}",
        "firstName": first,
        "lastName": last,
        "email": f"client{number}@example.com",
        "phone": f"+1 555 01{number:05}",
        "phoneNumber": f"55501{number:05}",
    }


def _build_person(key: str) -> tuple[str, str]:
    rng = Random(key)  # noqa: S311 - made-up data, repeatable on purpose
    return rng.choice(field_values.FIRST_NAMES), rng.choice(field_values.LAST_NAMES)


def _build_property(rng: Random, client: Record) -> Record:
    address = f"{rng.randrange(1, 9_999)} {rng.choice(field_values.STREETS)}, {rng.choice(field_values.CITIES)}"
    return {"id": 30_000 + rng.randrange(900), "address": address, "client": client}


def _build_padding(padding_bytes: int) -> Record:
    """One structure shared by all records: heavy on the wire, light in the sample's memory."""
    if padding_bytes <= 0:
        return {}
    item = {"id": 1, "name": "Fibreglass batt R-38", "unit_price": 41.75, "quantity": 12, "tags": ["attic", "❄️"]}
    return {"sub_services": [item] * max(1, padding_bytes // len(msgspec.json.encode(item)))}
