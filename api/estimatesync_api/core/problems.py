"""Everything that can go wrong for a caller: what a store may answer, and one table of HTTP status, code and sentence.

Make.com retries 429, 503, 504 and timeouts and gives up on everything else, so what may pass by itself is a 503
and never a 500. Codes are for programs and stay as they are; sentences are for people and may get better.
"""

from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus
from typing import Final

from estimatesync_contract.specific_causes import CLUSTER_CAUSES, SpecificCause

RETRY_AFTER_SECONDS: Final = 10

_TEMPORARY: Final = frozenset({429, 503, 504})
"""What time may cure; the very ones that Make.com retries."""


class StoreUnavailableError(Exception):
    """The store cannot take or answer this now: it is unreachable, full, or not set up yet (rights, quota, definition).

    The same request may succeed later, so the caller is asked to retry. The message is for the log; callers are told
    the cause, which names no address and no object.
    """

    def __init__(self, message: str = "", *, cause: SpecificCause | None = None) -> None:
        super().__init__(message)
        self.cause: Final = cause


class SyncRefusedError(Exception):
    """This sync breaks a rule of the store and will never be accepted as it is; the message says which rule."""


class SyncExistsError(Exception):
    """A sync of this name is already stored."""


class Problem(Enum):
    """HTTP status, code, and the sentence used when nothing more exact is known."""

    INVALID_JSON = (400, "invalid_json", "The body is not valid JSON.")
    INVALID_REQUEST = (400, "invalid_request", "The request is not valid.")
    BODY_INCOMPLETE = (400, "body_incomplete", "The body is shorter than its Content-Length.")
    KEY_MISSING = (401, "api_key_missing", "Send your API key in the X-API-KEY header.")
    KEY_WRONG = (403, "api_key_wrong", "The key in the X-API-KEY header is not valid.")
    KEY_READ_ONLY = (403, "api_key_read_only", "This key is read-only; use another one to change something.")
    NOT_FOUND = (404, "not_found", "There is nothing at this address.")
    SYNC_NOT_FOUND = (404, "sync_not_found", "There is no sync with this id; finished syncs are removed after a while.")
    METHOD_NOT_ALLOWED = (405, "method_not_allowed", "This address does not know the method; see the Allow header.")
    NOT_FINISHED = (409, "sync_not_finished", "The sync has not ended yet; its callback is sent when it has.")
    NO_CALLBACK = (
        409,
        "callback_not_configured",
        "No callback was configured for this sync, so there is none to send.",
    )
    BODY_TOO_LARGE = (413, "body_too_large", "The body must not be larger than 64 KB, packed or unpacked.")
    ENCODING_UNSUPPORTED = (
        415,
        "content_encoding_unsupported",
        "Send the body as it is, or with Content-Encoding: gzip.",
    )
    KEY_REUSED = (422, "idempotency_key_reused", "The Idempotency-Key was used for another request.")
    SYNC_REFUSED = (422, "sync_refused", "The sync was refused.")
    TOO_MANY_REQUESTS = (429, "too_many_requests", "This key has asked too often. Wait as long as Retry-After says.")
    TOO_MANY_GUESSES = (
        429,
        "too_many_wrong_keys",
        "Too many wrong keys came from your address. Check the key, and wait.",
    )
    INTERNAL_ERROR = (500, "internal_error", "This is a fault of the service. It has been logged.")
    UNAVAILABLE = (503, "unavailable", "The service cannot take the request now. Send it again a little later.")
    BODY_TOO_SLOW = (503, "body_too_slow", "The body did not arrive in time. Send the request again.")
    KEYS_UNAVAILABLE = (
        503,
        "api_keys_unavailable",
        "The service cannot read all of its API keys now; yours may be valid. Send the request again a little later.",
    )
    RESTARTING = (
        503,
        "restarting",
        "The service is being restarted; the sync goes on. Ask for its status.",
    )
    STILL_RUNNING = (
        504,
        "sync_still_running",
        "The sync takes longer than this answer may; it goes on. Ask for its status.",
    )

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = HTTPStatus(status)
        self.code = code
        self.message = message


class ApiError(Exception):
    """A request that cannot be answered as asked. `faults` says each thing that is wrong with it."""

    def __init__(
        self,
        problem: Problem,
        *faults: str,
        retry_after: int = RETRY_AFTER_SECONDS,
        sync_id: str | None = None,
        cause: SpecificCause | None = None,
    ) -> None:
        super().__init__("; ".join(faults) or problem.message)
        self.problem = problem
        self.faults = faults
        self.retry_after = retry_after
        """Seconds, for a problem that time may cure."""
        self.sync_id = sync_id
        """The sync that is there all the same."""
        self.cause = cause
        """Which part does not answer, and how; None where that is not known, or is not the problem."""


def map_exception(error: Exception) -> ApiError:
    """Decide how any exception is answered: a timeout or a lost connection is "not now", never a bug."""
    match error:
        case ApiError():
            return error
        case SyncRefusedError():
            return ApiError(Problem.SYNC_REFUSED, f"The sync was refused: {error}")
        case StoreUnavailableError(cause=SpecificCause() as cause):
            return ApiError(Problem.UNAVAILABLE, _format_store(cause), cause=cause)
        case StoreUnavailableError() | TimeoutError() | ConnectionError():
            return ApiError(Problem.UNAVAILABLE)
        case _:
            return ApiError(Problem.INTERNAL_ERROR)


def _format_store(cause: SpecificCause) -> str:
    """Say which part cannot be used, and how."""
    is_of_the_cluster = cause in CLUSTER_CAUSES
    happened = f"{cause.summary[0].upper()}{cause.summary[1:]}" if is_of_the_cluster else cause.summary
    subject = "" if is_of_the_cluster else "The database cannot be used now: "
    return f"{subject}{happened}. Send the request again a little later."


def map_status(status: int) -> ApiError:
    """Decide how an error of the framework's own is answered."""
    known = {404: Problem.NOT_FOUND, 405: Problem.METHOD_NOT_ALLOWED, 413: Problem.BODY_TOO_LARGE}
    fallback = Problem.INTERNAL_ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Problem.INVALID_REQUEST
    return ApiError(known.get(status, fallback))


def build_problem_headers(error: ApiError) -> Mapping[str, str]:
    """Say when to retry, or how to authenticate (401, RFC 9110 section 11.6.1)."""
    if error.problem.status in _TEMPORARY:
        return {"Retry-After": str(error.retry_after)}
    if error.problem is Problem.ENCODING_UNSUPPORTED:
        # What would be accepted (RFC 9110 section 15.5.16).
        return {"Accept-Encoding": "gzip, identity"}
    if error.problem is Problem.KEY_MISSING:
        return {"WWW-Authenticate": 'ApiKey realm="estimatesync"'}
    return {}
