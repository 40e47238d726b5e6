"""Which earlier sync one of changes may rest on, and what decides whether two have stored by the same rules."""

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import msgspec
import pytest
from estimatesync_job.core.base import (
    MAX_PARTIAL,
    EarlierSync,
    compute_settings_digest,
    find_base_obstacle,
    find_doubt,
    find_highest_old_id,
    find_whole_reason,
)
from estimatesync_job.core.invalid_records import InvalidRecords
from estimatesync_job.core.pages import FetchedPage, PlacedProblem
from estimatesync_job.core.queries import OVERLAP, Gap
from estimatesync_job.core.rows import MAPPING_VERSION, RecordProblem, Rows, map_record
from estimatesync_job.core.unshown import PATHS

NOON = datetime(2025, 10, 16, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
EARLIER = EarlierSync(
    uid="u-1", sync_name="est-1", whole_uid="u-0", complete_as_of=NOON - DAY, highest_id=900, ask_again=(7, 30),
    witnesses=(800, 500), hidden=(), age=DAY - timedelta(minutes=1), has_same_settings=True, whole_age=DAY,
    no_base_because=None, other_sync=None, crossing_sync=None, stored_estimates=1609,
)  # fmt: skip


def test_what_may_have_changed_or_appeared_is_asked_for() -> None:
    assert EARLIER.since == NOON - DAY - OVERLAP
    assert EARLIER.gaps == (
        Gap(below=None, above=900),
        *(Gap(below=number + 1, above=number - 1) for number in (800, 500, 7, 30)),
    )


@pytest.mark.parametrize(
    ("changes", "clock", "why"),
    [
        pytest.param({}, NOON, None, id="serves"),
        pytest.param({"has_same_settings": False}, NOON, "the settings or the version of this program", id="settings"),
        pytest.param({"no_base_because": "the ids were no numbers"}, NOON, "of sync est-1, the ids were", id="ids"),
        pytest.param({"whole_age": timedelta(days=6, hours=11)}, NOON, None, id="nearly-a-week"),
        pytest.param({"whole_age": timedelta(days=6, hours=13)}, NOON, "is a week old", id="a-week"),
        pytest.param({"whole_age": None}, NOON, "is a week old", id="whole-one-forgotten"),
        pytest.param({"other_sync": "est-2"}, NOON, "sync est-2 has stored with other settings", id="other-sync"),
        pytest.param({"crossing_sync": "est-2"}, NOON, "sync est-2 was at work while another", id="crossing-sync"),
        pytest.param({"witnesses": ()}, NOON, "no estimate is known that must be", id="no-witnesses"),
        pytest.param({}, None, "does not say what time it is", id="no-clock"),
        pytest.param({}, NOON - timedelta(minutes=6), None, id="clocks-differ"),
        pytest.param({}, NOON - timedelta(minutes=6) - SECOND, "has been set back", id="set-back"),
    ],
)
def test_it_is_said_why_everything_must_be_read(changes: dict[str, Any], clock: datetime, why: str | None) -> None:
    found = find_whole_reason(msgspec.structs.replace(EARLIER, **changes), clock=clock)

    assert (found is None) if why is None else (found and why in found)


def test_without_an_earlier_sync_everything_must_be_read() -> None:
    assert (
        find_whole_reason(None, clock=NOON) == "no sync of the last two weeks has read these days from the first one on"
    )


def test_what_decides_what_is_stored_is_told_apart() -> None:
    urls, emails, selects = ("https://a.example", "https://b.example"), ("a@x.example", "b@x.example"), (True, False)

    digests = {
        compute_settings_digest(url=url, email=email, selects_fields=chosen)
        for url, email, chosen in product(urls, emails, selects)
    }

    assert len(digests) == 8


FINE: dict[str, Any] = {
    "complete_as_of": NOON, "is_clock_contradicted": False, "is_numbered": True, "has_old_id": True,
    "invalid": InvalidRecords(max_percent=100),
}  # fmt: skip


def build_invalid(*names: str) -> InvalidRecords:
    invalid = InvalidRecords(max_percent=100)
    problems = tuple(
        PlacedProblem(
            page=1,
            position=1,
            problem=RecordProblem(record_id=name, has_id=True, field="final_price", problem="is no number"),
        )
        for name in names
    )
    page = FetchedPage(
        page=1, limit=100, total_pages=1, has_more=False, size_bytes=1, seconds=0.1, rows=Rows(), problems=problems,
        first=None, last=None,
    )  # fmt: skip
    invalid.add(page)
    return invalid


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"complete_as_of": None}, "it is not known up to when it is complete", id="no-clock"),
        pytest.param({"is_clock_contradicted": True}, "contradicted Attic Tech's clock", id="wrong-clock"),
        pytest.param({"is_numbered": False}, "the ids were no numbers", id="texts"),
        pytest.param({"has_old_id": False}, "no estimate is known to have been created", id="no-old-id"),
        pytest.param({"invalid": build_invalid("7", "9")}, None, id="a-few-broken"),
        pytest.param({"invalid": build_invalid("7", "seven")}, "2 broken estimates would have to be", id="no-number"),
        pytest.param({"invalid": build_invalid(*map(str, range(51)))}, "51 broken estimates", id="many-broken"),
    ],
)
def test_what_speaks_against_a_base_is_said_when_it_ends(changes: dict[str, Any], why: str | None) -> None:
    found = find_base_obstacle(**FINE | changes)

    assert (found is None) if why is None else (found and why in found)


