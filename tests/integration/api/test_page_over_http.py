"""The status page under a real gunicorn, as a browser without scripts meets it."""

import html
import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from estimatesync_api.core.access import ApiKey, compute_digest
from estimatesync_api.status_page.core.session import build_session
from estimatesync_contract.names import START_PATH

KEY = "made-up-key-for-http-tests"
READ_ONLY_KEY = "made-up-key-that-may-only-look"
EVIL = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"
DATA_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
DAYS = {"from": "2025-09-01", "to": "2025-10-16"}
WAIT_SECONDS = 60.0


class Server(Protocol):
    port: int
    syncs: Path
    log: Path

    def stored(self) -> list[str]: ...
    def finish(self, name: str, phase: str = "Succeeded") -> None: ...


@dataclass
class Browser:
    """Keeps cookies, sends forms as they stand on the page, and follows no redirect."""

    port: int
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=WAIT_SECONDS)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers=headers)

    def send(self, path: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        return self.http.post(path, data=fields, headers={"Sec-Fetch-Site": "same-origin", **headers})

    def sign_in(self, key: str = KEY) -> "Browser":
        answer = self.send("/page/sign-in", {"key": key})
        assert answer.status_code == 303, answer.text
        return self

    def read_token(self, page: str, action: str) -> str:
        """The token of the form that is sent to an address."""
        form = re.search(
            rf'action="{re.escape(action)}".*?name="token" value="([^"]+)"', self.get(page).text, re.DOTALL
        )
        assert form is not None, f"{page} has no form for {action}"
        return form[1]

    def start(self, **fields: str) -> httpx.Response:
        token = self.read_token("/page/start", "/page/start")
        return self.send("/page/start", {"token": token, **DAYS, **fields})


@pytest.fixture(scope="module")
def shared_server(serve_module: Callable[..., Any]) -> Any:
    settings = {"READ_ONLY_API_KEYS": f"look:{READ_ONLY_KEY}", "TIME_ZONE": "America/New_York"}
    return serve_module(REQUESTS_PER_MINUTE="0", **settings)


@pytest.fixture
def server(shared_server: Any) -> Iterator[Any]:
    yield shared_server
    shared_server.forget()


@pytest.fixture
def open_browser(server: Server) -> Iterator[Callable[[], Browser]]:
    browsers: list[Browser] = []

    def make() -> Browser:
        browsers.append(Browser(port=server.port))
        return browsers[-1]

    yield make
    for browser in browsers:
        browser.http.close()


@pytest.fixture
def browser(open_browser: Callable[[], Browser]) -> Browser:
    return open_browser().sign_in()


def store(server: Server, name: str, **status: object) -> None:
    sync = {
        "metadata": {"name": name, "uid": "u-1", "creationTimestamp": "2025-10-16T14:09:00Z"},
        "spec": {"dateRange": {"start": "2025-09-01", "end": "2025-10-16"}},
        "status": status,
    }
    (server.syncs / f"{name}.json").write_text(json.dumps(sync))


def test_signing_in_leads_to_the_requested_page(open_browser: Callable[[], Browser]) -> None:
    browser = open_browser()

    sent = browser.get("/page/trends?x=1")
    form = browser.get(sent.headers["location"])
    signed_in = browser.send("/page/sign-in", {"key": f" {KEY}\n", "next": "/page/trends?x=1"})

    assert (sent.status_code, sent.headers["location"]) == (303, "/page/sign-in?next=%2Fpage%2Ftrends%3Fx%3D1")
    assert 'name="next" value="/page/trends?x=1"' in form.text
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/page/trends?x=1")
    assert browser.get("/page/trends").status_code == 200


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(open_browser: Callable[[], Browser]) -> None:
    browser = open_browser()

    plain = browser.send("/page/sign-in", {"key": KEY}).headers["set-cookie"]
    secure = browser.send("/page/sign-in", {"key": KEY}, **{"X-Forwarded-Proto": "https"}).headers["set-cookie"]

    assert re.fullmatch(r"estimatesync=[\w.]+; HttpOnly; Max-Age=28800; Path=/; SameSite=Lax", plain)
    assert re.fullmatch(
        r"__Host-estimatesync=[\w.]+; HttpOnly; Max-Age=28800; Path=/; SameSite=Lax; Secure",
        "; ".join([secure.split("; ")[0], *sorted(secure.split("; ")[1:])]),
    )


def test_pages_have_strict_security_headers(browser: Browser) -> None:
    answers = [browser.get(path) for path in ("/", "/page/start", "/page/trends", "/page/none", "/page/syncs/none")]

    for answer in answers:
        assert {name: answer.headers[name] for name in DATA_HEADERS} == DATA_HEADERS
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "style=" not in answer.text
        assert re.findall(r"<script(?! src=\"/page/assets/page\.[0-9a-f]{12}\.js\" defer></script>)", answer.text) == []
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404, 404]


