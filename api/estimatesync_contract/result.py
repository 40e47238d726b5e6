"""What a run leaves behind: its exit code, and its result in the termination message.

The result is at most 4 KB of JSON: counts and a cause, no record.
https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
"""

import re
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

import msgspec

from estimatesync_contract.causes import Reason
from estimatesync_contract.spec import DateRange, Mode
from estimatesync_contract.status import Results, Time, UnshownFields, truncate_message

RESULT_MAX_BYTES: Final = 4096


class ExitCode(IntEnum):
    """Tells Kubernetes whether another try makes sense.

    The job's podFailurePolicy fails at once on PERMANENT; any other failure counts against maxRetries.
    """

    DONE = 0
    RETRYABLE = 10
    PERMANENT = 20


MEANINGS: Final[Mapping[ExitCode, str]] = {
    ExitCode.DONE: "the estimates are stored, and the result says how many",
    ExitCode.RETRYABLE: "failed; another run may succeed, and the job starts one, up to `spec.maxRetries` times",
    ExitCode.PERMANENT: "failed, and would fail again: a login, a right, a setting or a record must be put right",
}
"""What each says to a person."""


class BrokenResultError(ValueError):
    """A termination message that is not a result: cut short, a log tail, or another program's words."""


class ResultError(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Why the sync failed, in words for a person, and whether another pod could do better.

    `cause` is the code of a `SpecificCause`, where one cure fits; plain text, since another version may know more.
    """

    reason: Reason
    message: str
    retryable: bool
    cause: str | None = None


class SyncResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The outcome of one run. `error` is absent on success; a failed run reports zeros.

    During an upgrade or a rollback the operator of one version reads what the program of another wrote: a field that
    says nothing is left out, one that is not known is passed over, and a reason that is not known is read as
    InternalError, with its word behind the message.

    Attributes:
        pages: of the range, as read; absent where an earlier run has stored it all.
        skipped_ids: which estimates were skipped, the first few of them.
        unshown: what Attic Tech does not show; None when that is nothing.
        mode: how it was done, where only changes were asked for; None otherwise.
        whole_because: why everything was read, where only changes were asked for.
        unmarked_because: why no estimate was marked as deleted, although some were not shown; part of a sentence.
        complete_as_of: by Attic Tech's clock, when the closing pass began: nothing in the range up to it is missing;
            absent where its clock does not show.
    """

    sync_uid: str
    date_range: DateRange
    results: Results
    seconds: float
    pages: int | None = None
    complete_as_of: Time | None = None
    skipped_ids: tuple[str, ...] = ()
    unshown: UnshownFields | None = None
    mode: Mode | None = None
    whole_because: str | None = None
    unmarked_because: str | None = None
    error: ResultError | None = None


_AMONG_THE_COUNTS: Final = ("unshown", "mode", "whole_because", "unmarked_because")
_REASON_PATTERN: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")


class _WrittenCounts(Results, frozen=True, kw_only=True, rename="camel"):
    unshown: UnshownFields | msgspec.UnsetType = msgspec.UNSET
    mode: Mode | msgspec.UnsetType = msgspec.UNSET
    whole_because: str | msgspec.UnsetType = msgspec.UNSET
    unmarked_because: str | msgspec.UnsetType = msgspec.UNSET


class _WrittenResult(SyncResult, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """As it is written: 0.1.0, which may read it after a rollback, knows of nothing new but among the counts."""

    results: _WrittenCounts


def _to_written(result: SyncResult) -> _WrittenResult:
    new: dict[str, Any] = {name: getattr(result, name) or msgspec.UNSET for name in _AMONG_THE_COUNTS}
    counts = _WrittenCounts(**msgspec.structs.asdict(result.results), **new)
    return _WrittenResult(**{**msgspec.structs.asdict(result), "results": counts, **dict.fromkeys(new)})


def _from_written(written: _WrittenResult) -> SyncResult:
    counts = msgspec.structs.asdict(written.results)
    new = {name: counts.pop(name) or None for name in _AMONG_THE_COUNTS}
    return SyncResult(**{**msgspec.structs.asdict(written), "results": Results(**counts), **new})


def build_result_bytes(result: SyncResult) -> bytes:
    """Encode a result within the 4,096 bytes that the kubelet keeps."""
    if result.error is not None:
        result = msgspec.structs.replace(
            result, error=msgspec.structs.replace(result.error, message=truncate_message(result.error.message))
        )
    encoded = msgspec.json.encode(_to_written(result))
    if len(encoded) <= RESULT_MAX_BYTES:
        return encoded
    return msgspec.json.encode(_to_written(_shorten(result, len(encoded))))


def parse_result(message: str, *, sync_uid: str) -> SyncResult:
    """Read a termination message strictly.

    Raises:
        BrokenResultError: Empty, not JSON, not of this shape, or another sync's.
    """
    try:
        written = _generalize(msgspec.json.decode(message.encode()))
        result = _from_written(msgspec.convert(written, _WrittenResult))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BrokenResultError(f"the sync left no readable result: {error}") from error
    if result.sync_uid != sync_uid:
        raise BrokenResultError("the sync left the result of another sync")
    return result


def _generalize(written: object) -> object:
    """Replace a reason that only another version knows by a general one; its word goes into the message."""
    if not (isinstance(written, dict) and isinstance(error := written.get("error"), dict)):
        return written
    reason = error.get("reason")
    if not isinstance(reason, str) or reason in frozenset(Reason) or not _REASON_PATTERN.fullmatch(reason):
        return written
    words = {"reason": Reason.INTERNAL_ERROR, "message": f"{error.get('message') or 'The sync failed'} ({reason})"}
    return {**written, "error": {**error, **words}}


def find_committed(message: str | None, *, sync_uid: str) -> SyncResult | None:
    """Read a termination message that says that its run has stored everything; None for any other.

    A run writes it only after its commit, so it holds whatever became of the process, its pod and its job afterwards.
    """
    try:
        result = parse_result(message or "", sync_uid=sync_uid)
    except BrokenResultError:
        return None
    return result if result.error is None else None


def _shorten(result: SyncResult, size: int) -> SyncResult:
    """Cut the message by as many bytes as are over; characters beyond ASCII take up to four bytes each."""
    if result.error is None:
        return result
    keep = max(0, len(result.error.message.encode()) - (size - RESULT_MAX_BYTES) - len("…".encode()))
    message = result.error.message.encode()[:keep].decode(errors="ignore") + "…"
    return msgspec.structs.replace(result, error=msgspec.structs.replace(result.error, message=message))
