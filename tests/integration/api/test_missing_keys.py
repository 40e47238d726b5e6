"""What callers and people get while a file of API keys holds none."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from estimatesync_api.app import create_app
from estimatesync_api.settings import parse_settings
from falcon.testing import TestClient

KEY = "made-up-key-of-make"
SYNCS = "/api/automations/estimates/syncs"
HOME = "/"
FORM = {"content-type": "application/x-www-form-urlencoded"}


class ClosedStore:
    """Nothing but its life: without a key nothing reaches it."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...


@dataclass
class Door:
    """The API, a file of keys, and a clock that passes with each look."""

    keys: Path
    now: float = 0.0

    def __post_init__(self) -> None:
        self.keys.write_text(f"make:{KEY}\n")
        settings = parse_settings({"API_KEYS_FILE": str(self.keys)})
        store: Any = ClosedStore()
        self.client = TestClient(create_app(settings, store, monotonic=self.tell_time))

    def tell_time(self) -> float:
        self.now += 10
        return self.now

    def count_faults(self) -> float:
        lines = self.client.simulate_get("/metrics").text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("estimatesync_api_key_faults "))


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path / "keys")


@pytest.mark.parametrize(
    ("text", "status", "code", "retry_after", "faults"),
    [
        pytest.param("", 503, "api_keys_unavailable", "10", 1, id="empty"),
        pytest.param(None, 503, "api_keys_unavailable", "10", 1, id="gone"),
        pytest.param("make:short", 503, "api_keys_unavailable", "10", 2, id="faulty"),
        pytest.param("new:made-up-key-of-another", 403, "api_key_wrong", None, 0, id="revoked"),
        pytest.param(
            "new:made-up-key-of-another\nmake:short", 403, "api_key_wrong", None, 1, id="revoked, and a fault"
        ),
    ],
)
def test_a_caller_is_told_whether_the_key_may_become_valid_again(
    door: Door, text: str | None, status: int, code: str, retry_after: str | None, faults: int
) -> None:
    if text is None:
        door.keys.unlink()
    else:
        door.keys.write_text(text)

    counted = door.count_faults()
    answer = door.client.simulate_get(SYNCS, headers={"X-API-KEY": KEY})

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.headers.get("retry-after") == retry_after
    assert counted == faults


def test_a_person_stays_signed_in_while_the_keys_are_away(door: Door) -> None:
    signed_in = door.client.simulate_post("/page/sign-in", body=f"key={KEY}", headers=FORM)
    cookie = {"cookie": f"estimatesync={signed_in.cookies['estimatesync'].value}"}
    door.keys.write_text("")

    page = door.client.simulate_get(HOME, headers=cookie)
    stranger = door.client.simulate_get(HOME)
    sign_in = door.client.simulate_post("/page/sign-in", body=f"key={KEY}", headers=FORM)
    door.keys.write_text("new:made-up-key-of-another")
    revoked = door.client.simulate_get(HOME, headers=cookie)

    assert page.status_code == sign_in.status_code == 503
    assert '<meta http-equiv="refresh"' in page.text
    assert "cannot read its API keys right now" in page.text
    assert "cannot read its API keys right now" in sign_in.text
    assert stranger.status_code == revoked.status_code == 303