def test_assets_are_kept_for_good_under_a_name_of_their_content(browser: Browser) -> None:
    (address,) = re.findall(r'<link rel="stylesheet" href="([^"]+)">', browser.get("/").text)

    first = httpx.get(f"http://127.0.0.1:{browser.port}{address}", trust_env=False)
    again = browser.get(address, **{"If-None-Match": first.headers["etag"]})

    assert (first.status_code, again.status_code) == (200, 304)
    assert first.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert first.headers["content-type"] == "text/css; charset=utf-8"
    assert browser.get("/page/assets/page.000000000000.css").status_code == 404


@pytest.mark.parametrize("key", ["", "wrong"])
def test_a_wrong_key_opens_nothing_and_is_not_repeated(
    open_browser: Callable[[], Browser], server: Server, key: str
) -> None:
    browser = open_browser()

    answer = browser.send("/page/sign-in", {"key": key and "made-up-key-that-is-wrong"})

    assert answer.status_code == (403 if key else 401)
    assert "set-cookie" not in answer.headers
    assert "made-up-key-that-is-wrong" not in answer.text + server.log.read_text()
    assert browser.get("/").status_code == 303


def test_guessing_is_slowed_as_it_is_for_the_api(serve_files: Callable[..., Any]) -> None:
    browser = Browser(port=serve_files().port)

    answers = [browser.send("/page/sign-in", {"key": f"made-up-guess-{number:04}"}).status_code for number in range(12)]
    right = browser.send("/page/sign-in", {"key": KEY})
    browser.http.close()

    assert answers == [403] * 10 + [429] * 2
    assert (right.status_code, "retry-after" in right.headers or "Wait" in right.text) == (429, True)


def test_a_session_ends_with_its_time(open_browser: Callable[[], Browser]) -> None:
    browser = open_browser()
    key = ApiKey(name="make", digest=compute_digest(KEY), is_read_only=False)
    past = build_session(key, now=datetime.now(UTC) - timedelta(hours=8, seconds=1), hours=8, nonce="00")
    fresh = build_session(key, now=datetime.now(UTC) - timedelta(hours=7), hours=8, nonce="00")

    answers = [
        browser.http.get("/", headers={"Cookie": f"estimatesync={each.cookie}"}).status_code for each in (past, fresh)
    ]

    assert answers == [303, 200]


def test_a_session_ends_with_its_key(serve_files: Callable[..., Any], tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"here:{KEY}\nother:made-up-key-of-another-client\n")
    server = serve_files(API_KEYS="", API_KEYS_FILE=str(keys))
    browser = Browser(port=server.port).sign_in()
    assert browser.get("/").status_code == 200

    keys.write_text("here:made-up-key-that-came-after\nother:made-up-key-of-another-client\n")

    deadline = time.monotonic() + WAIT_SECONDS
    while (status := browser.get("/").status_code) == 200:
        assert time.monotonic() < deadline, "the session goes on without its key"
        time.sleep(0.1)
    browser.http.close()
    assert status == 303


def test_signing_out_ends_the_session_of_the_browser(browser: Browser) -> None:
    token = browser.read_token("/", "/page/sign-out")

    answer = browser.send("/page/sign-out", {"token": token})

    assert (answer.status_code, answer.headers["location"]) == (303, "/page/sign-in?flash=ended")
    assert browser.get("/").status_code == 303


def test_a_double_click_starts_one_sync(browser: Browser, server: Server) -> None:
    token = browser.read_token("/page/start", "/page/start")

    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda _: browser.send("/page/start", {"token": token, **DAYS}), range(4)))

    assert {answer.status_code for answer in sent} == {303}
    assert len({answer.headers["location"] for answer in sent}) == 1
    assert len(server.stored()) == 1
    page = browser.get(sent[0].headers["location"])
    assert "The sync is stored, and goes on even if you close this page." in page.text


