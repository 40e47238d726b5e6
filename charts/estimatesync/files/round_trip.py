"""`helm test`: one real sync of today's estimates, from the POST to its end, as a caller sees it."""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any

KEY = os.environ["API_KEYS"].replace(",", "\n").split("\n")[0].strip().rpartition(":")[2]
DEADLINE = time.monotonic() + float(os.environ["SECONDS_TO_WAIT"])


def ask(path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
    """Ask with the first key; the answer is JSON, whatever it is."""
    url = os.environ["API_URL"].rstrip("/") + path
    headers = {"X-API-KEY": KEY, "Content-Type": "application/json"}
    request = urllib.request.Request(url, data=body, headers=headers, method="POST" if body else "GET")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


today = time.strftime("%Y-%m-%d")
status, answer = ask(
    "/api/automations/estimates/sync-external", json.dumps({"startDate": today, "endDate": today}).encode()
)
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
