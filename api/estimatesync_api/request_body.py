"""Takes a request's body, within bounds."""

from typing import Final

from falcon.asgi import Request

from estimatesync_api.problems import ApiError, Problem

BODY_MAX_BYTES: Final = 64 * 1024


async def read_body(req: Request) -> bytes:
    """Read the whole body, or none of one that is too large.

    Raises:
        ApiError: Too large, or cut off: half a request must not start a sync of the default days.
    """
    length = req.content_length
    if length is not None and length > BODY_MAX_BYTES:
        raise ApiError(Problem.BODY_TOO_LARGE)
    body = await req.stream.read(BODY_MAX_BYTES + 1)
    if len(body) > BODY_MAX_BYTES:
        raise ApiError(Problem.BODY_TOO_LARGE)
    if length is not None and len(body) < length:
        raise ApiError(Problem.BODY_INCOMPLETE)
    return body
