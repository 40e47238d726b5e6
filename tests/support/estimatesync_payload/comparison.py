"""Holds the tables after a sync to what Payload's own tables were, by the promise of docs/completeness.md.

It maps Payload's columns to ours on its own, so that a fault of the sync program's mapping shows.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from sample_attic_tech.records import RELATIONS

from estimatesync_payload.client import Document, PayloadClient
from estimatesync_payload.history import EstimateVersion, History

Row = Mapping[str, Any]
"""A stored estimate by the names of its columns, those of its relations among them."""

Related = Mapping[str, Mapping[int, Document]]
"""The documents behind each relation, by their ids."""

_OVERLAP: Final = timedelta(minutes=5)
_CENT: Final = Decimal("0.01")
_STORED: Final = sql.SQL("""
    SELECT attic_tech_estimate_id, estimate.name, customer_name, customer_email, customer_phone, customer_address,
        price, retail_cost, final_price, sub_service_retail_cost, discount, final_price_after_taxes,
        attic_tech_hours, crew_notes, payment_method, at_created_date, at_updated_date,
        branch.name AS branch, sales_person.name AS sales_person, estimate_status.name AS status
    FROM {schema}.estimate
    LEFT JOIN {schema}.branch ON branch.id = branch_id
    LEFT JOIN {schema}.sales_person ON sales_person.id = sales_person_id
    JOIN {schema}.estimate_status ON estimate_status.id = status_id
""")


@dataclass(frozen=True, kw_only=True)
class SyncSpan:
    """When a sync ran, and what it asked for.

    Attributes:
        began_at: no later than its first request.
        complete_as_of: what it reports: nothing is missing up to then. Whole seconds, rounded down.
        ended_at: no earlier than its last request.
        start, end: the first and the last instant of its range, both included.
    """

    began_at: datetime
    complete_as_of: datetime
    ended_at: datetime
    start: datetime
    end: datetime


def read_related(client: PayloadClient) -> Related:
    """Read what estimates may be related to; nobody changes it while the tests run."""
    return {
        name: {document["id"]: document for document in client.read_all(collection, depth=0)}
        for name, collection in RELATIONS.items()
    }


def read_stored(database_url: str, schema: str) -> dict[int, Row]:
    """Read the stored estimates by their ids in Payload."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        rows = connection.execute(_STORED.format(schema=sql.Identifier(schema))).fetchall()
    return {row["attic_tech_estimate_id"]: row for row in rows}


def find_faults(stored: Mapping[int, Row], history: History, related: Related, span: SyncSpan) -> list[str]:
    """Find where the tables break the promise; none is what a sync should leave."""
    return [
        f"estimate {identity}: {fault}"
        for identity in sorted(history.keys() | stored.keys())
        for fault in _find_faults(stored.get(identity), history.get(identity, ()), related, span)
    ]


def _find_faults(
    row: Row | None, versions: Sequence[EstimateVersion], related: Related, span: SyncSpan
) -> Iterator[str]:
    since = [version for version in versions if version.until > span.began_at]
    # What is deleted before it is read, nobody can read; and what was stored of it stays.
    is_gone = _is_deleted(since, span)
    is_due = not is_gone and _is_in_range_at(span.complete_as_of, versions, span)
    if row is None:
        if is_due or (not is_gone and _is_in_range_at(span.began_at, versions, span)):
            yield f"is missing, though it was in the range {'at the end' if is_due else 'when the sync began'}"
        return
    allowed = [version for version in since if version.until > span.complete_as_of or not is_due]
    if row not in [build_row(version.document, related) for version in allowed if version.document]:
        known = "; ".join(_format_version(version) for version in versions)
        yield f"is stored as none of the {len(allowed)} versions that are allowed: {dict(row)}; all are {known}; {span}"
    # One that has just changed to a date beyond the range may have left it.
    elif not any(_is_in_range(version, span) or version.since >= span.began_at - _OVERLAP for version in since):
        yield "is stored, though it was never in the range, and has not changed"


def _format_version(version: EstimateVersion) -> str:
    names = ("name", "updated_at")
    shown = [version.document[name] for name in names] if version.document else "deleted"
    return f"{shown} from {version.since} to {version.until}"


def _is_deleted(since: Sequence[EstimateVersion], span: SyncSpan) -> bool:
    return any(version.document is None and version.since <= span.ended_at for version in since)


def _is_in_range_at(instant: datetime, versions: Sequence[EstimateVersion], span: SyncSpan) -> bool:
    """Whether it surely was: each version that may have been visible then was in the range."""
    shown = [version for version in versions if version.may_show_at(instant)]
    return bool(shown) and all(_is_in_range(version, span) for version in shown)


def _is_in_range(version: EstimateVersion, span: SyncSpan) -> bool:
    if version.document is None:
        return False
    return span.start <= datetime.fromisoformat(version.document["updated_at"]) <= span.end


def to_columns(document: Document) -> Mapping[str, Any]:
    """Build a row of Payload's table, by its columns, from the same document as REST shows it at `depth=0`."""
    taxes = document.get("tax_details") or {}
    # Payload 2 leaves out what is null.
    return defaultdict(
        lambda: None,
        document
        | {f"{name}_id": document.get(name) for name in RELATIONS}
        | {"tax_details_final_price_after_taxes": taxes.get("final_price_after_taxes")}
        | {"created_at": document["createdAt"], "updated_at": document["updatedAt"]},
    )


def build_row(document: Mapping[str, Any], related: Related) -> Row:
    """Build the row that one of Payload's own rows becomes."""
    found = {name: related[name].get(document[f"{name}_id"], {}) for name in RELATIONS}
    client, place = found["client"], found["property"]
    owner = related["client"].get(place.get("client", 0), {})
    return {
        "attic_tech_estimate_id": document["id"],
        "name": _text(document["name"]) or "Unnamed Estimate",
        "customer_name": _build_name(owner) or _build_name(client),
        "customer_email": _text(owner.get("email")) or _text(client.get("email")),
        "customer_phone": _build_phone(owner) or _build_phone(client),
        "customer_address": _text(place.get("address")),
        "price": _money(document["true_cost"]),
        "retail_cost": _money(document["retail_cost"]),
        "final_price": _money(document["final_price"]),
        "sub_service_retail_cost": _money(document["sub_services_retail_cost"]),
        "discount": _money(document["discount_provided"]),
        "final_price_after_taxes": _money(document["tax_details_final_price_after_taxes"]),
        "attic_tech_hours": None if document["labor_hours"] is None else Decimal(str(document["labor_hours"])),
        "crew_notes": _text(document["crew_notes"]),
        "payment_method": _text(document["payment_method"]),
        "at_created_date": datetime.fromisoformat(document["created_at"]),
        "at_updated_date": datetime.fromisoformat(document["updated_at"]),
        "branch": _text(found["branch"].get("name")),
        "sales_person": _text(found["user"].get("name")),
        "status": _text(document["status"]) or "pending",
    }


def _build_name(client: Document) -> str | None:
    parts = [_text(client.get("firstName")), _text(client.get("lastName"))]
    return _text(client.get("fullName")) or " ".join(part for part in parts if part) or None


def _build_phone(client: Document) -> str | None:
    return _text(client.get("phone")) or _text(client.get("phoneNumber"))


def _text(value: str | None) -> str | None:
    return value.strip() or None if value else None


def _money(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value)).quantize(_CENT, ROUND_HALF_UP)
