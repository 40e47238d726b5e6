"""What Attic Tech does not show: *not shown* is not *none*, and never replaces what is stored.

Payload writes a bare id where it does not populate a relation (less depth, fewer rights, a deleted document), and
leaves out a field that the account may not read. One that is null, or absent from a record while others have it, is
none.

`rows` reads relations through `read_relation` and `pages` collects what its records show; `transfer` decides by both.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import Final, Literal, NamedTuple, TypeVar

import msgspec

from estimatesync_job.core.errors import FieldsUnshownError

ENOUGH: Final = 10
"""With fewer estimates nothing fails a sync: one deleted person would be a fifth of them, and all values are kept."""

ABSENT: Final = msgspec.Raw(b"null")
"""A number that a record does not have; one that is null is another object."""

Path = tuple[str, ...]
"""The attributes of a record that lead to a value; one that ends with OBJECT says that there is an object."""

OBJECT: Final = "*"
_OWNER: Final = ("property", "client")

PATHS: Final[Mapping[str, tuple[Path, ...]]] = {
    "name": (("name",),),
    "customer_name": tuple(
        (*who, part) for who in (_OWNER, ("client",)) for part in ("full_name", "first_name", "last_name")
    ),
    "customer_email": ((*_OWNER, "email"), ("client", "email")),
    "customer_phone": tuple((*who, part) for who in (_OWNER, ("client",)) for part in ("phone", "phone_number")),
    "customer_address": (("property", "address"),),
    "price": (("true_cost",),),
    "retail_cost": (("retail_cost",),),
    "final_price": (("final_price",),),
    "sub_service_retail_cost": (("sub_services_retail_cost",),),
    "discount": (("discount_provided",),),
    "final_price_after_taxes": (("tax_details", "final_price_after_taxes"),),
    "attic_tech_hours": (("labor_hours",),),
    "crew_notes": (("crew_notes",),),
    "payment_method": (("payment_method",),),
    "at_created_date": (("created_at",),),
    "at_updated_date": (("updated_at",),),
    "branch_name": (("branch", "name"),),
    "sales_person_name": (("user", "name"),),
    "status_name": (("status",),),
}
"""Where each column's value may come from."""

_FIRST_PLACES: Final = {column: _OWNER[:1] for column, paths in PATHS.items() if paths[0][: len(_OWNER)] == _OWNER}
"""A customer's columns have two places: who is not shown in the first may be another than who is in the second. That no
property has an owner is no sign of that: there are systems in which only the estimate names a customer."""


class _Step(NamedTuple):
    """One attribute on the paths to some columns.

    Attributes:
        shown: what it proves if it is there.
        populated: what it proves if it is an object.
        following: the steps from that object on.
    """

    name: str
    shown: Path
    populated: Path
    following: "tuple[_Step, ...]"


@cache
def _build_steps(columns: tuple[str, ...]) -> tuple[_Step, ...]:
    """Put the paths to columns together, so that each place on them is looked at once."""
    return _join(tuple(path for column in columns for path in PATHS[column]), ())


def _join(paths: Sequence[Path], begin: Path) -> tuple[_Step, ...]:
    names = dict.fromkeys(path[0] for path in paths if path)
    return tuple(
        _Step(
            name=name,
            shown=(*begin, name),
            populated=(*begin, name, OBJECT),
            following=_join([path[1:] for path in paths if path and path[0] == name], (*begin, name)),
        )
        for name in names
    )


FIELDS: Final[Mapping[str, str]] = {
    "customer_name": "client",
    "customer_email": "client.email",
    "customer_phone": "client.phone",
    "customer_address": "property",
    "price": "true_cost",
    "sub_service_retail_cost": "sub_services_retail_cost",
    "discount": "discount_provided",
    "final_price_after_taxes": "tax_details",
    "attic_tech_hours": "labor_hours",
    "at_created_date": "createdAt",
    "at_updated_date": "updatedAt",
    "branch_name": "branch",
    "sales_person_name": "user",
    "status_name": "status",
}
"""What Attic Tech calls a column, where that differs."""

RELATIONS: Final = ("customer_name", "customer_address", "branch_name", "sales_person_name")
"""An Attic Tech without these is none. Other fields may not exist there, or be empty for days."""

Shape = TypeVar("Shape", bound=msgspec.Struct)


class Unshown(Enum):
    """Stands in for a value that exists but is not shown."""

    UNSHOWN = "unshown"


UNSHOWN: Final = Unshown.UNSHOWN


class Polymorphic(msgspec.Struct, frozen=True, kw_only=True):
    """What a populated document and `{relationTo, value}` have in common, so that either can be read as one."""

    relation_to: object = msgspec.field(name="relationTo", default=msgspec.UNSET)


def read_relation(value: object, shape: type[Shape]) -> Shape | Literal[Unshown.UNSHOWN] | None:
    """Read a relation as Payload may write it: an object, a bare id, `{relationTo, value}`, or a list of these.

    Of a list, the first counts.

    Args:
        value: as decoded; UNSET where the record does not have it.
        shape: a populated document.

    Returns:
        The document; None where there is none; UNSHOWN where there is one of which only an id is shown.
    """
    if value is None or value is msgspec.UNSET:
        return None
    if isinstance(value, shape) and getattr(value, "relation_to", msgspec.UNSET) is msgspec.UNSET:
        return value
    value = _unwrap(value)
    if isinstance(value, shape):
        return value
    return None if value is None or value == "" else UNSHOWN


