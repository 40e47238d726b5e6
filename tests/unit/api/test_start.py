"""POST, in both ways of being answered."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
import pytest
from estimatesync_api.app import create_app
from estimatesync_api.core.problems import ApiError, Problem, SyncRefusedError, build_problem_headers
from estimatesync_api.settings import parse_settings
from estimatesync_api.start import read_body
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.spec import CallbackSpec, DateRange, EstimateSyncSpec, Mode
from estimatesync_contract.status import EstimateSyncStatus, Phase, Results
from falcon.testing import TestClient

URL = "/api/automations/estimates/sync-external"
NAME = "est-20251017-023015007-k3x9q"
DAYS = DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
RUNNING = EstimateSyncStatus(phase=Phase.RUNNING)
SUCCEEDED = EstimateSyncStatus(phase=Phase.SUCCEEDED, results=Results(new_estimates=45, updated_estimates=1564))


@pytest.mark.parametrize("url", [URL, f"{URL}/", "/sync-estimates", f"{URL}?background=true"])
def test_a_stored_sync_is_answered_with_202(client: TestClient, store: Any, url: str) -> None:
    result = client.simulate_post(url)

    assert result.status_code == 202
    assert result.text == (
        '{"success":true,"message":"Background synchronization started. This may take several minutes.",'
        f'"status":"processing","timestamp":"2025-10-17T02:30:15.007Z","sync_id":"{NAME}"}}'
    )
    assert result.headers["location"] == f"/api/automations/estimates/syncs/{NAME}"
    assert int(result.headers["retry-after"]) > 0
    assert list(store.syncs) == [NAME]


@dataclass
class Upload:
    """A request as far as its body is read: what arrives, or how reading it ends."""

    content_length: int | None
    arrived: bytes | type[Exception]

    @property
    def stream(self) -> Any:
        return self

    async def read(self, _most: int) -> bytes:
        if isinstance(self.arrived, bytes):
            return self.arrived
        raise self.arrived

    def get_header(self, _name: str) -> str | None:
        return None


@pytest.mark.parametrize(
    ("upload", "problem"),
    [
        pytest.param(Upload(9, TimeoutError), Problem.BODY_TOO_SLOW, id="too slow"),
        pytest.param(Upload(None, TimeoutError), Problem.BODY_TOO_SLOW, id="too slow, in chunks"),
        pytest.param(Upload(9, b"{"), Problem.BODY_INCOMPLETE, id="cut off"),
        pytest.param(Upload(10**6, b"{"), Problem.BODY_TOO_LARGE, id="too large by its length"),
        pytest.param(Upload(None, bytes(10**6)), Problem.BODY_TOO_LARGE, id="too large, in chunks"),
    ],
)
def test_a_body_that_only_took_too_long_may_be_sent_again(upload: Any, problem: Problem) -> None:
    with pytest.raises(ApiError) as caught:
        asyncio.run(read_body(upload))

    assert caught.value.problem is problem
    assert ("Retry-After" in build_problem_headers(caught.value)) is (problem is Problem.BODY_TOO_SLOW)


@pytest.mark.parametrize("query", ["background=False", "background=no", "backgroud=false"])
def test_a_202_says_what_of_the_query_was_not_understood_and_so_does_the_log(
    client: TestClient, query: str, caplog: pytest.LogCaptureFixture
) -> None:
    result = client.simulate_post(URL, query_string=query)

    assert (result.status_code, list(result.json)[-2:]) == (202, ["sync_id", "warnings"])
    (warning,) = result.json["warnings"]
    assert "was not understood" in warning
    assert f"sync={NAME} {warning}" in caplog.text


def test_the_default_days_end_today_in_the_configured_time_zone(client: TestClient, store: Any) -> None:
    client.simulate_post(URL)

    days = store.syncs[NAME].spec.date_range
    assert (days.start.isoformat(), days.end.isoformat()) == ("2025-09-01", "2025-10-16")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"X-API-KEY": "made-up-key-before"}, id="a key that is being replaced"),
        pytest.param({"x-Api-kEY": " made-up-key-of-make "}, id="another case, with spaces"),
        pytest.param({"X-API-KEY": "made-up-key-of-make", "Content-Type": "text/html"}, id="a wrong content type"),
        pytest.param({"X-API-KEY": "made-up-key-of-make, made-up-key-of-make"}, id="a key twice alike"),
    ],
)
def test_headers_are_taken_as_people_send_them(
    unauthenticated: TestClient, store: Any, headers: dict[str, str]
) -> None:
    result = unauthenticated.simulate_post(URL, headers=headers, body='{"start_date":"2025-10-01"}')

    assert result.status_code == 202
    assert store.syncs[NAME].spec.date_range.start.isoformat() == "2025-10-01"


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        pytest.param({"x-api-key": ""}, "{}", 401, "api_key_missing", id="no key"),
        pytest.param({"x-api-key": "made-up-key-of-mak"}, "{}", 403, "api_key_wrong", id="a wrong key"),
        pytest.param(
            {"x-api-key": "made-up-key-of-make, made-up-key-before"}, "{}", 403, "api_key_wrong", id="two keys"
        ),
        pytest.param({"x-api-key": ","}, "{}", 401, "api_key_missing", id="no key, twice"),
        pytest.param({"Content-Encoding": "br"}, "{}", 415, "content_encoding_unsupported", id="an unknown encoding"),
        pytest.param({"Content-Encoding": "gzip"}, "{}", 400, "invalid_request", id="not packed"),
        pytest.param({"x-api-key": "wrong"}, "{", 403, "api_key_wrong", id="the key comes before the body"),
        pytest.param({}, "{", 400, "invalid_json", id="not JSON"),
        pytest.param({}, '{"startDate":"x"}', 400, "invalid_request", id="not valid"),
        pytest.param({"Idempotency-Key": ""}, "", 400, "invalid_request", id="an empty Idempotency-Key"),
        pytest.param({}, " " * (64 * 1024 + 1), 413, "body_too_large", id="too large"),
    ],
)
def test_bad_input_is_reported_and_nothing_is_stored(
    client: TestClient, store: Any, headers: dict[str, str], body: str, status: int, code: str
) -> None:
    result = client.simulate_post(URL, headers=headers, body=body)

    assert (result.status_code, result.json["success"], result.json["code"]) == (status, False, code)
    assert result.json["message"]
    assert store.syncs == {}


def test_a_401_says_how_to_authenticate(unauthenticated: TestClient) -> None:
    result = unauthenticated.simulate_post(URL)

    assert result.headers["www-authenticate"] == 'ApiKey realm="estimatesync"'
    assert result.json["message"] == "Send your API key in the X-API-KEY header."


def test_a_store_that_is_away_is_503_so_that_make_tries_again(
    client: TestClient, store: Any, unavailable: Exception
) -> None:
    store.create_fault = unavailable

    result = client.simulate_post(URL)

    assert (result.status_code, result.json["code"]) == (503, "unavailable")
    assert int(result.headers["retry-after"]) > 0
    assert "10.0.0.1" not in result.text


def test_a_sync_the_store_refuses_is_422_with_the_cause(client: TestClient, store: Any) -> None:
    store.create_fault = SyncRefusedError("no syncs on Mondays")

    result = client.simulate_post(URL)

    assert (result.status_code, result.json["code"]) == (422, "sync_refused")
    assert result.json["message"] == "The sync was refused: no syncs on Mondays"


def test_a_bug_is_500_without_internals_and_logged_with_them(
    client: TestClient, store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store.create_fault = ZeroDivisionError("internals")

    result = client.simulate_post(URL)

    assert (result.status_code, result.json["code"]) == (500, "internal_error")
    assert "internals" not in result.text
    assert "ZeroDivisionError: internals" in caplog.text
    assert "made-up-key" not in caplog.text


def test_the_same_idempotency_key_names_the_same_sync(client: TestClient, store: Any) -> None:
    first = client.simulate_post(URL, headers={"Idempotency-Key": "run-17"}, body='{"endDate":"2025-10-01"}')

    again = client.simulate_post(URL, headers={"Idempotency-Key": '"run-17"'}, body='{"end_date":"2025-10-01"}')
    other = client.simulate_post(URL, headers={"Idempotency-Key": "run-18"}, body='{"endDate":"2025-10-01"}')

    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 202)
    assert first.json == again.json
    assert first.headers["location"] == again.headers["location"]
    assert list(store.syncs) == [first.json["sync_id"], other.json["sync_id"]]


def test_a_key_names_its_sync_even_where_the_target_is_gone_and_metadata_are_no_longer_taken(
    client: TestClient, store: Any
) -> None:
    """Make.com repeats what timed out: a 400 would say that nothing runs."""
    environment = {"API_KEYS": "make:made-up-key-of-make", "CALLBACK_TARGET_NAMES": "billing", "SYNC_METADATA": "true"}
    before = TestClient(create_app(parse_settings(environment), store), headers={"x-api-key": "made-up-key-of-make"})
    headers, body = {"Idempotency-Key": "run-17"}, '{"callback":"billing","metadata":{"order":4711}}'
    first = before.simulate_post(URL, headers=headers, body=body)

    again = client.simulate_post(URL, headers=headers, body=body)
    other = client.simulate_post(URL, headers=headers, body=body.replace("4711", "4712"))
    fresh = client.simulate_post(URL, headers={"Idempotency-Key": "run-18"}, body=body)

    assert (again.status_code, again.json["sync_id"]) == (202, first.json["sync_id"])
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert (fresh.status_code, fresh.json["code"]) == (400, "invalid_request")
    assert len(store.syncs) == 1


def test_the_key_of_a_sync_that_only_stays_as_the_last_success_names_a_new_one(client: TestClient, store: Any) -> None:
    def post() -> str:
        answer = client.simulate_post(URL, headers={"Idempotency-Key": "nightly"})
        assert answer.status_code == 202
        return str(answer.json["sync_id"])

    first = post()
    assert post() == first
    retained = msgspec.structs.replace(SUCCEEDED, retained=True)
    store.syncs[first] = msgspec.structs.replace(store.syncs[first], status=retained)

    second = post()

    assert second != first
    assert post() == second
    assert list(store.syncs) == [first, second]

    # A newer one has succeeded, so the first has gone: its name is free, and the second is still the key's sync.
    gone = store.syncs.pop(first)
    assert post() == second

    store.syncs[second] = msgspec.structs.replace(store.syncs[second], status=retained)
    assert post() == post() == first

    store.syncs[first] = gone
    answer = client.simulate_post(URL, headers={"Idempotency-Key": "nightly"})
    assert (answer.status_code, list(store.syncs)) == (503, [second, first])


def test_a_key_without_dates_still_names_its_sync_when_the_default_days_have_moved_on(
    client: TestClient, store: Any, make_sync: Callable[..., EstimateSync]
) -> None:
    sync_id = client.simulate_post(URL, headers={"Idempotency-Key": "run-17"}).json["sync_id"]
    yesterday = store.syncs[sync_id]
    store.syncs[sync_id] = EstimateSync(metadata=yesterday.metadata, spec=make_sync().spec)

    again = client.simulate_post(URL, headers={"Idempotency-Key": "run-17"})

    assert (again.status_code, again.json["sync_id"]) == (202, sync_id)


def test_a_request_without_a_key_joins_the_sync_that_is_at_work_on_its_days(client: TestClient, store: Any) -> None:
    first = client.simulate_post(URL, body='{"endDate":"2025-10-01"}')
    store.syncs[NAME] = store.syncs.pop(first.json["sync_id"])

    again = client.simulate_post(URL, body='{"startDate":"2025-08-17","endDate":"2025-10-01"}')
    keyed = client.simulate_post(URL, body='{"endDate":"2025-10-01"}', headers={"Idempotency-Key": "run-17"})

    assert (again.status_code, again.json["sync_id"]) == (202, NAME)
    assert again.headers["location"] == f"/api/automations/estimates/syncs/{NAME}"
    assert keyed.json["sync_id"] != NAME
    assert len(store.syncs) == 2


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"status": SUCCEEDED}, id="it has ended"),
        pytest.param({"spec": EstimateSyncSpec(date_range=DAYS, cancel=True)}, id="it is to be cancelled"),
        pytest.param({"spec": EstimateSyncSpec(date_range=DAYS, suspend=True)}, id="it is suspended"),
        pytest.param(
            {"spec": EstimateSyncSpec(date_range=DAYS, callback=CallbackSpec(enabled=False))}, id="without a callback"
        ),
        pytest.param({"spec": EstimateSyncSpec()}, id="it has other days"),
    ],
)
def test_a_request_does_not_join_a_sync_that_would_not_do(
    client: TestClient, store: Any, make_sync: Callable[..., EstimateSync], change: dict[str, Any]
) -> None:
    spec = EstimateSyncSpec(date_range=DAYS)
    store.syncs["est-1"] = msgspec.structs.replace(make_sync("est-1"), **{"spec": spec, **change})

    client.simulate_post(URL)

    assert list(store.syncs) == ["est-1", NAME]


def test_a_request_does_not_join_a_sync_that_has_just_ended_or_gone(
    client: TestClient, store: Any, make_sync: Callable[..., EstimateSync]
) -> None:
    spec = EstimateSyncSpec(date_range=DAYS)
    store.syncs["est-1"] = msgspec.structs.replace(make_sync("est-1"), spec=spec)
    store.fetches = [SUCCEEDED]

    assert client.simulate_post(URL).json["sync_id"] == NAME


def test_a_request_starts_a_sync_when_it_cannot_be_known_whether_one_is_at_work(
    client: TestClient, store: Any, make_sync: Callable[..., EstimateSync], unavailable: Exception
) -> None:
    spec = EstimateSyncSpec(date_range=DAYS)
    store.syncs["est-1"] = msgspec.structs.replace(make_sync("est-1"), spec=spec)
    store.find_fault = unavailable

    assert client.simulate_post(URL).json["sync_id"] == NAME


def test_changes_are_asked_for_and_answered_as_such(client: TestClient, store: Any) -> None:
    whole = client.simulate_post(URL, headers={"Idempotency-Key": "run-17"})
    changes = client.simulate_post(URL, body='{"mode":"changes"}', headers={"Idempotency-Key": "run-18"})

    assert store.syncs[changes.json["sync_id"]].spec.mode is Mode.CHANGES
    assert changes.json["mode"] == "changes"
    assert "mode" not in whole.json


def test_a_request_joins_only_a_sync_of_its_own_mode(client: TestClient, store: Any) -> None:
    bodies = ("", '{"mode":"changes"}', '{"mode":"whole"}', '{"mode":"changes"}')
    names = []
    for number, body in enumerate(bodies):
        names.append(client.simulate_post(URL, body=body).json["sync_id"])
        if names[-1] == NAME:
            names[-1] = f"est-{number}"
            store.syncs[names[-1]] = msgspec.structs.replace(
                store.syncs[NAME], metadata=msgspec.structs.replace(store.syncs.pop(NAME).metadata, name=names[-1])
            )

    assert names == ["est-0", "est-1", "est-0", "est-1"]


def test_an_idempotency_key_used_for_the_other_mode_is_422_and_names_both(client: TestClient) -> None:
    client.simulate_post(URL, headers={"Idempotency-Key": "run-17"}, body='{"endDate":"2025-10-01"}')

    result = client.simulate_post(
        URL, headers={"Idempotency-Key": "run-17"}, body='{"endDate":"2025-10-01","mode":"changes"}'
    )

    assert (result.status_code, result.json["code"]) == (422, "idempotency_key_reused")
    assert "(2025-08-17 to 2025-10-01), and this request asks for something else" in result.json["message"]
    assert "(changes of 2025-08-17 to 2025-10-01)" in result.json["message"]


def test_an_idempotency_key_used_for_other_dates_is_422_and_names_them(client: TestClient, store: Any) -> None:
    client.simulate_post(URL, headers={"Idempotency-Key": "run-17"}, body='{"endDate":"2025-10-01"}')
    (sync_id,) = store.syncs

    result = client.simulate_post(URL, headers={"Idempotency-Key": "run-17"})

    assert (result.status_code, result.json["code"]) == (422, "idempotency_key_reused")
    assert f"was used for sync {sync_id} (2025-08-17 to 2025-10-01)" in result.json["message"]
    assert list(store.syncs) == [sync_id]


def test_a_repeated_request_whose_sync_vanishes_meanwhile_is_503(client: TestClient, store: Any) -> None:
    client.simulate_post(URL, headers={"Idempotency-Key": "run-17"})
    # The second name of the key is looked at first.
    store.fetches = [None, None]

    result = client.simulate_post(URL, headers={"Idempotency-Key": "run-17"})

    assert result.status_code == 503


def test_in_the_foreground_the_answer_is_the_outcome(
    client: TestClient, store: Any, pauses: list[float], unavailable: Exception
) -> None:
    store.fetches = [EstimateSyncStatus(), RUNNING, unavailable, RUNNING, SUCCEEDED]
    store.log = ("first", "last")

    result = client.simulate_post(f"{URL}?background=false")

    assert result.status_code == 200
    assert result.text == (
        '{"success":true,"message":"✅ Background synchronization finished. New: 45, Updated: 1564.",'
        f'"new":45,"updated":1564,"log":["first","last"],"sync_id":"{NAME}"}}'
    )
    assert set(pauses) == {0.25}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        pytest.param(
            EstimateSyncStatus(phase=Phase.FAILED, message="Login to Attic Tech failed: Invalid credentials"),
            "Login to Attic Tech failed: Invalid credentials",
            id="failed",
        ),
        pytest.param(EstimateSyncStatus(phase=Phase.CANCELLED, message="by a person"), "Cancelled", id="cancelled"),
        pytest.param(None, "The sync was deleted before it ended.", id="deleted"),
    ],
)
def test_in_the_foreground_a_sync_that_does_not_succeed_is_500_with_the_cause(
    client: TestClient, store: Any, unavailable: Exception, status: EstimateSyncStatus | None, error: str
) -> None:
    store.fetches = [status]
    store.log_fault = unavailable

    result = client.simulate_post(f"{URL}?background=false")

    assert result.status_code == 500
    assert result.text == (
        f'{{"success":false,"message":"Synchronization failed.","error":"{error}","log":[],"sync_id":"{NAME}"}}'
    )


def test_each_answer_is_one_access_line_with_the_key_by_name(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "estimatesync_api.access")

    client.simulate_post(f"{URL}?token=s3cret")
    client.simulate_get("/no%0Asuch")

    first, second = (each.getMessage() for each in caplog.records if each.name == "estimatesync_api.access")
    assert "s3cret" not in caplog.text
    assert first.startswith(f"POST {URL} -> 202 in ")
    assert first.endswith(f"sync={NAME} key=make")
    assert second.startswith("GET /no\\nsuch -> 404 not_found in ")
    assert "s3cret" not in caplog.text
