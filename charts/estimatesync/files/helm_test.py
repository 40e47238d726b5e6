"""`helm test`: whether a sync could be started, or one real sync of today's estimates, as a caller sees it.

With MODE=reach nothing is started: the API is ready, which includes a dry run of storing a sync, and takes the key.
"""

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
READY_PATH = "/readyz"
START_PATH = "/api/automations/estimates/sync-external"
SYNCS_PATH = "/api/automations/estimates/syncs"
# Nobody has answered; a replica that has just started.
NOT_YET = {0, HTTPStatus.SERVICE_UNAVAILABLE}
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


def ask_patiently(path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
    """Ask until somebody answers, or is ready."""
    until = min(DEADLINE, time.monotonic() + PATIENCE_SECONDS)
    status, answer = ask(path, body)
    while status in NOT_YET and time.monotonic() < until:
        print(f"{answer['message'] or status}; trying again", flush=True)
        time.sleep(1)
        status, answer = ask(path, body)
    return status, answer


def reach() -> str | None:
    """Start nothing; say what is wrong."""
    status, answer = ask_patiently(READY_PATH)
    # An address from outside does not publish it: then the key alone is tried.
    if status not in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
        return f"not ready: {status} {answer['message']}"
    status, answer = ask(f"{SYNCS_PATH}?limit=1")
    if status != HTTPStatus.OK or "syncs" not in answer:
        return f"the key is not taken: {status} {answer['message']}"
    print("ready, and the key is taken; no sync was started (test.mode=round-trip starts one)")
    return None


def make_round_trip() -> str | None:
    """Start a sync of today's estimates and wait for its end; say what is wrong."""
    today = time.strftime("%Y-%m-%d")
    status, answer = ask_patiently(START_PATH, json.dumps({"startDate": today, "endDate": today}).encode())
    if status != HTTPStatus.ACCEPTED:
        return f"no sync was started: {status} {answer['message']}"
    path = f"{SYNCS_PATH}/{answer['sync_id']}"
    while time.monotonic() < DEADLINE:
        status, answer = ask(path)
        if answer.get("status") in {"succeeded", "failed", "cancelled"}:
            print(json.dumps(answer, indent=1))
            return None if answer["status"] == "succeeded" else f"the sync has {answer['status']}"
        time.sleep(1)
    return "the sync has not ended in time: kubectl get estimatesyncs --output=wide"


fault = reach() if os.environ["MODE"] == "reach" else make_round_trip()
if fault is not None:
    print(fault)
    sys.exit(1)
