"""What a person who is signed in finds on the pages, beyond the words of each."""

import json
import re
from typing import Any

import msgspec
import pytest
from estimatesync_api.app import Asgi, create_app
from estimatesync_api.settings import parse_settings
from estimatesync_contract.names import START_PATH
from estimatesync_contract.spec import CallbackSpec
from estimatesync_contract.status import (
    CallbackState,
    CallbackStatus,
    EstimateSyncStatus,
    Phase,
    QueuePlace,
    build_progress,
)
from falcon.testing import TestClient

KEY = "made-up-key-of-make"
FORM = {"content-type": "application/x-www-form-urlencoded"}
RUNNING = EstimateSyncStatus(phase=Phase.RUNNING, progress=build_progress(page=8, total_pages=17, fetched=800))


@pytest.fixture
def cookie(app: Asgi) -> str:
    answer = TestClient(app).simulate_post("/page/sign-in", body=f"key={KEY}", headers=FORM)
    return f"estimatesync={answer.cookies['estimatesync'].value}"


@pytest.fixture
def person(app: Asgi, cookie: str) -> TestClient:
    """A person who is signed in."""
    return TestClient(app, headers={"cookie": cookie})


def test_an_empty_list_says_how_to_start_here_in_a_terminal_and_in_make(person: TestClient) -> None:
    page = person.simulate_get("/", host="sync.example:8443", protocol="https", headers={"X-Forwarded-Proto": "https"})
    plain = person.simulate_get("/", host="localhost", port=8080).text

    main = plain.partition("<main")[2]
    assert page.status_code == 303, "over https the cookie has another name"
    assert "There are no syncs yet" in main
    assert 'href="/page/start"' in main
    assert 'href="/page/connect"' in main
    assert f'curl -X POST -H "X-API-KEY: $API_KEY" http://localhost:8080{START_PATH}' in main


def test_a_waiting_sync_links_to_what_runs_until_that_has_ended(person: TestClient, store: Any, make_sync: Any) -> None:
    queue = QueuePlace(position=1, ahead=("est-1",))
    store.syncs["est-1"] = make_sync("est-1", RUNNING)
    store.syncs["est-2"] = make_sync("est-2", EstimateSyncStatus(phase=Phase.QUEUED, queue=queue))

    before = person.simulate_get("/page/syncs/est-2").text
    store.syncs["est-1"] = make_sync("est-1", EstimateSyncStatus(phase=Phase.SUCCEEDED))
    after = person.simulate_get("/page/syncs/est-2").text

    assert '<a href="/page/syncs/est-1">Since 45 days ago</a>, page 8 of 17' in before
    assert "est-1" not in after
    assert "The sync has not begun, so there is no log yet." in before


def test_what_was_said_after_a_form_is_gone_once_the_sync_has_ended(
    person: TestClient, store: Any, make_sync: Any
) -> None:
    store.syncs["est-1"] = make_sync("est-1", RUNNING)
    address, said = "/page/syncs/est-1?flash=started", "The sync is stored, and goes on even if you close this page."

    before = person.simulate_get(address, headers={"X-Page-Part": "live"}).text
    store.syncs["est-1"] = make_sync("est-1", EstimateSyncStatus(phase=Phase.SUCCEEDED))
    after = person.simulate_get(address, headers={"X-Page-Part": "live"}).text

    assert (said in before, said in after) == (True, False)


@pytest.mark.parametrize("state", CallbackState)
def test_what_is_sent_again_is_announced_until_all_of_it_is_delivered(
    person: TestClient, store: Any, make_sync: Any, state: CallbackState
) -> None:
    store.syncs["est-1"] = make_sync(
        "est-1", EstimateSyncStatus(phase=Phase.SUCCEEDED, callback=CallbackStatus(state=state))
    )

    shown = person.simulate_get("/?flash=redelivered_all", headers={"X-Page-Part": "live"}).text

    is_open = state in {CallbackState.PENDING, CallbackState.RETRYING, CallbackState.FAILED}
    assert ("What was not delivered will be sent again, with the same ids." in shown) == is_open


def test_a_callback_that_was_given_up_is_told_once_with_the_button(
    person: TestClient, store: Any, make_sync: Any
) -> None:
    callback = CallbackStatus(state=CallbackState.FAILED, attempts=3, last_error="HTTP 410: gone", last_status_code=410)
    status = EstimateSyncStatus(phase=Phase.SUCCEEDED, callback=callback)
    sync = make_sync("est-1", status)
    store.syncs["est-1"] = msgspec.structs.replace(
        sync, spec=msgspec.structs.replace(sync.spec, callback=CallbackSpec(enabled=True))
    )

    home = person.simulate_get("/").text
    page = person.simulate_get("/page/syncs/est-1").text

    assert home.count("not delivered; Make.com does not know") == 1
    assert "The callback of 1 sync" not in home
    assert home.count('action="/page/redeliver"') == 1
    assert page.count("Make.com does not know how this sync ended.") == 1
    assert page.count('href="/page/syncs/est-1/redeliver"') == 1
    assert page.index("Make.com does not know") < page.index('id="state"')


