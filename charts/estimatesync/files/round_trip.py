"""`helm test`: one real sync of today's estimates, from the POST to its end, as a caller sees it."""

import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import IO, Any

DEADLINE = time.monotonic() + float(os.environ["SECONDS_TO_WAIT"])
START_PATH = "/api/automations/estimates/sync-external"
# A network that enforces policies lets a new pod through only once it has heard of it.
PATIENCE_SECONDS = 30.0


def find_key(text: str) -> str:
    """Find the first key, as the API reads them: with or without a name, and comments between."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    entries = [entry.strip() for line in lines for entry in line.split(",") if entry.strip()]
    return re.sub("^[A-Za-z][A-Za-z0-9_-]{0,31}:", "", entries[0]) if entries else ""


def ask(path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
    """Ask with the first key; status 0 when nobody answers, and a message whatever happens."""
    url = os.environ["API_URL"].rstrip("/") + path
    headers = {"X-API-KEY": find_key(os.environ["API_KEYS"]), "Content-Type": "application/json"}
    request = urllib.request.Request(url, data=body, headers=headers, method="POST" if body else "GET")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, read_body(answer)
    except urllib.error.HTTPError as error:
        return error.code, read_body(error)
    except OSError as error:
        return 0, {"message": f"{url} cannot be reached: {getattr(error, 'reason', error)}"}


def read_body(answer: IO[bytes]) -> dict[str, Any]:
    """Read an answer that may be that of a proxy, which speaks HTML."""
    text = answer.read().decode(errors="replace")
    try:
        return {"message": "", **json.loads(text)}
    except (ValueError, TypeError):
        return {"message": text[:200]}


def start() -> tuple[int, dict[str, Any]]:
    """Post until somebody answers."""
    until = min(DEADLINE, time.monotonic() + PATIENCE_SECONDS)
    today = time.strftime("%Y-%m-%d")
    body = json.dumps({"startDate": today, "endDate": today}).encode()
    status, answer = ask(START_PATH, body)
    while not status and time.monotonic() < until:
        print(f"{answer['message']}; trying again", flush=True)
        time.sleep(1)
        status, answer = ask(START_PATH, body)
    return status, answer


status, answer = start()
print(status, answer["message"])
if status != HTTPStatus.ACCEPTED:
    sys.exit(1)
path = "/api/automations/estimates/syncs/" + answer["sync_id"]
while time.monotonic() < DEADLINE:
    status, answer = ask(path)
    if answer.get("status") in {"succeeded", "failed", "cancelled"}:
        print(json.dumps(answer, indent=1))
        sys.exit(answer["status"] != "succeeded")
    time.sleep(1)
sys.exit("the sync has not ended in time: kubectl get estimatesyncs --output=wide")
