"""Query strings as Payload reads them: brackets, operators, values, and what it refuses."""

from urllib.parse import quote

import pytest
from sample_attic_tech import Record, query
from sample_attic_tech.listing import parse_find_query
from sample_attic_tech.payload_errors import InternalError, QueryError

RECORDS: list[Record] = [
    {"id": 1, "name": "Añil", "status": "sent", "updatedAt": "2025-10-15T23:59:59.999Z"},
    {"id": 2, "name": None, "status": "draft", "updatedAt": "2025-10-16T00:00:00.000Z"},
    {"id": 3, "status": "sent", "updatedAt": "2025-10-16T00:00:00.001Z"},
    {"id": 4, "name": "Zoë", "status": None, "updatedAt": "2025-10-16T02:00:00.000+02:00"},
]


def find_ids(query_string: str) -> list[int]:
    found = query(RECORDS, where=parse_find_query(query_string).where, sort=("id",))
    return [doc["id"] for doc in found.docs]


@pytest.mark.parametrize(
    ("query_string", "ids"),
    [
        pytest.param("", [1, 2, 3, 4], id="no condition"),
        pytest.param("where[id][equals]=3", [3], id="number equals"),
        pytest.param("where[name][equals]=A%C3%B1il", [1], id="text equals, encoded"),
        pytest.param("where[status][equals]=SENT", [], id="text equals minds case"),
        pytest.param("where[status][not_equals]=sent", [2, 4], id="not equals holds for null"),
        pytest.param("where[id][greater_than]=2", [3, 4], id="greater than"),
        pytest.param("where[id][less_than]=2", [1], id="less than"),
        pytest.param("where[id][in]=1,3", [1, 3], id="in, by commas"),
        pytest.param("where[id][in]=1&where[id][in]=3", [1, 3], id="in, repeated"),
        pytest.param("where[id][in][0]=1&where[id][in][1]=3", [1, 3], id="in, indexed"),
        pytest.param("where[status][in][]=draft", [2], id="in, empty brackets"),
        pytest.param("where[status][in][]=x&where[status][in][]=draft", [2], id="in, empty brackets repeated"),
        pytest.param("where[status][in]=nosuch,%20draft", [2], id="in, blank after comma"),
        pytest.param("where[name][exists]=true", [1, 4], id="exists: null and missing do not"),
        pytest.param("where[name][exists]=false", [2, 3], id="exists not"),
        pytest.param("where[updatedAt][equals]=2025-10-16", [2, 4], id="a date is midnight UTC, instants compare"),
        pytest.param("where[updatedAt][greater_than_equal]=2025-10-16T00:00:00.000Z", [2, 3, 4], id="from, inclusive"),
        pytest.param("where[updatedAt][less_than_equal]=2025-10-16T00:00:00Z", [1, 2, 4], id="to, inclusive"),
        pytest.param("where[updatedAt][less_than]=2025-10-16T02:00:00%2B02:00", [1], id="another offset"),
        pytest.param("where[name][greater_than]=A", [1, 4], id="order never holds for null"),
        pytest.param("where[updatedAt][equals]=null", [], id="null date"),
        pytest.param("where[id][greater_than]=1&where[id][less_than]=4&where[status][exists]=true", [2, 3], id="all"),
        pytest.param("where[or][0][id][equals]=1&where[or][1][id][equals]=4", [1, 4], id="or"),
        pytest.param("where[OR][0][id][equals]=1&where[OR][1][id][equals]=4", [1, 4], id="or, in capitals"),
        pytest.param("where[id][not_in]=1,3", [2, 4], id="not in"),
        pytest.param("where[status][like]=EN", [1, 3], id="like minds no case"),
        pytest.param("where[status][contains]=raf", [2], id="contains"),
        pytest.param("where[and][0][id][in]=1,2&where[and][1][status][equals]=draft", [2], id="and"),
        pytest.param(
            "where[or][0][and][0][id][equals]=2&where[or][0][and][1][status][equals]=sent&where[or][1][id][equals]=3",
            [3],
            id="and within or",
        ),
    ],
)
def test_conditions_select_records(query_string: str, ids: list[int]) -> None:
    plain = find_ids(query_string)
    encoded = find_ids(quote(query_string, safe="=&%"))

    assert plain == ids
    assert encoded == ids


