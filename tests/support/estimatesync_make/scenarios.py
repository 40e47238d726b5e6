"""The blueprints themselves: what starts a sync, and what reports to people how it ended, plain, signed, once, or both.

`main` writes them. Every decision about how Make.com takes part in a sync is here. First the modules behind the
webhook: the signature's check, the memory of what was delivered, and the two emails; each takes `body`, the id of the
module that holds the callback's fields.
"""

from collections.abc import Mapping
from typing import Any, Final

from estimatesync_api.status_page.core.connect_view import EXAMPLE_ADDRESS
from estimatesync_contract.names import START_PATH
from estimatesync_operator.callback.body import CANCELLED, STALE_EVENT

from estimatesync_make.email_templates import MAILS, Mail, build_html, build_text
from estimatesync_make.modules import (
    ADD_RECORD,
    EXIST_RECORD,
    GMAIL,
    HTTP,
    PARSE_JSON,
    SET_VARIABLES,
    WEBHOOK,
    Module,
    build_break,
    build_filter,
    build_ignore,
    build_module,
    build_router,
    build_variables,
    lay_out,
)

SIGNING_SECRET: Final = "PASTE-THE-SIGNING-SECRET-HERE"  # noqa: S105 - what a person replaces with one
RECIPIENT: Final = "admin@example.com"
"""What a person replaces after the import, as docs/make.md says."""

TOLERANCE_SECONDS: Final = 300
"""How old or new a signed callback may be, as Standard Webhooks recommends: a recorded one cannot be played again."""

WEBHOOK_ID, _SIGNATURE, PARSED, _KNOWN, _RECORD, ROUTER_ID, _SUCCESS, _ERROR, _CANCEL = range(1, 10)

_EVENT: Final = "sync_estimates_completed"
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every secret starts with is not secret

Blueprint = dict[str, Any]

API_ADDRESS: Final = EXAMPLE_ADDRESS
API_KEY: Final = "PASTE-THE-API-KEY-HERE"
"""What a person replaces after the import, as docs/make.md says."""

_ANSWER_SECONDS: Final = 40


def build_verification() -> list[Module]:
    """Standard Webhooks: HMAC-SHA256 over id, timestamp and the very bytes that came, hence the webhook's text."""
    parts = build_variables(
        secret=SIGNING_SECRET,
        id=_build_header("webhook-id"),
        timestamp=_build_header("webhook-timestamp"),
        signatures=_build_header("webhook-signature"),
    )
    signed = f'{_SIGNATURE}.id + "." + {_SIGNATURE}.timestamp + "." + {WEBHOOK_ID}.value'
    key = f'replace({_SIGNATURE}.secret; "{_SECRET_PREFIX}"; "")'
    genuine = build_filter(
        "Signed by us, just now",
        # Without a key, Make.com's sha256 is a plain hash, which anyone can make.
        (f"{{{{{_SIGNATURE}.secret}}}}", "text:contain", _SECRET_PREFIX),
        (f"{{{{{_SIGNATURE}.signatures}}}}", "text:contain", f'v1,{{{{sha256({signed}; "base64"; {key}; "base64")}}}}'),
        (f"{{{{{_SIGNATURE}.timestamp}}}}", "number:greaterorequal", f"{{{{timestamp - {TOLERANCE_SECONDS}}}}}"),
        (f"{{{{{_SIGNATURE}.timestamp}}}}", "number:lessorequal", f"{{{{timestamp + {TOLERANCE_SECONDS}}}}}"),
    )
    return [
        build_module(_SIGNATURE, SET_VARIABLES, "Signature", mapper=parts, handler=build_ignore(_SIGNATURE)),
        build_module(
            PARSED,
            PARSE_JSON,
            "Read the body",
            mapper={"json": f"{{{{{WEBHOOK_ID}.value}}}}"},
            condition=genuine,
            handler=build_ignore(PARSED),
        ),
    ]


def build_memory(body: int) -> list[Module]:
    """A callback is delivered at least once: one that was lost on its way back is sent again, with the same id."""
    key = f"{{{{{body}.sync_id}}}}"
    record = {"status": f"{{{{{body}.status}}}}", "received_at": "{{now}}"}
    return [
        build_module(
            _KNOWN,
            EXIST_RECORD,
            "Told already?",
            mapper={"key": key},
            handler=build_break(_KNOWN, count=3, minutes=5),
        ),
        build_module(
            _RECORD,
            ADD_RECORD,
            "Remember it",
            mapper={"key": key, "data": record, "overwrite": False},
            condition=build_filter("Not told yet", (f"{{{{{_KNOWN}.exist}}}}", "boolean:equal", "false")),
            handler=build_break(_RECORD, count=3, minutes=5),
        ),
    ]


