"""Every address of the API, as `/openapi.json` and `/docs` describe it. Values only; `openapi.py` writes them out."""

from typing import Final

from estimatesync_contract.names import SYNCS_PATH

from estimatesync_api import examples
from estimatesync_api.bodies import STATUSES, HealthBody, SyncBody, SyncListBody, SyncRequestedBody
from estimatesync_api.descriptions import AT_THE_DOOR, TO_CHANGE, Answer, Operation, Parameter, Schema, build_query
from estimatesync_api.listing import PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX
from estimatesync_api.problems import Problem
from estimatesync_api.start_operations import START_OPERATIONS

_TEXT: Final = "text/plain"

_SYNC_ID: Final = Parameter(
    place="path", name="sync_id", text="The `sync_id` of the first answer.", schema={"type": "string", "minLength": 1}
)
_MOMENT: Final[Schema] = {
    "type": "string",
    "anyOf": [{"format": "date"}, {"format": "date-time"}, {"maxLength": 0}],
    "examples": ["2025-09-01", "2025-09-01T14:00:00Z"],
}
_STATUS: Final[Schema] = {"type": "string", "pattern": "^[a-z, ]*$", "examples": ["running", "failed,cancelled"]}
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
        problems=(*AT_THE_DOOR, Problem.INVALID_REQUEST),
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
                text="As it is now.", body=SyncBody, example=examples.SYNC, headers={"ETag": "Names this very answer."}
            ),
            304: Answer(text="It is as the ETag says.", body=None),
        },
        problems=(*AT_THE_DOOR, Problem.SYNC_NOT_FOUND),
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
        problems=(*AT_THE_DOOR, Problem.SYNC_NOT_FOUND, Problem.INVALID_REQUEST),
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
        problems=(*TO_CHANGE, Problem.SYNC_NOT_FOUND),
    ),
    Operation(
        method="post",
        path=f"{SYNCS_PATH}/{{sync_id}}/redeliver",
        name="redeliver_callback",
        summary="Send a finished sync's callback again",
        text="With the same id and body. Each request is one more delivery.",
        parameters=(_SYNC_ID,),
        answers={202: Answer(text="It will be sent.", body=SyncRequestedBody, example=examples.REDELIVERED)},
        problems=(*TO_CHANGE, Problem.SYNC_NOT_FOUND, Problem.NOT_FINISHED, Problem.NO_CALLBACK),
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