def test_a_tick_asks_only_for_what_has_changed(browser: Browser, server: Server) -> None:
    """It is another request than the same days without it, also of the same form."""
    token = browser.read_token("/page/start", "/page/start")
    whole, changes = ({"token": token, **DAYS}, {"token": token, **DAYS, "changes": "1"})

    sent = [browser.send("/page/start", fields) for fields in (whole, changes, changes)]
    refused = browser.start(changes="1", to="soon")

    assert [answer.status_code for answer in sent] == [303, 303, 303]
    stored = [json.loads((server.syncs / f"{name}.json").read_text()) for name in server.stored()]
    assert sorted(str(sync["spec"].get("mode")) for sync in stored) == ["Changes", "None"]
    assert len({answer.headers["location"] for answer in sent[1:]}) == 1
    assert 'value="1" checked' in refused.text
    assert 'value="1" checked' in browser.get("/page/start?changes=1").text
    assert 'value="1" checked' not in browser.get("/page/start").text


def test_a_sync_that_is_active_on_these_days_is_offered_and_another_one_must_be_confirmed(
    browser: Browser, server: Server
) -> None:
    first = browser.start()

    asked = browser.start()
    insisted = browser.start(again="1")

    assert (first.status_code, asked.status_code, insisted.status_code) == (303, 409, 303)
    assert first.headers["location"].partition("?")[0] in asked.text
    assert len(server.stored()) == 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"from": "yesterday"}, "The first day is not a date like 2025-09-01."),
        ({"to": "2025-02-30"}, "The last day is not a date like 2025-09-01."),
        ({"from": "2025-10-17"}, "The first day is after the last one."),
        ({"from": "1200-01-01"}, "The first day is not between 1970-01-01 and 2999-12-31."),
    ],
)
def test_invalid_days_are_reported_and_kept(
    browser: Browser, server: Server, fields: dict[str, str], said: str
) -> None:
    answer = browser.start(**fields)

    assert answer.status_code == 400
    assert said in answer.text
    assert server.stored() == []


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-Fetch-Site": "cross-site"}, id="another site"),
        pytest.param({"Sec-Fetch-Site": "same-site"}, id="a neighbour"),
        pytest.param({"Sec-Fetch-Site": "", "Origin": "https://evil.example"}, id="older browser"),
        pytest.param({"Sec-Fetch-Site": "", "Origin": "null"}, id="hidden"),
    ],
)
def test_a_form_from_another_site_does_nothing(browser: Browser, server: Server, headers: dict[str, str]) -> None:
    token = browser.read_token("/page/start", "/page/start")

    refused = browser.send("/page/start", {"token": token, **DAYS}, **headers)
    signing_in = browser.send("/page/sign-in", {"key": KEY}, **headers)

    assert (refused.status_code, signing_in.status_code) == (403, 403)
    assert "The form was not accepted" in refused.text
    assert "set-cookie" not in signing_in.headers
    assert server.stored() == []


def test_a_form_without_its_token_does_nothing(
    browser: Browser, server: Server, open_browser: Callable[[], Browser]
) -> None:
    others = open_browser().sign_in().read_token("/page/start", "/page/start")
    sign_out = browser.read_token("/", "/page/sign-out")

    answers = [
        browser.send("/page/start", {**DAYS, **token})
        for token in ({}, {"token": ""}, {"token": others}, {"token": sign_out}, {"token": "ab.cd"})
    ]

    assert {answer.status_code for answer in answers} == {403}
    assert server.stored() == []


@pytest.mark.parametrize("body", [b"\xff\xfe", b"&".join(b"a=%d" % number for number in range(40)), b"token=%ff"])
def test_a_body_that_is_not_a_form_is_refused(browser: Browser, body: bytes) -> None:
    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}

    answer = browser.http.post("/page/start", content=body, headers=headers)

    assert answer.status_code == 403


def test_cancelling_asks_first_and_stops_the_sync(browser: Browser, server: Server) -> None:
    store(server, "est-1", phase="Running", reason="Running", startTime="2025-10-16T14:09:00Z")
    action = "/page/syncs/est-1/cancel"

    token = browser.read_token(action, action)
    still_there = browser.get("/page/syncs/est-1").text
    sent = browser.send(action, {"token": token})
    late = browser.send(action, {"token": token})

    assert "Running" in still_there
    assert sent.headers["location"] == "/page/syncs/est-1?flash=cancelled"
    assert late.headers["location"] == "/page/syncs/est-1?flash=too_late"
    assert "Cancelled. The database is as it was before." in browser.get("/page/syncs/est-1").text


def test_a_callback_is_sent_again_once_for_each_form(browser: Browser, server: Server) -> None:
    store(server, "est-1")
    server.finish("est-1")
    action = "/page/syncs/est-1/redeliver"
    token = browser.read_token(action, action)

    sent = [browser.send(action, {"token": token}).headers["location"] for _ in range(2)]
    first = (server.syncs / "est-1.redeliver").read_text()
    browser.send(action, {"token": browser.read_token(action, action)})

    assert set(sent) == {"/page/syncs/est-1?flash=redelivered"}
    assert first == f"page-{token.partition('.')[0]}"
    assert (server.syncs / "est-1.redeliver").read_text() != first