@pytest.mark.parametrize(
    ("ids", "clock", "highest"),
    [
        pytest.param([(9, NOON - OVERLAP), (8, NOON - OVERLAP - SECOND), (7, NOON - DAY)], NOON, 8, id="young-ones"),
        pytest.param([(9, None), (8, NOON)], NOON, None, id="none-is-old"),
        pytest.param([(9, NOON - DAY)], None, None, id="no-clock"),
    ],
)
def test_only_ids_that_are_old_enough_bound_those_to_come(
    ids: list[tuple[int, datetime | None]], clock: datetime | None, highest: int | None
) -> None:
    assert find_highest_old_id(ids, clock=clock) == highest


def test_an_imported_estimate_says_nothing_about_the_ids_that_are_to_come() -> None:
    ids = [(9, NOON - 2 * DAY), (8, NOON - timedelta(hours=1)), (7, NOON - timedelta(hours=2))]

    assert find_highest_old_id(ids, clock=NOON, since=NOON - DAY) == 8


@pytest.mark.parametrize(
    ("before", "hidden", "partial", "is_shown", "words"),
    [
        pytest.param((), ("crew_notes",), (), False, "shows crew_notes", id="or-hidden"),
        pytest.param(("crew_notes",), ("crew_notes",), (), False, None, id="hidden-as-before"),
        pytest.param(("crew_notes",), (), (), True, "shows crew_notes", id="shown-now"),
        pytest.param((), (), (1, 7), False, None, id="others-in-part"),
        pytest.param((), (), (1, 500), False, "estimate 500 in full", id="a-witness-in-part"),
    ],
)
def test_few_records_decide_nothing_about_what_is_shown(
    before: tuple[str, ...],
    hidden: tuple[str, ...],
    partial: tuple[int, ...],
    is_shown: bool,  # noqa: FBT001 - a column
    words: str | None,
) -> None:
    earlier = msgspec.structs.replace(EARLIER, hidden=before)
    evidence = frozenset(PATHS["crew_notes"] if is_shown else ())

    doubt = find_doubt(
        earlier, hidden=hidden, evidence=evidence, partial=frozenset(partial), complete=frozenset({7, 30})
    )

    assert (doubt is None) if words is None else (doubt and words in doubt)


@pytest.mark.parametrize("again", [3, MAX_PARTIAL])
def test_one_of_too_many_that_is_shown_in_full_again_has_all_read(again: int) -> None:
    earlier = msgspec.structs.replace(EARLIER, ask_again=tuple(range(1, again + 1)))

    doubt = find_doubt(earlier, hidden=(), evidence=frozenset(), partial=frozenset({1}), complete=frozenset({2, 3}))

    assert doubt == ("Attic Tech shows estimate 2 in full again" if again == MAX_PARTIAL else None)


VALUES = (
    *(None, "", "  ", " a\u0000b ", "12.345", "1,234.50", "-0.005", 12.345, 7, True, [], ["x"], {"name": "N"}),
    *({"relationTo": "clients", "value": {"name": "N", "fullName": "F"}}, "2025-09-01", "2025-09-01T08:00:00+02:00"),
    *({"fullName": "F", "email": "e", "phone": 5}, {"firstName": "A", "lastName": "B", "phoneNumber": "6"}),
    *({"address": "1 Elm St", "client": {"fullName": "O"}}, {"final_price_after_taxes": "3.999"}, 17),
)
FIELDS = (
    *("name", "status", "createdAt", "updatedAt", "true_cost", "retail_cost", "final_price"),
    *("sub_services_retail_cost", "discount_provided", "labor_hours", "crew_notes", "payment_method", "tax_details"),
    *("branch", "user", "client", "property"),
)
FULL = {
    "id": 4200, "name": "N", "status": "sent", "createdAt": "2025-09-01T08:00:00.000Z",
    "updatedAt": "2025-10-16T14:09:00.123Z", "branch": {"id": 1, "name": "B"}, "user": {"id": 2, "name": "U"},
    "client": {"id": 3, "fullName": "C"}, "property": {"id": 4, "address": "A", "client": {"id": 5, "fullName": "O"}},
}  # fmt: skip
DIGESTS = {1: "1cc6419dc01904d5bb0bc44ce5594a55f74c24e7944cfa6f41acfbe5086bab70"}
"""Of what the records above become, by the version of the mapping."""


def test_another_mapping_has_another_version() -> None:
    """Estimates that no longer change would keep what the old one made of them."""
    digest = hashlib.sha256()
    for field, value in product(FIELDS, VALUES):
        mapped = map_record(msgspec.Raw(msgspec.json.encode(FULL | {field: value})))
        stored = mapped.field if isinstance(mapped, RecordProblem) else tuple(map(str, mapped))
        digest.update(repr((field, value, stored)).encode())

    assert DIGESTS.get(MAPPING_VERSION) == digest.hexdigest(), (
        "Records become other rows than before: raise MAPPING_VERSION and add this digest. If what is stored is the "
        "same, and only how a row holds it has changed, correct the digest."
    )
