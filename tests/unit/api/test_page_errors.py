"""What people read when a page cannot be shown as asked, and what programs never see of it."""

import logging
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from estimatesync_api.app import Asgi
from estimatesync_api.core.problems import StoreUnavailableError
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_contract.status import CallbackState, CallbackStatus, EstimateSyncStatus, Phase
from falcon.testing import TestClient

KEY = "made-up-key-of-make"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def person(app: Asgi) -> TestClient:
    """A person who is signed in."""
    answer = TestClient(app).simulate_post("/page/sign-in", body=f"key={KEY}", headers=FORM)
    return TestClient(app, headers={"cookie": f"estimatesync={answer.cookies['estimatesync'].value}"})


def test_a_store_that_is_away_is_a_page_that_tries_again(
    person: TestClient, store: Any, unavailable: Exception
) -> None:
    store.create_fault = unavailable

    answer = person.simulate_get("/")

    assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert '<meta http-equiv="refresh" content="10">' in answer.text
    assert 'data-seconds="10"' in answer.text
    assert "The syncs cannot be shown right now" in answer.text
    assert "10.0.0.1" not in answer.text


def test_a_log_that_cannot_be_read_hides_nothing_else(
    person: TestClient, store: Any, make_sync: Any, unavailable: Exception
) -> None:
    store.syncs["est-1"] = make_sync()
    store.log_fault = unavailable

    answer = person.simulate_get("/page/syncs/est-1")

    assert answer.status_code == 200
    assert "The log cannot be read right now." in answer.text
    assert "Waiting for its turn" in answer.text


def test_a_defect_of_ours_is_shown_without_its_details(person: TestClient, store: Any) -> None:
    store.fetches = [RuntimeError("a secret of the machine")]

    answer = person.simulate_get("/page/syncs/est-1")

    assert answer.status_code == 500
    assert "Something went wrong on the server" in answer.text
    assert "secret of the machine" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        pytest.param("GET", "/page/sign-in", {"X-Page-Part": "live"}, 200, id="a part of a page without one"),
        pytest.param("GET", "/page/sign-in", {"Host": "["}, 200, id="a host that is none"),
        pytest.param("POST", "/page/sign-in", {"Origin": "http://["}, 403, id="an origin that is none"),
    ],
)
def test_headers_that_no_browser_sends_are_not_a_fault_of_the_service(
    app: Asgi, method: str, path: str, headers: dict[str, str], expected: int
) -> None:
    host = headers.get("Host", "sync.example")

    answer = TestClient(app).simulate_request(method, path, headers={**FORM, **headers}, host=host)

    assert answer.status_code == expected