def test_what_was_not_delivered_is_sent_again_with_one_button(
    browser: Browser, open_browser: Callable[[], Browser], server: Server
) -> None:
    failed, delivered = {"state": "Failed", "target": "crm"}, {"state": "Delivered", "target": "billing"}
    for name, callbacks in (("est-1", [failed]), ("est-2", [delivered, failed]), ("est-3", [delivered])):
        store(server, name, phase="Succeeded", completionTime="2025-10-16T14:15:30Z", callbacks=callbacks)
    action = "/page/redeliver"
    looked = open_browser().sign_in(READ_ONLY_KEY).get("/").text
    token = browser.read_token("/", action)

    sent = browser.send(action, {"token": token})

    assert "2 callbacks were not delivered; Make.com does not know" in looked
    assert action not in looked
    assert sent.headers["location"] == "/?flash=redelivered_all"
    nonce = token.partition(".")[0]
    asked = {file.stem: file.read_text() for file in server.syncs.glob("*.redeliver")}
    assert asked == dict.fromkeys(("est-1", "est-2"), f"page-{nonce}/crm")
    assert "What was not delivered will be sent again, with the same ids." in browser.get(sent.headers["location"]).text


def test_a_read_only_key_sees_everything_and_no_button(
    open_browser: Callable[[], Browser], browser: Browser, server: Server
) -> None:
    store(server, "est-1", phase="Running", startTime="2025-10-16T14:09:00Z")
    read_only = open_browser().sign_in(READ_ONLY_KEY)
    token = browser.read_token("/page/syncs/est-1/cancel", "/page/syncs/est-1/cancel")

    pages = [read_only.get(path).text for path in ("/", "/page/syncs/est-1")]
    asked = [read_only.get(path).status_code for path in ("/page/start", "/page/syncs/est-1/cancel")]
    acted = read_only.send("/page/syncs/est-1/cancel", {"token": token})

    assert all("/page/start" not in page and "/cancel" not in page and "read-only" in page for page in pages)
    assert asked == [403, 403]
    assert acted.status_code == 403
    assert not (server.syncs / "est-1.phase").exists()
    assert read_only.send("/page/sign-out", {"token": read_only.read_token("/", "/page/sign-out")}).status_code == 303


def test_whatever_a_sync_holds_is_shown_as_text(browser: Browser, server: Server) -> None:
    callback = {"state": "Failed", "id": EVIL, "attempts": 3, "lastError": EVIL, "lastStatusCode": 500}
    store(
        server,
        "est-evil",
        phase="Failed",
        reason="InternalError",
        message=EVIL,
        jobName=f"job{EVIL}"[:63],
        podName=EVIL,
        completionTime="2025-10-16T14:10:00Z",
        callback=callback,
    )
    (server.syncs / "est-evil.log").write_text(f"{EVIL}\n\x1b[31m</pre>{EVIL}\n")

    answers = [browser.get(path) for path in ("/", "/page/syncs/est-evil", "/page/trends", f"/?status={EVIL}")]
    pages = [answer.text for answer in answers]
    log = browser.get("/page/syncs/est-evil/log")

    assert {answer.status_code for answer in answers} == {200}
    for page in pages:
        assert "<img src=x" not in page
        assert "<script>" not in page
    assert html.escape(EVIL, quote=False)[:20] in pages[1]
    assert log.headers["content-type"].startswith("text/plain")
    assert log.headers["x-content-type-options"] == "nosniff"


def test_a_made_up_address_is_shown_as_text_or_not_at_all(browser: Browser) -> None:
    page = browser.get("/page/start", **{"Accept-Language": EVIL})
    prefilled = browser.get(f"/page/start?from={EVIL}")

    assert "<img src=x" not in page.text + prefilled.text


def test_the_page_speaks_the_language_of_the_browser_until_another_is_chosen(
    open_browser: Callable[[], Browser],
) -> None:
    browser = open_browser()

    spanish = browser.get("/page/sign-in", **{"Accept-Language": "es-MX"})
    chosen = browser.send("/page/language", {"language": "en", "next": "/page/sign-in?next=%2F"})
    english = browser.get("/page/sign-in", **{"Accept-Language": "es-MX"})

    assert '<html lang="es"' in spanish.text
    assert "Iniciar sesión" in spanish.text
    assert (chosen.status_code, chosen.headers["location"]) == (303, "/page/sign-in?next=%2F")
    assert '<html lang="en"' in english.text


