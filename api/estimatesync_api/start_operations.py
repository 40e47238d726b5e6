"""The two addresses where a sync is asked for, as `/openapi.json` and `/docs` describe them."""

from typing import Final

from estimatesync_contract.names import START_PATH, START_PATH_ALIAS

from estimatesync_api import examples
from estimatesync_api.bodies import AcceptedBody, FailureBody, OutcomeBody, RequestBody
from estimatesync_api.descriptions import TO_CHANGE, Answer, Operation, Parameter
from estimatesync_api.problems import Problem
from estimatesync_api.sync_request import IDEMPOTENCY_KEY_MAX_LENGTH


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
            *TO_CHANGE,
            Problem.INVALID_JSON,
            Problem.INVALID_REQUEST,
            Problem.BODY_INCOMPLETE,
            Problem.BODY_TOO_LARGE,
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