def test_days_can_be_synced_again_however_the_sync_ended(person: TestClient, store: Any, make_sync: Any) -> None:
    shown = {}
    for phase in Phase:
        sync = make_sync("est-1", EstimateSyncStatus(phase=phase))
        store.syncs["est-1"] = msgspec.structs.replace(sync, spec=msgspec.structs.replace(sync.spec, date_range=None))
        without = person.simulate_get("/page/syncs/est-1").text
        days = json.loads('{"start": "2025-09-01", "end": "2025-10-16"}')
        status = msgspec.convert({"phase": phase, "dateRange": days}, EstimateSyncStatus)
        store.syncs["est-1"] = make_sync("est-1", status)
        shown[phase] = "/page/start?from=2025-09-01&amp;to=2025-10-16" in person.simulate_get("/page/syncs/est-1").text
        assert "/page/start?from=" not in without

    assert shown == {phase: phase.is_final for phase in Phase}


def test_the_id_of_a_sync_is_in_sight_and_can_be_copied(person: TestClient, store: Any, make_sync: Any) -> None:
    store.syncs["est-1"] = make_sync("est-1", RUNNING)

    page = person.simulate_get("/page/syncs/est-1").text

    assert '<code id="sync-id">est-1</code>' in page
    assert re.search(r'<button type="button"[^>]* data-copy="sync-id"[^>]* hidden>', page), "shown by the script"


@pytest.mark.parametrize(
    ("zone", "clock", "whose"),
    [
        pytest.param("Europe/Madrid", "04:29:00", "your browser", id="the browser's"),
        pytest.param("Mars/Olympus", "22:29:00", "the server", id="none that there is"),
        pytest.param(None, "22:29:00", "the server", id="without the script"),
    ],
)
def test_times_are_the_readers_and_the_first_one_names_its_zone(
    *, app: Asgi, cookie: str, store: Any, make_sync: Any, zone: str | None, clock: str, whose: str
) -> None:
    created = msgspec.convert("2025-10-17T02:29:00Z", Any)
    sync = make_sync("est-1", RUNNING)
    metadata = msgspec.convert(
        {**msgspec.to_builtins(sync.metadata), "creationTimestamp": created}, type(sync.metadata)
    )
    store.syncs["est-1"] = msgspec.structs.replace(sync, metadata=metadata)
    cookies = f"{cookie}; estimatesync-zone={zone}" if zone else cookie
    name = "America/New_York" if whose == "the server" else zone

    pages = [
        TestClient(app, headers={"cookie": cookies}).simulate_get(path).text for path in ("/", "/page/syncs/est-1")
    ]

    for page in pages:
        assert f'<html lang="en" data-zone="{name}">' in page
        assert page.count(f"({name})") == 1
        assert re.search(rf'<time datetime="2025-10-17T02:29:00.000Z"[^>]*>{clock}</time> <span class="zone">', page)
        assert f"Times are in {name}, the time zone of {whose}." in page


def test_the_files_for_make_hold_the_public_address_where_it_is_said(store: Any) -> None:
    settings = parse_settings({"API_KEYS": f"make:{KEY}", "PUBLIC_URL": "https://sync.acme.test"})
    app = create_app(settings, store)
    answer = TestClient(app).simulate_post("/page/sign-in", body=f"key={KEY}", headers=FORM)
    person = TestClient(app, headers={"cookie": f"estimatesync={answer.cookies['estimatesync'].value}"})

    page = person.simulate_get("/page/connect", host="localhost", port=8080).text
    file = person.simulate_get("/page/connect/trigger.blueprint.json", host="localhost", port=8080)
    home = person.simulate_get("/", host="localhost", port=8080).text

    assert "https://sync.acme.test" in page
    assert "PUBLIC_URL" not in page, "there is nothing to warn of"
    assert file.json["flow"][1]["mapper"]["url"] == f"https://sync.acme.test{START_PATH}"
    assert f"https://sync.acme.test{START_PATH}" in home


def test_the_files_for_make_hold_the_address_that_was_asked_and_no_key(
    app: Asgi, person: TestClient, cookie: str
) -> None:
    spanish = TestClient(app, headers={"cookie": cookie, "accept-language": "es"})

    page = person.simulate_get("/page/connect", host="localhost", port=8080).text
    names = re.findall(r'href="/page/connect/([^"]+)"', spanish.simulate_get("/page/connect").text)
    file = person.simulate_get("/page/connect/trigger.blueprint.json", host="localhost", port=8080)

    assert "http://localhost:8080" in page
    assert "Make.com cannot reach this address" in page
    assert names[:2] == ["trigger.blueprint.json", "callback.es.blueprint.json"]
    assert file.headers["content-disposition"] == 'attachment; filename="trigger.blueprint.json"'
    assert file.json["flow"][1]["mapper"]["url"] == f"http://localhost:8080{START_PATH}"
    assert KEY not in file.text
    assert person.simulate_get("/page/connect/README.md").status_code == 404
    assert TestClient(app).simulate_get("/page/connect/trigger.blueprint.json").status_code == 303
