"""The sample Attic Tech answers as a real Payload does: one table of exchanges, sent to both.

The sample holds the very documents that Payload shows. It follows Payload 3; the last Payload 2 is sent the same
exchanges but for those that are marked, where the two differ. Where the sample is stricter than either, it is on
purpose, so that a client's mistake shows, and stands in a table of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from estimatesync_job.core.queries import FIELDS_QUERY
from estimatesync_payload.client import PayloadClient
from estimatesync_payload.content import ESTIMATES
from estimatesync_payload.installation import Version
from estimatesync_payload.server import RunningPayload, User
from sample_attic_tech import SampleConfig, running_sample

SAMPLE = SampleConfig()
WORKER = User(email="worker@attic-tech.example", password="made-up-password", name="Worker")
LISTING = f"/api/{ESTIMATES}"
LOGIN = "/api/users/login"
JSON = {"Content-Type": "application/json"}
RIGHT = b'{"email":"sync@attic-tech.example","password":"made-up-password"}'


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A real Payload and the sample; each with its own token."""

    served: RunningPayload
    real: httpx.Client
    sample: httpx.Client
    tokens: dict[str, str] = field(repr=False)

    def send(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> tuple[httpx.Response, httpx.Response]:
        """Send the same to both; `TOKEN` in a header is each one's own."""
        real, sample = (
            _without_cookies(client).request(
                method,
                path,
                content=body,
                headers={name: text.replace("TOKEN", token) for name, text in (headers or {}).items()},
            )
            for client, token in ((self.real, self.tokens["real"]), (self.sample, self.tokens["sample"]))
        )
        return real, sample

    def list(self, query_string: str) -> tuple[httpx.Response, httpx.Response]:
        return self.send("GET", f"{LISTING}?{query_string}", headers={"Authorization": "Bearer TOKEN"})


def _without_cookies(client: httpx.Client) -> httpx.Client:
    """Payload sets its token as a cookie, too, and would take it for the header's."""
    client.cookies.clear()
    return client


@pytest.fixture(scope="module", params=["payload", "payload_2"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    served: RunningPayload = request.getfixturevalue(request.param)
    with PayloadClient(served, User(email=SAMPLE.email, password=SAMPLE.password, name="Sync")) as reader:
        documents = reader.read_all(ESTIMATES, depth=2)
    with (
        running_sample(SampleConfig(records=documents)) as sample,
        httpx.Client(base_url=served.url, timeout=30) as real_client,
        httpx.Client(base_url=sample.url, timeout=30) as sample_client,
    ):
        clients = {"real": real_client, "sample": sample_client}
        tokens = {
            name: client.post(LOGIN, content=RIGHT, headers=JSON).json()["token"] for name, client in clients.items()
        }
        yield Pair(served=served, real=real_client, sample=sample_client, tokens=tokens)


LISTINGS = (
    "limit=7",
    "limit=7&page=2",
    "limit=7&page=999",
    "limit=0",
    "limit=1",
    "limit=1000",
    "limit=1000&page=2",
    "limit=7&page=0",
    "limit=7&page=-1",
    "limit=2.5",
    "depth=0",
    "depth=1",
    "depth=2",
    "depth=9",
    "depth=-1",
    "sort=id",
    "sort=-id",
    "sort=-id&page=3",
    "sort=-updatedAt&where[id][less_than]=2",
    "sort=nosuch",
    "sort=",
    "sort=-id&where[id][equals]=20",
    "sort=-id&where[id][not_equals]=20",
    "sort=-id&where[id][in]=20,21,22",
    "sort=-id&where[id][in][0]=20&where[id][in][1]=21",
    "sort=-id&where[id][in][]=20&where[id][in][]=21",
    "sort=-id&where[id][not_in]=20,21",
    "sort=-id&where[id][less_than]=20",
    "sort=-id&where[id][less_than_equal]=20",
    "sort=-id&where[id][greater_than]=20",
    "sort=-id&where[id][greater_than_equal]=20",
    "sort=-id&where[id][less_than]=20&where[id][greater_than]=10",
    "sort=-id&where[id][less_than]=99999999999",
    "sort=-id&where[id][equals]=1.5",
    "sort=-id&where[updatedAt][greater_than_equal]=2025-10-01",
    (
        "sort=-id&where[updatedAt][greater_than_equal]=2025-10-01T00:00:00.000Z"
        "&where[updatedAt][less_than_equal]=2025-10-05T23:59:59.999Z"
    ),
    "sort=-id&where[updatedAt][less_than]=2025-10-05T00:00:00%2B02:00",
    "sort=-id&where[updatedAt][equals]=",
    "sort=-id&where[updatedAt][equals]=null",
    "sort=-id&where[updatedAt][exists]=true",
    "sort=-id&where[name][equals]=nobody",
    "sort=-id&where[name][exists]=true",
    "sort=-id&where[name][exists]=false",
    "sort=-id&where[name][not_equals]=nobody",
    "sort=-id&where[status][equals]=sent",
    "sort=-id&where[status][not_equals]=sent",
    "sort=-id&where[status][in]=sent,draft",
    "sort=-id&where[status][like]=SENT",
    "sort=-id&where[status][contains]=en",
    "sort=-id&where[final_price][greater_than]=10000",
    "sort=-id&where[final_price][exists]=false",
    "sort=-id&where[branch][equals]=1",
    "sort=-id&where[branch.name][equals]=Sacramento",
    "sort=-id&where[tax_details.final_price_after_taxes][greater_than]=10000",
    "sort=-id&where[or][0][id][equals]=20&where[or][1][status][equals]=sent",
    "sort=-id&where[OR][0][id][equals]=20&where[OR][1][id][equals]=30",
    "sort=-id&where[and][0][id][less_than]=90&where[and][1][status][equals]=sent",
    "sort=-id&where[AND][0][id][less_than]=90&where[AND][1][status][equals]=sent",
    "sort=-id&where[id][less_than]=90&where[or][0][status][equals]=sent&where[or][1][status][equals]=draft",
    (
        "sort=-id&where[or][0][and][0][id][less_than]=90&where[or][0][and][1][status][equals]=sent"
        "&where[or][1][id][equals]=33"
    ),
    # The two requests of the sync program.
    (
        "limit=100&page=1&depth=2&sort=-id&where[updatedAt][greater_than_equal]=2025-09-01T00:00:00.000Z"
        "&where[updatedAt][less_than_equal]=2025-10-16T23:59:59.999Z"
    ),
    (
        "limit=100&page=1&depth=2&sort=-id&where[updatedAt][greater_than_equal]=2025-09-01T00:00:00.000Z"
        "&where[id][less_than]=140&where[or][0][updatedAt][greater_than_equal]=2025-10-10T00:00:00.000Z"
        "&where[or][0][updatedAt][less_than_equal]=2025-10-16T23:59:59.999Z"
        "&where[or][1][updatedAt][greater_than_equal]=2025-10-17T00:00:00.000Z"
        "&where[or][1][createdAt][less_than_equal]=2025-10-16T23:59:59.999Z"
        "&where[or][2][id][less_than]=50&where[or][2][id][greater_than]=40"
        "&where[or][2][updatedAt][less_than_equal]=2025-10-16T23:59:59.999Z"
        "&where[or][3][id][less_than]=9&where[or][3][updatedAt][less_than_equal]=2025-10-16T23:59:59.999Z"
    ),
    "where%5Bid%5D%5Bless_than%5D=20&sort=-id&limit=3",
    "sort=-id&unknown=1&other[deep][er]=2",
    "sort=-id&draft=true&locale=en",
    "sort=-id&populate[nosuch][name]=true",
    "where[nosuch][equals]=1",
    "where[nosuch][equals]=1&where[other][equals]=2",
    "where[or][0][nosuch][equals]=20",
)

LISTINGS_OF_3 = (
    pytest.param("limit=0&page=3", id="2 counts pages where there are none"),
    pytest.param("limit=3&limit=5", id="2 takes a repeated limit for none"),
    pytest.param("limit=7&page=1.5", id="2 takes half a page for a whole one"),
    pytest.param("where[id][nosuch]=1", id="2 ignores unknown operators"),
    pytest.param("sort=-id&where[id][exists]=true", id="2 finds nothing that has an id"),
    pytest.param("sort=-id&where[updatedAt][in]=2025-10-01", id="2 fails"),
    *(
        pytest.param(f"{sort}", id=f"2 does not sort by several fields: {sort}")
        for sort in (
            "sort=-updatedAt,id",
            "sort=-updatedAt,-id",
            "sort=status,-id",
            "sort=-final_price,id",
            "sort=branch.name,id",
            "sort=branch,id",
            "sort=nosuch,id",
            "sort=id&sort=-id",
        )
    ),
    *(
        pytest.param(f"sort=-id&{parameters}", id=f"2 does not know this: {parameters}")
        for parameters in (
            "select[name]=true",
            "select[name]=1",
            "select=name",
            "select[nosuch]=true",
            "select[id]=true",
            "select[updatedAt]=true",
            "select[name]=false",
            "select[name]=true&select[branch]=true",
            "select[name]=true&select[branch]=true&depth=0",
            "select[branch][name]=true",
            "select[tax_details]=true",
            "select[tax_details][final_price_after_taxes]=true",
            "select[tax_details][final_price_after_taxes]=false",
            "populate[branches][name]=true",
            "populate[branches][name]=true&populate[clients][fullName]=true",
            "populate[properties][address]=true",
            "populate[properties][client]=true&populate[clients][email]=true",
            (
                "select[name]=true&select[branch]=true&select[property]=true"
                "&populate[branches][name]=true&populate[properties][client]=true&populate[clients][fullName]=true"
            ),
            urlencode(FIELDS_QUERY),
            "pagination=false",
            "pagination=false&limit=5",
            "pagination=false&limit=5&page=2",
        )
    ),
)


@pytest.mark.parametrize("query_string", LISTINGS)
def test_listings_agree(pair: Pair, query_string: str) -> None:
    real, sample = pair.list(query_string)

    assert (sample.status_code, sample.json()) == (real.status_code, real.json())


@pytest.mark.parametrize("query_string", LISTINGS_OF_3)
def test_listings_agree_with_payload_3(pair: Pair, query_string: str) -> None:
    real, sample = pair.list(query_string)

    agree = (sample.status_code, sample.json()) == (real.status_code, real.json())
    assert agree is (pair.served.version is Version.NEWEST)


@pytest.mark.parametrize(
    ("query_string", "lenient_status"),
    [
        pytest.param("limit=-1", 200, id="a negative limit"),
        pytest.param("limit=many", 200, id="a limit that is no number"),
        pytest.param("limit=", 200, id="an empty limit"),
        pytest.param("page=x", 200, id="a page that is no number"),
        pytest.param("depth=x", 200, id="a depth that is no number"),
        pytest.param("where=5", 200, id="conditions without a field"),
        pytest.param("where[id][equals]=x", 200, id="an id that is no number"),
        pytest.param("where[id][equals]=", 200, id="an empty id"),
        pytest.param("where[updatedAt][greater_than]=soon", 200, id="an unreadable date"),
        pytest.param("where[status][equals]=sent&where[status][equals]=draft", 200, id="two values"),
    ],
)
def test_the_sample_refuses_what_payload_would_misunderstand(
    pair: Pair, query_string: str, lenient_status: int
) -> None:
    real, sample = pair.list(query_string)

    assert real.status_code == lenient_status
    assert sample.status_code in {400, 500}


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        pytest.param("GET", LISTING, {}, id="no token"),
        pytest.param("GET", LISTING, {"Authorization": "Bearer not-a-token"}, id="nonsense"),
        pytest.param("GET", LISTING, {"Authorization": "Basic c3luYzpwdw=="}, id="another scheme"),
        pytest.param("GET", LISTING, {"Authorization": "bearer TOKEN"}, id="the scheme in small letters"),
        pytest.param("GET", LISTING, {"Authorization": "TOKEN"}, id="no scheme"),
        pytest.param("GET", f"{LISTING}?limit=3", {"Authorization": "JWT TOKEN"}, id="Payload's own scheme"),
        pytest.param("GET", f"{LISTING}/", {"Authorization": "Bearer TOKEN"}, id="a slash at the end"),
        pytest.param("GET", f"{LISTING}?where[nosuch][equals]=1", {}, id="no token comes before the query"),
    ],
)
def test_access_agrees(pair: Pair, method: str, path: str, headers: dict[str, str]) -> None:
    real, sample = pair.send(method, path, headers=headers)

    assert (sample.status_code, sample.json()) == (real.status_code, real.json())


@pytest.mark.parametrize("path", ["/api/nothing", "/", "/api"])
def test_unknown_paths_agree(pair: Pair, path: str) -> None:
    real, sample = pair.send("GET", path)

    assert sample.status_code == real.status_code == 404
    # Express answers them for Payload 2.
    if pair.served.version is Version.NEWEST:
        assert sample.json() == real.json()


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param(JSON, RIGHT, id="right"),
        pytest.param(JSON, RIGHT.replace(b"sync@", b"SYNC@"), id="the email in capitals"),
        pytest.param(JSON, RIGHT.replace(b"sync@", b" sync@"), id="a blank before the email"),
        pytest.param(JSON, RIGHT.replace(b"}", b',"more":1}'), id="an unknown field"),
        pytest.param({"Content-Type": "application/json; charset=utf-8"}, RIGHT, id="with a charset"),
    ],
)
def test_logins_agree(pair: Pair, headers: dict[str, str], body: bytes) -> None:
    real, sample = pair.send("POST", LOGIN, headers=headers, body=body)

    assert sample.status_code == real.status_code == 200
    there, here = real.json(), sample.json()
    assert here.keys() == there.keys() == {"message", "exp", "token", "user"}
    assert [here["user"][name] for name in ("id", "email")] == [there["user"][name] for name in ("id", "email")]
    assert abs(here["exp"] - there["exp"]) < 30
    assert here["token"].count(".") == there["token"].count(".") == 2
    if pair.served.version is Version.NEWEST:
        assert here["message"] == there["message"]
        assert here["user"].keys() == there["user"].keys()
        assert here["user"]["sessions"][0].keys() == there["user"]["sessions"][0].keys()


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param(JSON, b'{"email":"who@attic-tech.example","password":"made-up-password"}', id="unknown email"),
        pytest.param(JSON, b'{"email":"sync@attic-tech.example","password":"no"}', id="wrong password"),
        pytest.param(JSON, RIGHT[:30], id="cut short"),
        pytest.param(JSON, b'{"email":"a@b.example"}', id="no password"),
        pytest.param(JSON, b'{"email":"a@b.example","password":null}', id="null password"),
        pytest.param(JSON, b'{"email":"a@b.example","password":5}', id="a number for a password"),
        pytest.param(JSON, b'{"password":"x"}', id="no email"),
        pytest.param(JSON, b"[]", id="not an object"),
        pytest.param(JSON, b"", id="empty"),
        pytest.param({}, RIGHT, id="not called JSON"),
        pytest.param({"Content-Type": "text/plain"}, RIGHT, id="called text"),
    ],
)
def test_refused_logins_agree(pair: Pair, headers: dict[str, str], body: bytes) -> None:
    real, sample = pair.send("POST", LOGIN, headers=headers, body=body)

    assert sample.status_code == real.status_code
    if pair.served.version is Version.NEWEST:
        assert sample.json() == real.json()
    else:
        assert simplify(sample.json()) == simplify(real.json())


def simplify(body: Any) -> Any:
    """What both versions say of an error; 2 passes on the parser's words, and lists fields in another way."""
    (error,) = body["errors"]
    is_about_json = "JSON" in error["message"]
    return "not JSON" if is_about_json else (error.get("name"), error["message"])


def test_locked_accounts_agree(pair: Pair) -> None:
    wrong = RIGHT.replace(b"made-up", b"not-so")
    with PayloadClient(pair.served, WORKER) as worker:
        answers = [pair.send("POST", LOGIN, headers=JSON, body=body) for body in (RIGHT, *[wrong] * 5, RIGHT)]
        worker.unlock(SAMPLE.email)

    # The fifth wrong password is told by Payload 2 that it locks the account, by Payload 3 only the one after it.
    compared = answers[1:] if pair.served.version is Version.NEWEST else answers[-1:]
    assert [(sample.status_code, sample.json()) for _, sample in compared] == [
        (real.status_code, real.json()) for real, _ in compared
    ]
    assert "locked" in answers[-1][0].text
