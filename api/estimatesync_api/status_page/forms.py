"""Reads what a form has sent, and makes sure that it is one of ours."""

from urllib.parse import parse_qsl

from falcon.asgi import Request

from estimatesync_api.request_body import read_body
from estimatesync_api.status_page.sessions import read_form_nonce
from estimatesync_api.status_page.visits import require_session

TOKEN_FIELD = "token"  # noqa: S105 - the name of a field
_MOST_FIELDS = 20


class FormRefusedError(Exception):
    """A form that is not of this session, or not from one of our pages; nothing was done."""


async def read_form(req: Request) -> dict[str, str]:
    """Read the fields of a form.

    Raises:
        ApiError: The body is too large or cut off.
        FormRefusedError: It is no form of ours.
    """
    body = await read_body(req)
    try:
        fields = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise FormRefusedError from error
    return dict(fields)


async def read_sealed_form(req: Request) -> tuple[dict[str, str], str]:
    """Read a form that changes something; answers its fields and its nonce, which is the same when it is sent twice.

    Raises:
        ApiError: The body is too large or cut off.
        FormRefusedError: Its token is not of this session and this address.
    """
    fields = await read_form(req)
    nonce = read_form_nonce(require_session(req), req.path, fields.get(TOKEN_FIELD, ""))
    if nonce is None:
        raise FormRefusedError
    return fields, nonce