def build_mails(body: int, language: str) -> list[Module]:
    """Build one email for each way in which a sync ends; a cancelled one has failed, as far as its status says."""
    status, error = f"{{{{{body}.status}}}}", f"{{{{{body}.error}}}}"
    success, failure, cancel = ("success", "error", "cancelled")
    texts = MAILS[language]
    return [
        _build_mail(_SUCCESS, success, texts[success], (status, "text:equal", success), body=body),
        _build_mail(
            _ERROR,
            failure,
            texts[failure],
            (status, "text:equal", failure),
            (error, "text:notequal", CANCELLED),
            body=body,
        ),
        _build_mail(_CANCEL, cancel, texts[cancel], (error, "text:equal", CANCELLED), body=body),
    ]


def _build_mail(
    module_id: int, name: str, mail: Mail, *conditions: tuple[str, str, str], body: int, event: str = _EVENT
) -> Module:
    ended = build_filter(name.capitalize(), (f"{{{{{body}.event}}}}", "text:equal", event), *conditions)
    mapper = {
        "to": [RECIPIENT],
        "subject": build_text(mail.subject, body=body),
        "bodyType": "rawHtml",
        "content": build_html(mail.lines, body=body),
    }
    handler = build_break(module_id, count=3, minutes=15)
    return build_module(module_id, GMAIL, f"Mail: {name}", mapper=mapper, condition=ended, handler=handler)


def _build_header(name: str) -> str:
    """Make.com hands on a request's headers as a list of names and values, the names in lower case."""
    return f'{{{{get(map({WEBHOOK_ID}.__IMTHEADERS__; "value"; "name"; "{name}"); 1)}}}}'


def build_trigger() -> Blueprint:
    """Build what starts a sync.

    The key is made by a module of its own: Make.com keeps what a module has put out when it repeats the next one, so
    every repetition of a request carries the same key, and starts no second sync. The time is part of it, so that two
    runs have different keys even if Make.com should not give the execution's id.
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
        "Asks EstimateSync for a sync and is answered at once; the callback scenario reports how it ended.",
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


def build_callback(*, is_signed: bool, is_once: bool, language: str = "en") -> Blueprint:
    """Build what reports to people how a sync ended: an email of success, of failure, or that it was cancelled.

    Make.com switches an instant scenario off at its first unhandled error, so every module behind the webhook has a
    handler. What an unauthenticated caller may cause is dropped; what concerns a true callback is kept and tried again.
    """
    body = PARSED if is_signed else WEBHOOK_ID
    flow = [build_module(WEBHOOK_ID, WEBHOOK, "Callback", parameters={"maxResults": 1}, mapper={})]
    flow += build_verification() if is_signed else []
    flow += build_memory(body) if is_once else []
    routes = [[mail] for mail in build_mails(body, language)]
    kinds = [*["signed"] * is_signed, *["each once"] * is_once, *["es"] * (language == "es")]
    name = ", ".join(["EstimateSync: how a sync ended", *kinds])
    return _build_blueprint(
        name,
        "Receives EstimateSync's callback and sends a mail: how many estimates are new, or why the sync has failed.",
        [*flow, build_router(ROUTER_ID, "How did it end?", routes)],
        is_instant=True,
    )


def build_alert(language: str = "en") -> Blueprint:
    """Build what reports to people that no sync has succeeded for long: one email, to a webhook of its own."""
    mail = _build_mail(2, "stale", MAILS[language]["stale"], body=WEBHOOK_ID, event=STALE_EVENT)
    return _build_blueprint(
        ", ".join(["EstimateSync: no sync succeeds", *["es"] * (language == "es")]),
        "Receives EstimateSync's alert that no sync has succeeded for long, and sends a mail.",
        [build_module(WEBHOOK_ID, WEBHOOK, "Alert", parameters={"maxResults": 1}, mapper={}), mail],
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
    "alert.blueprint.json": build_alert(),
    "alert.es.blueprint.json": build_alert("es"),
    **{
        f"callback{kind}{suffix}.blueprint.json": build_callback(
            is_signed="signed" in kind, is_once="once" in kind, language=language
        )
        for language, suffix in (("en", ""), ("es", ".es"))
        for kind in ("", "-signed", "-once", "-signed-once")
    },
}
"""Every file of api/estimatesync_api/blueprints, by its name."""
