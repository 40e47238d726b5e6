"""The sample's endpoints over real sockets: login, tokens, listings, and what Payload answers to anything else."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest
from sample_attic_tech import RunningSample, SampleConfig, build_records, running_sample

FORBIDDEN = {"errors": [{"message": "You are not allowed to perform this action."}]}


class SteppedClock:
    """A clock that moves only when a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2025, 10, 16, 14, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def send_login(client: httpx.Client) -> httpx.Response:
    config = SampleConfig()
    return client.post("/api/users/login", json={"email": config.email, "password": config.password})


def test_login_gives_a_token_that_lists_estimates(client: httpx.Client) -> None:
    login = send_login(client)

    body = login.json()
    assert login.status_code == 200
    assert body["message"] == "Authentication Passed"
    assert (body["user"]["id"], body["user"]["email"]) == (1, "sync@attic-tech.example")
    assert body["exp"] > datetime.now(UTC).timestamp() + 7_000
    for scheme in ("Bearer", "JWT"):
        listing = client.get("/api/job-estimates", headers={"Authorization": f"{scheme} {body['token']}"})
        assert (listing.status_code, len(listing.json()["docs"])) == (200, 10)


def test_email_is_taken_in_any_case_and_between_blanks(client: httpx.Client) -> None:
    config = SampleConfig()

    login = client.post("/api/users/login", json={"email": f" {config.email.upper()} ", "password": config.password})

    assert login.status_code == 200


def test_five_wrong_passwords_lock_the_account_for_ten_minutes() -> None:
    clock = SteppedClock()
    wrong = {"email": SampleConfig().email, "password": "no"}

    with running_sample(SampleConfig(clock=clock)) as sample, httpx.Client(base_url=sample.url) as client:
        refused = [client.post("/api/users/login", json=wrong) for _ in range(5)]
        locked = send_login(client)
        clock.now += timedelta(minutes=10)
        unlocked = send_login(client)

    assert {answer.json()["errors"][0]["message"] for answer in refused} == {
        "The email or password provided is incorrect."
    }
    assert (locked.status_code, locked.json()["errors"][0]["message"]) == (
        401,
        "This user is locked due to having too many failed login attempts.",
    )
    assert unlocked.status_code == 200


def test_a_login_forgets_wrong_passwords(client: httpx.Client) -> None:
    wrong = {"email": SampleConfig().email, "password": "no"}

    for _ in range(2):
        for _ in range(4):
            client.post("/api/users/login", json=wrong)
        assert send_login(client).status_code == 200


@pytest.mark.parametrize(
    ("credentials", "status", "message"),
    [
        pytest.param(
            b'{"email":"sync@attic-tech.example","password":"no"}',
            401,
            "The email or password provided is incorrect.",
            id="wrong password",
        ),
        pytest.param(
            b'{"email":"who@attic-tech.example","password":"made-up-password"}',
            401,
            "The email or password provided is incorrect.",
            id="unknown email",
        ),
        pytest.param(b'{"email":', 400, "Invalid JSON", id="broken JSON"),
        pytest.param(b'{"email":"a@b.example"}', 400, "The following field is invalid: password", id="no password"),
        pytest.param(b"[]", 400, "The following field is invalid: email", id="not an object"),
        pytest.param(b"", 400, "The following field is invalid: email", id="empty"),
    ],
)
def test_bad_logins_are_refused_as_payload_does(
    client: httpx.Client, credentials: bytes, status: int, message: str
) -> None:
    answer = client.post("/api/users/login", content=credentials, headers={"Content-Type": "application/json"})

    assert answer.status_code == status
    assert [error["message"] for error in answer.json()["errors"]] == [message]


def test_login_that_is_not_called_json_counts_as_empty(client: httpx.Client) -> None:
    answer = client.post("/api/users/login", content=b'{"email":"a","password":"b"}')

    assert answer.status_code == 400


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param({}, id="none"),
        pytest.param({b"Authorization": b"Bearer not-a-token"}, id="nonsense"),
        pytest.param({b"Authorization": "Bearer ey.ey.é".encode()}, id="not ASCII"),
        pytest.param({b"Authorization": b"Basic c3luYzpwdw=="}, id="another scheme"),
    ],
)
def test_listing_without_a_valid_token_is_forbidden(client: httpx.Client, authorization: dict[bytes, bytes]) -> None:
    answer = client.get("/api/job-estimates", headers=httpx.Headers(authorization))

    assert (answer.status_code, answer.json()) == (403, FORBIDDEN)


def test_token_expires_after_its_lifetime() -> None:
    clock = SteppedClock()
    config = SampleConfig(clock=clock, token_lifetime=timedelta(minutes=5))

    with running_sample(config) as sample, httpx.Client(base_url=sample.url) as client:
        client.headers["Authorization"] = f"Bearer {send_login(client).json()['token']}"
        statuses = [client.get("/api/job-estimates").status_code]
        for step in (timedelta(minutes=5, seconds=-1), timedelta(seconds=1)):
            clock.now += step
            statuses.append(client.get("/api/job-estimates").status_code)

    assert statuses == [200, 200, 403]


