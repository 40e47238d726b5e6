"""Every address of the API, as `/openapi.json` and `/docs` describe it. Values only; `document.py` writes them out."""

from dataclasses import dataclass, field
from typing import Any, Final

from estimatesync_contract.names import START_PATH, START_PATH_ALIAS, SYNCS_PATH

from estimatesync_api.core.listing import PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX
from estimatesync_api.core.problems import Problem
from estimatesync_api.core.representation import (
    STATUSES,
    AcceptedBody,
    Body,
    FailureBody,
    HealthBody,
    OutcomeBody,
    RedeliveredBody,
    RedeliveryBody,
    RedeliveryFilterBody,
    RequestBody,
    SyncBody,
    SyncListBody,
    SyncRequestedBody,
)
from estimatesync_api.core.sync_request import IDEMPOTENCY_KEY_MAX_LENGTH
from estimatesync_api.openapi import examples

Schema = dict[str, Any]
Problems = tuple[Problem, ...]

ANY_REQUEST: Final[Problems] = (
    Problem.KEY_MISSING,
    Problem.KEY_WRONG,
    Problem.TOO_MANY_REQUESTS,
    Problem.TOO_MANY_GUESSES,
    Problem.UNAVAILABLE,
    Problem.KEYS_UNAVAILABLE,
)
"""How any request with a key may be refused."""

ANY_CHANGE: Final[Problems] = (*ANY_REQUEST, Problem.KEY_READ_ONLY)
"""How any request that changes something may be refused."""

_ANY_BODY: Final[Problems] = (
    Problem.INVALID_JSON,
    Problem.INVALID_REQUEST,
    Problem.BODY_INCOMPLETE,
    Problem.BODY_TOO_LARGE,
    Problem.ENCODING_UNSUPPORTED,
    Problem.BODY_TOO_SLOW,
)
"""How any body may be refused."""

_TEXT: Final = "text/plain"