def find_document_key(value: object) -> tuple[str | None, str] | None:
    """Find the collection, where it is named, and the id of what a relation leads to; None where there is no id.

    Ids are counted by collection: where only one of two relations names its own, the same id may be two documents.
    """
    collection, value = _unwrap_named(value)
    found = getattr(value, "id", None) if isinstance(value, msgspec.Struct) else value
    return (collection, str(found)) if isinstance(found, int | str) and not isinstance(found, bool) else None


def _unwrap(value: object) -> object:
    return _unwrap_named(value)[1]


def _unwrap_named(value: object) -> tuple[str | None, object]:
    """Take a relation out of its list, and of `{relationTo, value}`, which names its collection."""
    collection = None
    while True:
        if isinstance(value, list):
            value = value[0] if value else None
        elif isinstance(value, Polymorphic) and isinstance(value.relation_to, str):
            collection, value = value.relation_to, getattr(value, "value", None)
        else:
            return collection, value


def find_evidence(records: Sequence[msgspec.Struct]) -> frozenset[Path]:
    """Find which paths to the columns some records show, and where they have objects on them.

    Usually the first record shows all there is. The others are only looked at for what it leaves open, one attribute of
    all of them after the other, which takes a fifth of the time that one record after the other does.
    """
    evidence: set[Path] = set()
    open_columns = tuple(PATHS)
    for some in (records[:1], records[1:]):
        _collect(some, _build_steps(open_columns), evidence)
        open_columns = tuple(column for column in open_columns if not is_settled(column, evidence))
        if not open_columns:
            break
    return frozenset(evidence)


def _collect(places: Sequence[msgspec.Struct], steps: Iterable[_Step], evidence: set[Path]) -> None:
    for name, shown, populated, following in steps:
        values = [
            value for value in map(attrgetter(name), places) if value is not msgspec.UNSET and value is not ABSENT
        ]
        if not values:
            continue
        evidence.add(shown)
        if not following:
            continue
        related = (read_relation(value, msgspec.Struct) for value in values if value is not None)
        documents = [document for document in related if isinstance(document, msgspec.Struct)]
        if documents:
            evidence.add(populated)
            _collect(documents, following, evidence)


def is_settled(column: str, evidence: AbstractSet[Path]) -> bool:
    """Whether it is certain that some record shows a column, so that others need not be looked at."""
    place = _FIRST_PLACES.get(column)
    return _has_leaf(column, evidence) and (place is None or place in evidence)


def find_hidden(evidence: AbstractSet[Path]) -> tuple[str, ...]:
    """Find the columns that no record shows, by the evidence of all.

    A relation that is null wherever it stands is none: what its documents would show is not known, nor needed.
    """
    return tuple(
        column
        for column, paths in PATHS.items()
        if _is_hidden(_FIRST_PLACES.get(column, ()), evidence)
        or (not _has_leaf(column, evidence) and any(_is_hidden(path, evidence) for path in paths))
    )


def _has_leaf(column: str, evidence: AbstractSet[Path]) -> bool:
    """Whether some record shows where a column's value would stand, even if it is null there."""
    return any(path in evidence for path in PATHS[column])


def _is_hidden(path: Path, evidence: AbstractSet[Path]) -> bool:
    return any(
        path[:depth] not in evidence and (depth == 1 or (*path[: depth - 1], OBJECT) in evidence)
        for depth in range(1, len(path) + 1)
    )


def format_fields(columns: Collection[str]) -> str:
    """List columns as Attic Tech calls them, always in the same order."""
    return ", ".join(FIELDS.get(column, column) for column in PATHS if column in columns)


class UnshownCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What is not shown of the estimates of a sync.

    Attributes:
        estimates: of which something is not shown.
        columns: of how many estimates each is not shown, or would have been replaced by nothing.
    """

    estimates: int = 0
    columns: Mapping[str, int] = {}

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields, as Attic Tech calls them."""
        return tuple(FIELDS.get(column, column) for column in PATHS if column in self.columns)


def check_unshown(counts: UnshownCounts, *, estimates: int, max_percent: int) -> None:
    """Refuse to leave too much as it is stored.

    Args:
        counts: what is not shown.
        estimates: how many there are in all.
        max_percent: of them, how many may lack a field that is not shown.

    Raises:
        FieldsUnshownError: Names the fields.
    """
    too_many = {column for column, count in counts.columns.items() if count * 100 > estimates * max_percent}
    if not too_many or estimates < ENOUGH:
        return
    most = max(counts.columns[column] for column in too_many)
    raise FieldsUnshownError(
        f"Attic Tech does not show {format_fields(too_many)} of {most} of {estimates} estimates, or only as ids. "
        "Nothing was stored. Let the account of ATTIC_TECH_EMAIL read what these fields lead to, such as branches, "
        "users, clients and properties; or raise SYNC_MAX_UNSHOWN_PERCENT: what is stored of these fields is then kept."
    )