def test_a_form_that_claims_to_be_a_refresh_is_still_in_the_access_log(
    person: TestClient, store: Any, make_sync: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store.syncs["est-1"] = make_sync()
    found = re.search(r'name="token" value="([^"]+)"', person.simulate_get("/page/syncs/est-1/cancel").text)
    caplog.set_level(logging.INFO, logger="estimatesync_api.access")

    answer = person.simulate_post(
        "/page/syncs/est-1/cancel", body=f"token={found and found[1]}", headers={**FORM, "X-Page-Part": "live"}
    )

    assert answer.status_code == 303
    assert any("POST /page/syncs/est-1/cancel -> 303" in each for each in caplog.messages)


@pytest.mark.parametrize(
    ("key", "line"),
    [
        pytest.param(None, "-> 401 api_key_missing in", id="no key"),
        pytest.param("guess", "-> 403 api_key_wrong in", id="a wrong key"),
    ],
)
def test_the_access_log_says_who_was_refused(
    app: Asgi, key: str | None, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="estimatesync_api.access")

    TestClient(app, headers={"x-api-key": key} if key else None).simulate_get(
        "/api/automations/estimates/syncs", remote_addr="203.0.113.7"
    )

    (message,) = caplog.messages
    assert line in message
    assert message.endswith("sync=- key=- client=203.0.113.7")


def test_the_access_log_keeps_no_address_of_who_was_served(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="estimatesync_api.access")

    client.simulate_get("/api/automations/estimates/syncs", remote_addr="203.0.113.7")

    assert caplog.messages[-1].endswith("sync=- key=make")


def test_a_redelivery_that_cannot_be_is_refused(person: TestClient, store: Any, make_sync: Any) -> None:
    store.syncs["est-1"] = make_sync()

    asked = person.simulate_get("/page/syncs/est-1/redeliver")

    assert asked.status_code == 200
    assert "There is no callback to send" in asked.text
    assert "<form" not in asked.text.partition("<main")[2].partition("</main>")[0]


def test_a_name_that_no_sync_can_have_is_not_asked_for(person: TestClient, store: Any) -> None:
    answer = person.simulate_get("/page/syncs/NOT..A..NAME")

    assert answer.status_code == 404
    assert store.readings == 0


def read_token(text: str) -> str:
    found = re.search(r'action="/page/start".*?name="token" value="([^"]+)"', text, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("fault", ["away", TimeoutError(), ConnectionResetError()], ids=str)
def test_a_form_that_could_not_be_stored_is_kept_and_starts_one_sync_when_it_is_sent_again(
    person: TestClient, store: Any, unavailable: Exception, fault: Any
) -> None:
    token = read_token(person.simulate_get("/page/start").text)
    body = f"token={token}&from=2025-09-03&to=2025-10-05&changes=1"
    store.create_fault = store.find_fault = unavailable if fault == "away" else fault

    refused = person.simulate_post("/page/start", body=body, headers=FORM)
    store.create_fault = store.find_fault = None
    again = [person.simulate_post("/page/start", body=body, headers=FORM) for _ in range(2)]

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
    assert "It is not known whether the sync was started" in refused.text
    assert "with the same days and the same tick, starts it once" in refused.text
    assert read_token(refused.text) == token
    assert all(f'value="{day}"' in refused.text for day in ("2025-09-03", "2025-10-05"))
    assert re.search(r'name="changes" type="checkbox" value="1" checked', refused.text)
    assert "10.0.0.1" not in refused.text
    assert [each.status_code for each in again] == [303, 303]
    assert len(store.syncs) == 1


@pytest.mark.parametrize(
    ("cause", "title"),
    [
        pytest.param(None, "It is not known whether the sync was started", id="unknown"),
        (SpecificCause.API_SERVER_UNREACHABLE, "It is not known whether the sync was started"),
        (SpecificCause.DATABASE_BROKE, "It is not known whether the sync was started"),
        (SpecificCause.DATABASE_UNREACHABLE, "Nothing was started"),
        (SpecificCause.API_SERVER_REFUSES, "Nothing was started"),
    ],
)
def test_nothing_was_started_is_said_only_where_that_is_certain(
    person: TestClient, store: Any, cause: SpecificCause | None, title: str
) -> None:
    token = read_token(person.simulate_get("/page/start").text)
    store.create_fault = StoreUnavailableError(cause=cause)

    refused = person.simulate_post("/page/start", body=f"token={token}", headers=FORM)

    assert f"<strong>{title}</strong>" in refused.text
    assert "with the same days and the same tick" in refused.text


@pytest.mark.parametrize(
    ("days", "language", "said"),
    [
        ("from=2025-10-17&to=", "en", "Enter the last day, too: without one it is today"),
        ("from=2025-10-17&to=", "es", "Escribe también el último día: sin él es hoy"),
        ("from=&to=0001-01-01", "en", "The last day is not between 1970-01-01 and 2999-12-31."),
        ("from=20251001&to=", "es", "Estos días no se pueden sincronizar. Elige otros."),
    ],
)
def test_days_that_the_request_refuses_are_shown_in_the_form(
    person: TestClient, store: Any, days: str, language: str, said: str
) -> None:
    """Today is 16 October where the server is."""
    token = read_token(person.simulate_get("/page/start").text)

    refused = person.simulate_post(
        "/page/start", body=f"token={token}&changes=1&{days}", headers={**FORM, "accept-language": language}
    )

    assert refused.status_code == 400
    assert said in refused.text
    assert all(f'value="{day}"' in refused.text for day in re.findall(r"[\d-]{8,}", days))
    assert re.search(r'name="changes" type="checkbox" value="1" checked', refused.text)
    assert store.syncs == {}


CANCEL = "/page/syncs/est-1/cancel"


def read_form_token(person: TestClient, action: str, page: str = "") -> str:
    text = person.simulate_get(page or action).text
    found = re.search(rf'action="{action}".*?name="token" value="([^"]+)"', text, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("language", "title", "link"),
    [("en", "Nothing was done", "Back to the form"), ("es", "No se hizo nada", "Volver al formulario")],
)
def test_a_form_that_failed_is_not_sent_again_by_itself(
    person: TestClient, store: Any, make_sync: Any, unavailable: Exception, language: str, title: str, link: str
) -> None:
    store.syncs["est-1"] = make_sync()
    token = read_form_token(person, CANCEL)
    store.fetches = [unavailable]

    answer = person.simulate_post(CANCEL, body=f"token={token}", headers={**FORM, "accept-language": language})

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert f"<h1>{title}</h1>" in answer.text
    assert f'href="{CANCEL}">{link}</a>' in answer.text
    assert "http-equiv" not in answer.text
    assert 'data-seconds="0"' in answer.text
    assert " data-form>" in answer.text, "what tells the script that the page must not be loaded again"
    assert " data-form>" not in person.simulate_get(CANCEL).text
    assert not store.syncs["est-1"].spec.cancel


def test_a_form_whose_answer_was_lost_may_have_acted(
    person: TestClient, store: Any, make_sync: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose(_name: str, *, by: str) -> None:
        raise TimeoutError(by)

    store.syncs["est-1"] = make_sync()
    token = read_form_token(person, CANCEL)
    monkeypatch.setattr(store, "request_cancel", lose)

    answer = person.simulate_post(CANCEL, body=f"token={token}", headers=FORM)

    assert "<h1>It is not known whether this was done</h1>" in answer.text
    assert f'href="{CANCEL}"' in answer.text
    assert "Nothing was" not in answer.text


@pytest.mark.parametrize(
    ("language", "title"), [("en", "Nothing was sent again"), ("es", "No se volvió a enviar nada")]
)
def test_callbacks_that_could_not_be_sent_again_lead_back_to_the_list(
    person: TestClient, store: Any, make_sync: Any, unavailable: Exception, language: str, title: str
) -> None:
    given_up = CallbackStatus(state=CallbackState.FAILED, attempts=10)
    store.syncs["est-1"] = make_sync(
        status=EstimateSyncStatus(
            phase=Phase.SUCCEEDED, completion_time=datetime(2025, 10, 17, tzinfo=UTC), callback=given_up
        )
    )
    token = read_form_token(person, "/page/redeliver", "/")
    store.create_fault = unavailable

    answer = person.simulate_post(
        "/page/redeliver", body=f"token={token}", headers={**FORM, "accept-language": language}
    )
    back = person.simulate_get(re.search(r'name="next" value="([^"]+)"', answer.text)[1])  # type: ignore[index]

    assert (answer.status_code, f"<h1>{title}</h1>" in answer.text) == (503, True)
    assert "http-equiv" not in answer.text
    assert (back.status_code, back.headers["location"]) == (303, "/")
    assert store.redeliveries == []


@pytest.mark.parametrize("address", ["/page/redeliver", "/page/sign-out", "/page/language"])
def test_the_address_of_a_form_leads_to_the_list(person: TestClient, address: str) -> None:
    answer = person.simulate_get(address)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize(
    ("method", "path", "language", "title"),
    [
        ("PUT", "/page/start", "en", "There is nothing to see here"),
        ("PUT", "/page/start", "es", "Aquí no hay nada que ver"),
        ("GET", "/page/none", "es", "Aquí no hay nada"),
    ],
)
def test_an_address_that_is_none_is_told_in_the_language_of_the_page(
    person: TestClient, method: str, path: str, language: str, title: str
) -> None:
    answer = person.simulate_request(method, path, headers={"accept-language": language})

    assert f"<h1>{title}</h1>" in answer.text


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        pytest.param(
            SpecificCause.DATABASE_UNREACHABLE, "The database cannot be used now: it cannot be reached.", id="database"
        ),
        pytest.param(SpecificCause.API_SERVER_UNREACHABLE, "The API server does not answer.", id="API server"),
    ],
)
def test_the_page_says_which_part_does_not_answer_before_and_after_a_start(
    person: TestClient, store: Any, cause: SpecificCause, said: str
) -> None:
    token = read_token(person.simulate_get("/page/start").text)
    store.create_fault = store.find_fault = StoreUnavailableError("10.0.0.1", cause=cause)

    answers = [
        person.simulate_get("/"),
        person.simulate_post("/page/start", body=f"token={token}&from=2025-09-03&to=2025-10-05", headers=FORM),
    ]

    assert [said in answer.text for answer in answers] == [True, True]
    assert "10.0.0.1" not in "".join(answer.text for answer in answers)