_MOMENT: Final[Schema] = {
    "type": "string",
    "anyOf": [{"format": "date"}, {"format": "date-time"}, {"maxLength": 0}],
    "examples": ["2025-09-01", "2025-09-01T14:00:00Z"],
}
_STATUS: Final[Schema] = {"type": "string", "pattern": "^[a-z, ]*$", "examples": ["running", "failed,cancelled"]}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One value in the address, its query or the headers."""

    place: str
    name: str
    text: str
    schema: Schema


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A successful answer, or the one that reports a failed sync."""

    text: str
    body: type[Body] | str | None
    """A type of body, or the media type of one that is not JSON."""
    example: Body | str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method at one address."""

    method: str
    path: str
    name: str
    summary: str
    text: str = ""
    parameters: tuple[Parameter, ...] = ()
    request: type[Body] | None = None
    request_examples: dict[str, Body] = field(default_factory=dict)
    answers: dict[int, Answer]
    problems: tuple[Problem, ...] = ()
    is_public: bool = False


def build_query(name: str, text: str, schema: Schema) -> Parameter:
    """Describe a parameter of the query."""
    return Parameter(place="query", name=name, text=text, schema=schema)


def _build_start(path: str, name: str) -> Operation:
    return Operation(
        method="post",
        path=path,
        name=name,
        summary="Start a sync" if path == START_PATH else "Start a sync (the same, at a shorter address)",
        text=(
            "Answers at once, after the sync is stored; with `background=false`, when the sync has ended. A body is "
            "JSON whatever its Content-Type says. Without an Idempotency-Key, a request for days that a sync is at "
            "work on is answered with that sync, unless the deployment chose otherwise."
        ),
        parameters=(
            Parameter(
                place="query",
                name="background",
                text="The sync runs in the background unless this is exactly `false`.",
                schema={"type": "string", "examples": ["false"]},
            ),
            Parameter(
                place="header",
                name="Idempotency-Key",
                text="The same key starts one sync, however often it is sent; it is kept for a week after its end.",
                schema={
                    "type": "string",
                    "minLength": 1,
                    "maxLength": IDEMPOTENCY_KEY_MAX_LENGTH,
                    "pattern": "^[ -~]+$",
                    "examples": ["run-17"],
                },
            ),
        ),
        request=RequestBody,
        request_examples=examples.REQUESTS,
        answers={
            200: Answer(text="In the foreground: it succeeded.", body=OutcomeBody, example=examples.OUTCOME),
            202: Answer(
                text="It is stored and will run.",
                body=AcceptedBody,
                example=examples.ACCEPTED,
                headers={"Location": "Where the sync is shown."},
            ),
            500: Answer(text="In the foreground: it failed.", body=FailureBody, example=examples.FAILURE),
        },
        problems=(
            *ANY_CHANGE,
            *_ANY_BODY,
            Problem.KEY_REUSED,
            Problem.SYNC_REFUSED,
            Problem.RESTARTING,
            Problem.STILL_RUNNING,
        ),
    )


START_OPERATIONS: Final = (
    _build_start(START_PATH, "start_sync"),
    _build_start(START_PATH_ALIAS, "start_sync_short"),
)


_SYNC_ID: Final = Parameter(
    place="path", name="sync_id", text="The `sync_id` of the first answer.", schema={"type": "string", "minLength": 1}
)
_LIST_PARAMETERS: Final = (
    build_query(
        "limit",
        "How many on a page.",
        {"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT_MAX, "default": PAGE_LIMIT_DEFAULT},
    ),
    build_query("cursor", "The `next_cursor` of the page before.", {"type": "string"}),
    build_query(
        "status",
        f"Only these of {', '.join(STATUSES)}; repeated, or separated by commas.",
        {"type": "array", "items": _STATUS},
    ),
    build_query("since", "Only those created from then on: a day, or an instant.", _MOMENT),
    build_query("until", "Only those created before; of a day, before its end.", _MOMENT),
)

OPERATIONS: Final = (
    *START_OPERATIONS,
    Operation(
        method="get",
        path=SYNCS_PATH,
        name="list_syncs",
        summary="List syncs, newest first",
        parameters=_LIST_PARAMETERS,
        answers={200: Answer(text="A page.", body=SyncListBody, example=examples.LIST)},
        problems=(*ANY_REQUEST, Problem.INVALID_REQUEST),
    ),
    Operation(
        method="get",
        path=f"{SYNCS_PATH}/{{sync_id}}",
        name="get_sync",
        summary="Show a sync",
        parameters=(
            _SYNC_ID,
            Parameter(
                place="header",
                name="If-None-Match",
                text="The ETag of the last answer: nothing is sent again that has not changed.",
                schema={"type": "string"},
            ),
        ),
        answers={
            200: Answer(
                text="As it is now.",
                body=SyncBody,
                example=examples.SYNC,
                headers={"ETag": "Names this very answer.", "Link": "Its page, for a browser; where there is one."},
            ),
            304: Answer(text="It is as the ETag says.", body=None),
        },
        problems=(*ANY_REQUEST, Problem.SYNC_NOT_FOUND),
    ),
    Operation(
        method="get",
        path=f"{SYNCS_PATH}/{{sync_id}}/logs",
        name="get_sync_log",
        summary="Read a sync's log",
        parameters=(
            _SYNC_ID,
            build_query(
                "follow",
                "`true`: go on until the sync has ended. A log that is cut off is incomplete; ask again.",
                {"type": "string", "enum": ["true", "false", ""]},
            ),
        ),
        answers={200: Answer(text="What it has printed.", body=_TEXT, example=examples.LOG)},
        problems=(*ANY_REQUEST, Problem.SYNC_NOT_FOUND, Problem.INVALID_REQUEST),
    ),
    Operation(
        method="post",
        path=f"{SYNCS_PATH}/{{sync_id}}/cancel",
        name="cancel_sync",
        summary="Stop a sync",
        text="Asking twice is fine.",
        parameters=(_SYNC_ID,),
        answers={
            200: Answer(text="It had ended already.", body=SyncRequestedBody),
            202: Answer(text="It will be stopped.", body=SyncRequestedBody, example=examples.CANCELLED),
        },
        problems=(*ANY_CHANGE, Problem.SYNC_NOT_FOUND),
    ),
    Operation(
        method="post",
        path=f"{SYNCS_PATH}/{{sync_id}}/redeliver",
        name="redeliver_callback",
        summary="Send a finished sync's callback again",
        text="With the same id and body. Each request is one more delivery.",
        parameters=(_SYNC_ID,),
        request=RedeliveryBody,
        request_examples=examples.REDELIVERIES,
        answers={202: Answer(text="It will be sent.", body=SyncRequestedBody, example=examples.REDELIVERED)},
        problems=(*ANY_CHANGE, *_ANY_BODY, Problem.SYNC_NOT_FOUND, Problem.NOT_FINISHED, Problem.NO_CALLBACK),
    ),
    Operation(
        method="post",
        path=f"{SYNCS_PATH}/redeliver",
        name="redeliver_failed_callbacks",
        summary="Send all callbacks again that were not delivered",
        text="Of a hundred syncs that have ended, the newest first, within since and until; next_cursor goes on. With "
        "the same ids and bodies, those of ten syncs in a second; asking twice sends nothing twice.",
        request=RedeliveryFilterBody,
        request_examples=examples.REDELIVERY_FILTERS,
        answers={202: Answer(text="They will be sent.", body=RedeliveredBody, example=examples.REDELIVERED_ALL)},
        problems=(*ANY_CHANGE, *_ANY_BODY),
    ),
    Operation(
        method="get",
        path="/healthz",
        name="get_health",
        summary="Is the process alive",
        answers={200: Answer(text="It is.", body=HealthBody, example=HealthBody(status="ok"))},
        is_public=True,
    ),
    Operation(
        method="get",
        path="/readyz",
        name="get_readiness",
        summary="Could a sync be stored now",
        answers={200: Answer(text="It could.", body=HealthBody, example=HealthBody(status="ready"))},
        problems=(Problem.UNAVAILABLE,),
        is_public=True,
    ),
    Operation(
        method="get",
        path="/metrics",
        name="get_metrics",
        summary="Numbers for Prometheus",
        answers={200: Answer(text="In Prometheus' text format, or OpenMetrics if that is asked for.", body=_TEXT)},
        is_public=True,
    ),
)
