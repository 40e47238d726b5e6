"""The answers that `docs/api.md` shows have the fields that those of a running server have, in the same order."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
from estimatesync_contract.names import START_PATH, SYNCS_PATH

KEY = "made-up-key-of-this-test"
PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
AT_TIMES = set(re.findall(r"^\| `([a-z_.]+)` \|", PAGE.partition("<!-- at times -->")[2], re.MULTILINE))
SYNC, LIST = (json.loads(block) for block in re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def list_fields(body: Any) -> Any:
    """Leave the fields of the objects, in order, and of each that is none only whether it is there."""
    return [(name, list_fields(value)) for name, value in body.items()] if isinstance(body, dict) else None


def leave_out(body: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the page does not show because it is there only at times."""
    return {name: value for name, value in body.items() if name in shown or name not in AT_TIMES}


def test_the_answers_on_the_page_have_the_fields_of_real_ones(machine: Any) -> None:
    headers = {"X-API-KEY": KEY, "Idempotency-Key": "as-on-the-page"}
    posted = httpx.post(f"{machine.url}{START_PATH}", headers=headers, json={}, trust_env=False).json()
    assert machine.get_deliveries(posted["sync_id"])

    one = machine.ask("GET", f"{SYNCS_PATH}/{posted['sync_id']}")
    page = machine.ask("GET", f"{SYNCS_PATH}?limit=1&status=succeeded")

    running, finished = LIST["syncs"]
    assert list_fields(SYNC) == list_fields(leave_out(one, SYNC))
    assert list_fields(LIST) == list_fields(page)
    assert list_fields(finished) == list_fields(leave_out(page["syncs"][0], finished))
    assert running.keys() == finished.keys()
