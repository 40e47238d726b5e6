"""The blueprints themselves: what starts a sync, and what tells people how it ended, plain, signed, once, or both.

`main` writes them. Every decision about how Make.com takes part in a sync stands here.
"""

from collections.abc import Mapping
from typing import Any, Final

from estimatesync_contract.names import START_PATH

from estimatesync_make import callback_modules
from estimatesync_make.modules import (
    HTTP,
    SET_VARIABLES,
    WEBHOOK,
    Module,
    build_break,
    build_module,
    build_router,
    build_variables,
    lay_out,
)

Blueprint = dict[str, Any]

API_ADDRESS: Final = "https://estimatesync.example.com"
API_KEY: Final = "PASTE-THE-API-KEY-HERE"
"""What a person replaces after the import, as docs/make.md says."""

_ANSWER_SECONDS: Final = 40


def build_trigger() -> Blueprint:
    """Build what starts a sync.

    The key is made by a module of its own: Make.com keeps what a module has put out when it repeats the next one, so
    every repetition of a request carries the same key, and starts no second sync. The time is part of it, so that two
    runs have different keys even if Make.com should not tell the execution's id.
    """
    key = build_module(
        1,
        SET_VARIABLES,
        "Name this run",
        mapper=build_variables(idempotency_key="make-{{var.scenario.executionId}}-{{timestamp}}"),
        handler=build_break(1, count=3, minutes=1),
    )
    return _build_blueprint(
        "EstimateSync: start a sync",
        "Asks EstimateSync for a sync and is answered at once; the callback scenario tells how it ended.",
        [key, _build_request("{{1.idempotency_key}}")],
        is_instant=False,
    )


def _build_request(idempotency_key: str) -> Module:
    headers = {"X-API-KEY": API_KEY, "Idempotency-Key": idempotency_key}
    return build_module(
        2,
        HTTP,
        "Ask for a sync",
        parameters={"authenticationType": "noAuth"},
        mapper={
            "url": f"{API_ADDRESS}{START_PATH}",
            "method": "post",
            "headers": [{"name": name, "value": value} for name, value in headers.items()],
            "queryParameters": [],
            "contentType": "json",
            "inputMethod": "jsonString",
            "jsonStringBodyContent": "{}",
            "timeout": _ANSWER_SECONDS,
            "parseResponse": True,
            # Otherwise an answer of 401 or 503 looks like a success.
            "stopOnHttpError": True,
            "allowRedirects": True,
            "shareCookies": False,
            "requestCompressedContent": True,
        },
        handler=build_break(2, count=8, minutes=15),
    )


def build_callback(*, is_signed: bool, is_once: bool) -> Blueprint:
    """Build what tells people how a sync ended: a mail of success or of failure.

    Make.com switches an instant scenario off at its first unhandled error, so every module behind the webhook has a
    handler. What a stranger may cause is dropped; what concerns a true callback is kept and tried again.
    """
    body = callback_modules.PARSED if is_signed else callback_modules.WEBHOOK_ID
    flow = [build_module(callback_modules.WEBHOOK_ID, WEBHOOK, "Callback", parameters={"maxResults": 1}, mapper={})]
    flow += callback_modules.build_verification() if is_signed else []
    flow += callback_modules.build_memory(body) if is_once else []
    routes = ([callback_modules.build_success_mail(body)], [callback_modules.build_error_mail(body)])
    name = ", ".join(["EstimateSync: how a sync ended", *["signed"] * is_signed, *["each once"] * is_once])
    return _build_blueprint(
        name,
        "Receives EstimateSync's callback and sends a mail: how many estimates are new, or why the sync has failed.",
        [*flow, build_router(callback_modules.ROUTER_ID, "How did it end?", routes)],
        is_instant=True,
    )


def _build_blueprint(name: str, description: str, flow: list[Module], *, is_instant: bool) -> Blueprint:
    lay_out(flow)
    scenario = {
        "roundtrips": 1,
        "maxErrors": 3,
        "autoCommit": True,
        "autoCommitTriggerLast": True,
        "sequential": False,
        "slots": None,
        "confidential": False,
        "dataloss": False,
        # Incomplete executions are kept: without it, a Break has nowhere to put what it tries again.
        "dlq": True,
        "freshVariables": False,
    }
    metadata = {"instant": is_instant, "version": 1, "scenario": scenario, "designer": {"orphans": []}}
    return {"name": name, "description": description, "flow": flow, "metadata": metadata}


BLUEPRINTS: Final[Mapping[str, Blueprint]] = {
    "trigger.blueprint.json": build_trigger(),
    "callback.blueprint.json": build_callback(is_signed=False, is_once=False),
    "callback-signed.blueprint.json": build_callback(is_signed=True, is_once=False),
    "callback-once.blueprint.json": build_callback(is_signed=False, is_once=True),
    "callback-signed-once.blueprint.json": build_callback(is_signed=True, is_once=True),
}
"""Every file of deploy/make, by its name."""
