"""The status page on a real API server: the same promises as the API's, kept by the same store."""

import re
from typing import Any

import httpx
import pytest
from estimatesync_cluster.audit import read_api_calls

ENDED = {
    "phase": "Failed",
    "reason": "LoginFailed",
    "message": "Login to Attic Tech failed: Invalid credentials",
    "startTime": "2025-10-16T14:09:00Z",
    "completionTime": "2025-10-16T14:09:04Z",
    "durationSeconds": 4,
    "callback": {"state": "Failed", "id": "msg_1", "attempts": 1, "lastStatusCode": 410, "lastError": "HTTP 410: gone"},
}


@pytest.fixture
def page(api: Any) -> Any:
    """A browser without scripts, signed in."""
    with httpx.Client(base_url=f"http://127.0.0.1:{api.port}", trust_env=False, timeout=90) as browser:
        assert browser.post("/page/sign-in", data={"key": api.key}).status_code == 303
        yield browser


def send_form(page: httpx.Client, address: str, **fields: str) -> str:
    token = re.findall(
        rf'action="{re.escape(address)}".*?name="token" value="([^"]+)"', page.get(address).text, re.DOTALL
    )
    answer = page.post(address, data={"token": token[0], **fields})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"]).partition("?")[0]


def test_a_person_starts_cancels_and_redelivers(api: Any, page: httpx.Client) -> None:
    address = send_form(page, "/page/start", **{"from": "2025-09-01", "to": "2025-10-16"})
    (stored,) = api.stored()
    name = stored["metadata"]["name"]

    send_form(page, f"{address}/cancel")
    (cancelled,) = api.stored()
    api.write_status(name, ENDED)
    shown = page.get(address).text
    send_form(page, f"{address}/redeliver")
    (redelivered,) = api.stored()

    assert stored["spec"]["dateRange"] == {"start": "2025-09-01", "end": "2025-10-16"}
    assert cancelled["spec"]["cancel"] is True
    assert "Check ATTIC_TECH_EMAIL and ATTIC_TECH_PASSWORD." in shown
    assert "HTTP 410" in shown
    assert redelivered["metadata"]["annotations"]["botzilla.io/redeliver"].startswith("page-")


@pytest.mark.usefixtures("own_control_plane")
def test_the_list_asks_the_api_server_for_nothing(api: Any, page: httpx.Client) -> None:
    """It comes from the index, however many people have it open."""
    send_form(page, "/page/start", **{"from": "2025-09-01", "to": "2025-10-16"})
    page.get("/")
    before = count_calls(api)

    pages = [page.get(path).text for path in ("/", "/?status=queued", "/page/trends") for _ in range(5)]

    assert all("1 Sep" in text.replace("\N{NO-BREAK SPACE}", " ") for text in pages[:10])
    assert count_calls(api) == before


def count_calls(api: Any) -> int:
    """How often the API's own account has asked for anything but news."""
    user = f"system:serviceaccount:{api.namespace}:estimatesync-api"
    return sum(call.verb != "watch" for call in read_api_calls(api.cluster.layout.log("audit"), user=user))
