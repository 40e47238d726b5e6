"""The modules behind the webhook: the signature's check, the memory of what was told, and the two mails.

`scenarios` joins them. Each takes `body`, the id of the module that holds the callback's fields.
"""

from typing import Final

from estimatesync_make import mails
from estimatesync_make.modules import (
    ADD_RECORD,
    EXIST_RECORD,
    GMAIL,
    PARSE_JSON,
    SET_VARIABLES,
    Module,
    build_break,
    build_filter,
    build_ignore,
    build_module,
    build_variables,
)

SIGNING_SECRET: Final = "PASTE-THE-SIGNING-SECRET-HERE"  # noqa: S105 - what a person replaces with one
RECIPIENT: Final = "admin@example.com"
"""What a person replaces after the import, as docs/make.md says."""

TOLERANCE_SECONDS: Final = 300
"""How old or new a signed callback may be, as Standard Webhooks recommends: a recorded one cannot be played again."""

WEBHOOK_ID, _SIGNATURE, PARSED, _KNOWN, _RECORD, ROUTER_ID, _SUCCESS, _ERROR = range(1, 9)

_EVENT: Final = "sync_estimates_completed"
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what every secret starts with is no secret


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
        # Without a key, Make.com's sha256 is a plain hash, which anybody can make.
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


def build_success_mail(body: int) -> Module:
    """Tell how many estimates are new."""
    return _build_mail(_SUCCESS, "success", mails.SUCCESS_SUBJECT, mails.SUCCESS_LINES, body=body)


def build_error_mail(body: int) -> Module:
    """Tell why a sync has failed."""
    return _build_mail(_ERROR, "error", mails.ERROR_SUBJECT, mails.ERROR_LINES, body=body)


def _build_mail(module_id: int, status: str, subject: str, lines: tuple[str, ...], *, body: int) -> Module:
    ended = build_filter(
        status.capitalize(),
        (f"{{{{{body}.event}}}}", "text:equal", _EVENT),
        (f"{{{{{body}.status}}}}", "text:equal", status),
    )
    mapper = {
        "to": [RECIPIENT],
        "subject": mails.build_text(subject, body=body),
        "bodyType": "rawHtml",
        "content": mails.build_html(lines, body=body),
    }
    handler = build_break(module_id, count=3, minutes=15)
    return build_module(module_id, GMAIL, f"Mail: {status}", mapper=mapper, condition=ended, handler=handler)


def _build_header(name: str) -> str:
    """Make.com hands on a request's headers as a list of names and values, the names in lower case."""
    return f'{{{{get(map({WEBHOOK_ID}.__IMTHEADERS__; "value"; "name"; "{name}"); 1)}}}}'
