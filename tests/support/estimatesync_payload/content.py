"""Fills Payload with the sample's records, relations and all, through REST; what people create comes from here, too."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from sample_attic_tech.records import RELATIONS

from estimatesync_payload.client import Document, PayloadClient

ESTIMATES: Final = "job-estimates"

SIDE_BY_SIDE: Final = 8
"""Requests in flight: more make one server no faster."""


def fill(client: PayloadClient, records: Iterable[Document]) -> None:
    """Create the records, each relation once, with Payload's own ids and the records' own dates."""
    records = list(records)
    places = _collect(record.get("property") for record in records)
    owners = _collect(place.get("client") for place in places.values())
    found = {name: _collect(record.get(name) for record in records) for name in ("branch", "user", "client")}
    found["client"] |= owners
    known = {name: _create_related(client, RELATIONS[name], documents) for name, documents in found.items()}
    linked = {number: place | {"client": _link(place, "client", known["client"])} for number, place in places.items()}
    known["property"] = _create_related(client, RELATIONS["property"], linked)
    documents = [_build_document(record, known) for record in records]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(lambda document: client.create(ESTIMATES, document), documents))


def _collect(values: Iterable[Any]) -> dict[int, Document]:
    """A relation that is a bare id, or nothing, is none here: Payload refuses ids of documents that do not exist."""
    return {value["id"]: value for value in values if isinstance(value, dict)}


def _create_related(client: PayloadClient, collection: str, documents: Mapping[int, Document]) -> dict[int, int]:
    """Create documents side by side, and return Payload's id for each of theirs."""
    bodies = [_without_id(document) | _build_login(collection) for document in documents.values()]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        created = pool.map(lambda body: client.create(collection, body), bodies)
        return {number: document["id"] for number, document in zip(documents, created, strict=True)}


def _without_id(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "id"}


def _build_login(collection: str) -> Document:
    return {"password": "made-up-password"} if collection == RELATIONS["user"] else {}


def _build_document(record: Document, known: Mapping[str, Mapping[int, int]]) -> Document:
    links = {name: _link(record, name, known[name]) for name in RELATIONS}
    # Payload answers 500 to a group that is null.
    taxes = {"tax_details": record.get("tax_details") or {}}
    return _without_id(record) | links | taxes


def _link(document: Document, name: str, known: Mapping[int, int]) -> int | None:
    value = document.get(name)
    return known[value["id"]] if isinstance(value, dict) else None
