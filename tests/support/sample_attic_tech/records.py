"""Made-up estimates: the same seed, index and time always give the same record, so any part of a set is known.

Demos and tests build their data here. What makes single records unusual (missing, null, bare, long) is in `oddities`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec

from sample_attic_tech import vocabulary
from sample_attic_tech.instants import format_timestamp, parse_instant
from sample_attic_tech.oddities import apply_oddities
from sample_attic_tech.relations import Record

FIRST_ID = 4_200
DEFAULT_SPAN = timedelta(days=45)
MONEY_FIELDS = ("true_cost", "retail_cost", "final_price", "sub_services_retail_cost", "discount_provided")

# One edit of many estimates at once gives them all the same instant: every eighth record has one of these.
BULK_EDIT_EVERY = 8
BULK_EDITS = 3
# Room between creation and last change, so that an older version fits.
SHORTEST_LIFE = timedelta(minutes=2)


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
    names = {"id": FIRST_ID + index, "name": _build_name(rng, client), "status": rng.choice(vocabulary.STATUSES)}
    record = names | _build_dates(rng, index, now, span) | _build_prices(rng) | _build_work(rng)
    relations = {"branch": _build_branch(rng), "user": _build_user(rng, seed), "client": client}
    return apply_oddities(index, record | relations | {"property": _build_property(rng, client)})


def _build_name(rng: Random, client: Record) -> str:
    return f"{client['lastName']}: {rng.choice(vocabulary.SERVICES)}"


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
        "crew_notes": rng.choice(vocabulary.CREW_NOTES),
        "payment_method": rng.choice(vocabulary.PAYMENT_METHODS),
    }


def _build_branch(rng: Random) -> Record:
    number = rng.randrange(len(vocabulary.BRANCHES))
    return {"id": number + 1, "name": vocabulary.BRANCHES[number], "phone": f"(555) 010-{number:04}"}


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
    return rng.choice(vocabulary.FIRST_NAMES), rng.choice(vocabulary.LAST_NAMES)


def _build_property(rng: Random, client: Record) -> Record:
    address = f"{rng.randrange(1, 9_999)} {rng.choice(vocabulary.STREETS)}, {rng.choice(vocabulary.CITIES)}"
    return {"id": 30_000 + rng.randrange(900), "address": address, "client": client}


def _build_padding(padding_bytes: int) -> Record:
    """One structure shared by all records: heavy on the wire, light in the sample's memory."""
    if padding_bytes <= 0:
        return {}
    item = {"id": 1, "name": "Fibreglass batt R-38", "unit_price": 41.75, "quantity": 12, "tags": ["attic", "❄️"]}
    return {"sub_services": [item] * max(1, padding_bytes // len(msgspec.json.encode(item)))}