def test_times_are_those_of_the_configured_zone(browser: Browser, server: Server) -> None:
    store(server, "est-1")

    page = browser.get("/").text.replace("\N{NO-BREAK SPACE}", " ")

    assert 'datetime="2025-10-16T14:09:00.000Z" title="16 Oct 2025, 10:09:00 EDT">16 Oct, 10:09</time>' in page


def test_the_last_success_is_told_by_its_end(browser: Browser, server: Server) -> None:
    store(server, "est-1", phase="Succeeded", completionTime="2025-10-16T14:15:30Z")

    page = browser.get("/").text

    assert re.search(r"Last success: <a [^>]*><time datetime=\"2025-10-16T14:15:30.000Z\"", page)


def test_the_part_that_changes_is_sent_once_until_it_changes(browser: Browser, server: Server) -> None:
    part = {"X-Page-Part": "live"}

    first = browser.get("/", **part)
    same = browser.get("/", **part, **{"If-None-Match": first.headers["etag"]})
    store(server, "est-1")
    changed = browser.get("/", **part, **{"If-None-Match": first.headers["etag"]})

    assert first.text.lstrip().startswith('<div id="live"')
    assert "<html" not in first.text
    assert (same.status_code, same.text) == (304, "")
    assert "row-est-1" in changed.text


def test_without_the_script_a_page_refreshes_only_while_a_sync_is_active(browser: Browser, server: Server) -> None:
    store(server, "est-1")
    refresh = '<noscript><meta http-equiv="refresh"'

    before, still = browser.get("/?status=").text, browser.get("/?status=&still=1").text
    server.finish("est-1")
    after = browser.get("/").text

    assert refresh in before
    assert 'href="/?status=&amp;still=1"' in before
    assert refresh not in still
    assert refresh not in after


def test_a_script_without_a_session_gets_a_401(open_browser: Callable[[], Browser]) -> None:
    answer = open_browser().get("/", **{"X-Page-Part": "live"})

    assert answer.status_code == 401


def test_the_log_is_followed_with_the_session(browser: Browser, server: Server) -> None:
    store(server, "est-1")
    log = server.syncs / "est-1.log"
    log.write_text("first\n")

    with browser.http.stream("GET", "/page/syncs/est-1/log?follow=true") as answer:
        lines = answer.iter_lines()
        first = next(lines)
        with log.open("a") as more:
            more.write("second\n")
        second = next(lines)
        server.finish("est-1")
        rest = list(lines)

    assert (first, second, rest) == ("first", "second", [])
    assert httpx.get(f"http://127.0.0.1:{server.port}/page/syncs/est-1/log", trust_env=False).status_code == 303


def test_programs_are_answered_in_json_and_people_in_html(browser: Browser, server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}"

    program = httpx.get(f"{url}{START_PATH}", trust_env=False)
    session_at_api = browser.get("/api/automations/estimates/syncs")
    person = browser.get("/page/syncs/none")
    method = browser.http.put("/page/start", headers={"Sec-Fetch-Site": "same-origin"})

    assert program.headers["content-type"] == "application/json"
    assert (session_at_api.status_code, session_at_api.json()["code"]) == (401, "api_key_missing")
    assert (person.status_code, "There is nothing here" in person.text) == (404, True)
    assert (method.status_code, method.headers["content-type"]) == (405, "text/html; charset=utf-8")


def test_a_key_that_asks_too_often_gets_the_error_in_html(serve_files: Callable[..., Any]) -> None:
    browser = Browser(port=serve_files(REQUESTS_PER_MINUTE="3").port).sign_in()

    answers = [browser.get("/page/trends") for _ in range(4)]
    browser.http.close()

    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert "Too many requests" in answers[-1].text
    assert 0 < int(answers[-1].headers["retry-after"]) <= 20


def test_the_page_can_be_switched_off(serve_files: Callable[..., Any]) -> None:
    server = serve_files(STATUS_PAGE="false")
    url = f"http://127.0.0.1:{server.port}"

    answers = [httpx.get(f"{url}{path}", trust_env=False) for path in ("/", "/page/sign-in", "/healthz")]

    assert [answer.status_code for answer in answers] == [404, 404, 200]
    assert answers[0].json()["code"] == "not_found"


def test_the_log_of_the_server_names_the_key_and_never_a_secret(browser: Browser, server: Server) -> None:
    cookie = browser.http.cookies["estimatesync"]

    browser.get("/page/trends")

    text = server.log.read_text()
    assert re.search(r"GET /page/trends -> 200 .* key=make", text)
    assert KEY not in text
    assert cookie not in text
