"""Decides what an answer of the API server means for a caller. Pure.

Missing rights, a used-up quota and a namespace or resource that is not there (yet) are put right by people or by time,
so they are "not now" and Make.com tries again; "never" is only what the sync itself is refused for.
https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/#status-v1-meta
"""

import re
from http import HTTPStatus
from typing import Final

import msgspec

from estimatesync_api.ports import StoreUnavailableError, SyncExistsError, SyncRefusedError

StoreError = StoreUnavailableError | SyncExistsError | SyncRefusedError

_REFUSALS: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
_BEFORE_THE_CAUSE: Final = re.compile(r".*?(?: is invalid: | denied (?:the )?request: )", re.DOTALL)


class MissingObjectError(StoreUnavailableError):
    """The object asked for does not exist; told apart from a resource that is not installed."""


class _Details(msgspec.Struct, frozen=True):
    name: str = ""


class ApiStatus(msgspec.Struct, frozen=True):
    """The metav1.Status in the body of a failed call."""

    reason: str = ""
    message: str = ""
    details: _Details = _Details()


def parse_api_status(body: bytes) -> ApiStatus:
    """Read a failed call's body; a proxy's error page counts as an empty status."""
    try:
        return msgspec.json.decode(body, type=ApiStatus)
    except msgspec.MsgspecError:
        return ApiStatus()


def map_api_error(code: int, status: ApiStatus) -> StoreError:
    """Turn a failed call into the store's own error."""
    if code == HTTPStatus.CONFLICT and status.reason == "AlreadyExists":
        return SyncExistsError("a sync of this name exists")
    if code in _REFUSALS:
        # What stands before the cause names objects and webhooks of the cluster.
        return SyncRefusedError(_BEFORE_THE_CAUSE.sub("", status.message, count=1) or "the cluster gave no reason")
    return StoreUnavailableError(f"the API server answered {code}: {status.message or _explain(code)}")


def is_missing_object(code: int, status: ApiStatus) -> bool:
    """Tell a missing object from a missing resource: both are 404, only the first names an object."""
    return code == HTTPStatus.NOT_FOUND and bool(status.details.name)


def _explain(code: int) -> str:
    """Say what the API server leaves unsaid."""
    return "is the EstimateSync resource installed?" if code == HTTPStatus.NOT_FOUND else "no reason given"