@pytest.mark.parametrize(
    ("query_string", "path"),
    [
        pytest.param("where[nosuch][equals]=1", "nosuch", id="unknown field"),
        pytest.param("where[id][nearly]=1", "id.nearly", id="unknown operator"),
        pytest.param("where[updatedAt][equals]=soon", "updatedAt", id="unreadable date"),
        pytest.param("where[id][in]=1,x", "id", id="unreadable number"),
        pytest.param("where[id]=1", "id", id="no operator"),
        pytest.param("where=1", "where", id="no field"),
        pytest.param("where[id][equals][not]=1&where[id][equals]=1", "where.id.equals", id="value and name"),
        pytest.param("where[id]=1&where[id][equals]=1", "where.id.equals", id="name and value"),
    ],
)
def test_what_cannot_be_queried_is_refused_by_name(query_string: str, path: str) -> None:
    with pytest.raises(QueryError) as refusal:
        parse_find_query(query_string)

    body = refusal.value.to_body()
    message = f"The following path cannot be queried: {path}"
    assert body == {"errors": [{"name": "QueryError", "data": [{"path": path}], "message": message}]}


@pytest.mark.parametrize(
    ("query_string", "expected"),
    [
        pytest.param("", (10, 1, 2, ("-createdAt",)), id="defaults"),
        pytest.param("limit=100&page=3&depth=0&sort=-updatedAt,id", (100, 3, 0, ("-updatedAt", "id")), id="all given"),
        pytest.param("limit=0", (0, 1, 2, ("-createdAt",)), id="limit 0 is kept"),
        pytest.param("page=0", (10, 1, 2, ("-createdAt",)), id="page 0 is page 1"),
        pytest.param("sort=", (10, 1, 2, ("-createdAt",)), id="no sort"),
        pytest.param("sort=nosuch,-id,-nosuch", (10, 1, 2, ("-id",)), id="unknown fields do not sort"),
        pytest.param("sort=nosuch", (10, 1, 2, ("-createdAt",)), id="nothing known to sort by"),
        pytest.param("locale=en&deep[er]=1", (10, 1, 2, ("-createdAt",)), id="unknown is ignored"),
    ],
)
def test_numbers_and_sort_are_read(query_string: str, expected: tuple[object, ...]) -> None:
    find = parse_find_query(query_string)

    assert (find.limit, find.page, find.selection.depth, find.sort) == expected


@pytest.mark.parametrize(
    "query_string",
    [
        pytest.param("limit=-1", id="negative limit"),
        pytest.param("page=-1", id="negative page"),
        pytest.param("limit=2.5", id="half a record"),
        pytest.param("limit=1&limit=2", id="two limits"),
        pytest.param("limit[gt]=3", id="a limit with a name"),
        pytest.param("limit=many", id="a limit that is no number"),
        pytest.param("page=", id="an empty page"),
        pytest.param("depth=x", id="a depth that is no number"),
        pytest.param("where[id][equals]=1.5", id="half an id"),
        pytest.param("where[id][less_than]=2147483648", id="an id of more than four bytes"),
    ],
)
def test_what_the_database_would_refuse_fails_without_a_reason(query_string: str) -> None:
    with pytest.raises(InternalError, match="Something went wrong"):
        parse_find_query(query_string)


def test_all_unknown_fields_are_refused_at_once() -> None:
    with pytest.raises(QueryError) as refusal:
        parse_find_query("where[nosuch][equals]=1&where[or][0][id][equals]=1&where[or][1][other][equals]=1")

    assert refusal.value.to_body()["errors"][0]["data"] == [{"path": "nosuch"}, {"path": "other"}]
    assert str(refusal.value) == "The following paths cannot be queried: nosuch, other"
