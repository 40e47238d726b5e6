"""Every way in which a call to the API server can fail, and the one mapping that decides which it is. Pure.

    KubernetesError
    ├── UnreachableError      no answer: refused, reset, timed out, not trusted; it may have taken effect all the same
    └── StatusError           an answer that is not a success; `code` is its HTTP status
        ├── NotFoundError         404: the object does not exist
        ├── NotInstalledError     404: the API server does not know the resource at all
        ├── AlreadyExistsError    409: the name is taken
        ├── ConflictError         409: the object has moved on, or two requests met at a quota
        ├── GoneError             410: the version or the page asked for is no longer kept
        ├── InvalidObjectError    400, 422: the object is refused by schema, rule, webhook or policy
        ├── ForbiddenError        401, 403: credentials, rights or quota
        └── ThrottledError        429: too many requests

Whether a call may be repeated is for the caller to say, who knows what it does; `retry_after` is the API server's own
wish. https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/#status-v1-meta
"""

from datetime import timedelta
from http import HTTPStatus
from typing import ClassVar, Final

import msgspec


class KubernetesError(Exception):
    """The call failed. The message names no internal address."""


class UnreachableError(KubernetesError):
    """Nothing was answered, or not to the end. `detail` may name an address: it is for logs only."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"the API server cannot be reached: {type(cause).__name__}")
        self.detail: Final = f"{type(cause).__name__}: {cause}"


class _Details(msgspec.Struct, frozen=True):
    name: str = ""


class ApiStatus(msgspec.Struct, frozen=True):
    """The metav1.Status in the body of a failed call, or in an ERROR event of a watch."""

    reason: str = ""
    message: str = ""
    code: int = 0
    details: _Details = _Details()


class StatusError(KubernetesError):
    """The API server, or a proxy before it, answered something else than a success."""

    question: ClassVar[str] = ""
    """What a person should ask, where the API server explains nothing."""

    def __init__(
        self, code: int, status: ApiStatus, *, http_reason: str = "", retry_after: timedelta | None = None
    ) -> None:
        self.code: Final = code
        self.message: Final = status.message
        """The API server's own sentence; empty when it gave none. It may name objects of the cluster."""
        self.retry_after: Final = retry_after
        self.explanation: Final = status.message or self.question or http_reason or "no reason given"
        super().__init__(f"HTTP {code}: {self.explanation}")


class NotFoundError(StatusError):
    """The object asked for does not exist."""


class NotInstalledError(StatusError):
    """The resource does not exist: its CustomResourceDefinition is not applied."""

    question = "is the resource's CustomResourceDefinition installed?"


class AlreadyExistsError(StatusError):
    """An object of this name exists."""


class ConflictError(StatusError):
    """The object, or a quota, has changed since it was read."""


class GoneError(StatusError):
    """The API server no longer keeps this version or this page: list again."""


class InvalidObjectError(StatusError):
    """What was sent is refused; it must change before it can be taken."""


class ForbiddenError(StatusError):
    """The credentials, the rights or the quota do not allow it."""


class ThrottledError(StatusError):
    """The API server has too much to do."""


_BY_CODE: Final[dict[int, type[StatusError]]] = {
    HTTPStatus.BAD_REQUEST: InvalidObjectError,
    HTTPStatus.UNAUTHORIZED: ForbiddenError,
    HTTPStatus.FORBIDDEN: ForbiddenError,
    HTTPStatus.NOT_FOUND: NotInstalledError,
    HTTPStatus.CONFLICT: ConflictError,
    HTTPStatus.GONE: GoneError,
    HTTPStatus.UNPROCESSABLE_ENTITY: InvalidObjectError,
    HTTPStatus.TOO_MANY_REQUESTS: ThrottledError,
}


def parse_api_status(body: bytes | str) -> ApiStatus:
    """Read a failed call's body; a proxy's error page counts as an empty status."""
    try:
        return msgspec.json.decode(body, type=ApiStatus)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ApiStatus()


def build_api_error(
    code: int, status: ApiStatus, *, http_reason: str = "", retry_after: timedelta | None = None
) -> StatusError:
    """Decide which error an answer is.

    Args:
        code: The HTTP status.
        status: What the body says.
        http_reason: HTTP's own words, for an answer without a body.
        retry_after: How long the API server asks to wait.
    """
    kind = _find_kind(code, status)
    return kind(code, status, http_reason=http_reason, retry_after=retry_after)


def _find_kind(code: int, status: ApiStatus) -> type[StatusError]:
    # Both a missing object and a missing resource are 404; only the first answer names an object.
    if code == HTTPStatus.NOT_FOUND and status.details.name:
        return NotFoundError
    if code == HTTPStatus.CONFLICT and status.reason == "AlreadyExists":
        return AlreadyExistsError
    return _BY_CODE.get(code, StatusError)