def test_revoked_tokens_are_forbidden_and_a_new_login_helps(sample: RunningSample, logged_in: httpx.Client) -> None:
    sample.revoke_tokens()

    refused = logged_in.get("/api/job-estimates")
    logged_in.headers["Authorization"] = f"Bearer {send_login(logged_in).json()['token']}"
    allowed = logged_in.get("/api/job-estimates")

    assert (refused.status_code, allowed.status_code) == (403, 200)


def test_1609_estimates_are_17_pages_of_which_the_last_has_9(sample: RunningSample, logged_in: httpx.Client) -> None:
    pages = [
        logged_in.get("/api/job-estimates", params={"limit": 100, "page": number, "sort": "updatedAt,id"}).json()
        for number in range(1, 18)
    ]

    docs = [doc for page in pages for doc in page["docs"]]
    assert [len(page["docs"]) for page in pages] == [100] * 16 + [9]
    assert [page["hasNextPage"] for page in pages] == [True] * 16 + [False]
    assert {(page["totalDocs"], page["totalPages"]) for page in pages} == {(1609, 17)}
    assert sorted(docs, key=lambda doc: doc["id"]) == sample.store.read_all()
    assert [doc["updatedAt"] for doc in docs] == sorted(doc["updatedAt"] for doc in docs)


def test_range_and_depth_apply(sample: RunningSample, logged_in: httpx.Client) -> None:
    start, end = "2025-10-01", "2025-10-10"
    expected = [doc["id"] for doc in sample.store.read_all() if start <= doc["updatedAt"] <= end]

    window = {"where[updatedAt][greater_than_equal]": start, "where[updatedAt][less_than_equal]": end}
    listing = logged_in.get("/api/job-estimates", params={**window, "limit": 0, "sort": "id", "depth": 0}).json()

    assert [doc["id"] for doc in listing["docs"]] == expected != []
    assert all(not isinstance(doc.get("client"), dict) for doc in listing["docs"])


def test_what_cannot_be_queried_is_a_400(logged_in: httpx.Client) -> None:
    answer = logged_in.get("/api/job-estimates?where[nosuch][equals]=1")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"] == "The following path cannot be queried: nosuch"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "/api/nothing", id="unknown path"),
        pytest.param("GET", "/", id="root"),
        pytest.param("PUT", "/api/job-estimates", id="known path, other method"),
        pytest.param("PUT", "/api/users/login", id="login by PUT"),
    ],
)
def test_other_routes_are_not_found(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)

    assert (answer.status_code, answer.json()) == (404, {"message": f'Route not found "{path}"'})


def test_answers_are_dated_json(client: httpx.Client) -> None:
    answer = client.get("/api/job-estimates")

    assert answer.headers["Content-Type"] == "application/json"
    assert abs(parsedate_to_datetime(answer.headers["Date"]) - datetime.now(UTC)) < timedelta(seconds=10)


def test_log_shows_what_was_asked_and_hides_secrets(sample: RunningSample, logged_in: httpx.Client) -> None:
    logged_in.get("/api/job-estimates", params={"page": 2, "where[id][equals]": 4200})

    login, listing = sample.requests
    assert (login.method, login.path) == ("POST", "/api/users/login")
    assert listing.parameters == {"page": "2", "where[id][equals]": "4200"}
    assert listing.headers["authorization"].startswith("Bearer ")
    assert "made-up-password" not in repr(login)
    assert "Bearer" not in repr(listing)


def test_ties_may_be_ordered_differently_on_each_request() -> None:
    records = [record | {"status": "sent"} for record in build_records(50, 7, SteppedClock()())]

    config = SampleConfig(records=records, shuffle_ties=True)
    with running_sample(config) as sample, httpx.Client(base_url=sample.url) as client:
        client.headers["Authorization"] = f"Bearer {send_login(client).json()['token']}"
        listings = [client.get("/api/job-estimates?limit=0&sort=status").json()["docs"] for _ in range(2)]
        ordered = client.get("/api/job-estimates?limit=0&sort=status,id").json()["docs"]

    assert listings[0] != listings[1]
    assert sorted(listings[0], key=lambda doc: doc["id"]) == ordered == records


def test_32_connections_are_served_at_once() -> None:
    config = SampleConfig(records=build_records(100, 7, SteppedClock()()), page_delay_seconds=0.3)

    with running_sample(config) as sample, httpx.Client(base_url=sample.url, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {send_login(client).json()['token']}"
        started = datetime.now(UTC)
        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(lambda _: client.get("/api/job-estimates?limit=100"), range(64)))
        took = datetime.now(UTC) - started

    assert {(answer.status_code, len(answer.json()["docs"])) for answer in answers} == {(200, 100)}
    # One after the other, 64 pages would take 19 s.
    assert timedelta(seconds=0.6) <= took < timedelta(seconds=10)
