from datetime import date
from typing import Any

import msgspec
import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.result import (
    RESULT_MAX_BYTES,
    BrokenResultError,
    ResultError,
    SyncResult,
    build_result_bytes,
    parse_result,
)
from estimatesync_contract.spec import DateRange, Mode
from estimatesync_contract.status import Results, UnshownFields

RESULT = SyncResult(
    sync_uid="u-1",
    date_range=DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16)),
    results=Results(total_fetched=1609, new_estimates=45, updated_estimates=1564, total_processed=1609),
    seconds=12.5,
)


def test_a_result_reads_back_as_it_was_written() -> None:
    assert parse_result(build_result_bytes(RESULT).decode(), sync_uid="u-1") == RESULT


FIELDS_OF_0_1_0 = {"syncUid", "dateRange", "results", "seconds", "pages", "completeAsOf", "skippedIds", "error"}
"""It refuses a result with any other, and takes any among the counts."""


@pytest.mark.parametrize(
    "new",
    [
        {},
        {"unshown": UnshownFields(estimates=3, fields=("branch",))},
        {"mode": Mode.CHANGES},
        {"mode": Mode.WHOLE, "whole_because": "the last sync of the whole range is a week old"},
        {"results": Results(deleted_estimates=3)},
        {"results": Results(deleted_estimates=0), "unmarked_because": "too many are not shown"},
    ],
)
def test_one_version_reads_what_the_program_of_another_wrote(new: dict[str, Any]) -> None:
    result = msgspec.structs.replace(RESULT, pages=17, **new)

    written = build_result_bytes(result)
    newer = written.replace(b'{"syncUid"', b'{"notYetInvented":{"a":1},"syncUid"')

    assert parse_result(newer.decode(), sync_uid="u-1") == result
    assert set(msgspec.json.decode(written)) <= FIELDS_OF_0_1_0


def write_reason(reason: object, **changes: object) -> str:
    error = {"reason": reason, "message": "Attic Tech is closed today", "retryable": True} | changes
    return msgspec.json.encode(msgspec.to_builtins(RESULT) | {"error": error}).decode()


@pytest.mark.parametrize(
    ("reason", "changes", "expected"),
    [
        pytest.param("LoginFailed", {}, ("LoginFailed", "Attic Tech is closed today"), id="known"),
        pytest.param("SourceClosed", {}, ("InternalError", "Attic Tech is closed today (SourceClosed)"), id="newer"),
        pytest.param(
            "SourceClosed", {"message": ""}, ("InternalError", "The sync failed (SourceClosed)"), id="no-words"
        ),
        pytest.param(
            "SourceClosed",
            {"since": [1]},
            ("InternalError", "Attic Tech is closed today (SourceClosed)"),
            id="and-more",
        ),
    ],
)
def test_a_reason_of_a_newer_version_keeps_its_words(
    reason: str, changes: dict[str, object], expected: tuple[str, str]
) -> None:
    read = parse_result(write_reason(reason, **changes), sync_uid="u-1")

    assert read.error is not None
    assert (read.error.reason, read.error.message, read.error.retryable) == (*expected, True)
    assert read.results == RESULT.results


@pytest.mark.parametrize("letter", ["x", "é", "🔥", '"'])
def test_the_longest_error_still_fits_the_termination_message(letter: str) -> None:
    error = ResultError(reason=Reason.INTERNAL_ERROR, message=letter * 10_000, retryable=True)
    result = SyncResult(sync_uid="u-1", date_range=RESULT.date_range, results=Results(), seconds=0, error=error)

    encoded = build_result_bytes(result)

    assert len(encoded) <= RESULT_MAX_BYTES
    read = parse_result(encoded.decode(), sync_uid="u-1")
    assert read.error is not None
    assert read.error.message.endswith("…")


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("", id="empty"),
        pytest.param("✅ [SYNC] Page 17 complete", id="a log tail"),
        pytest.param(build_result_bytes(RESULT).decode()[:-9], id="cut short"),
        pytest.param('{"new": 45}', id="another shape"),
        pytest.param(build_result_bytes(RESULT).decode().replace("u-1", "u-2"), id="another sync's"),
        pytest.param("[" * 100_000, id="hostile nesting"),
        pytest.param("\ud800", id="not even text"),
        pytest.param(write_reason(None), id="no reason"),
        pytest.param(write_reason(7), id="a number for a reason"),
        pytest.param(write_reason("two words"), id="a reason of two words"),
        pytest.param(write_reason("x" * 65), id="an endless reason"),
        pytest.param(write_reason("SourceClosed", retryable="perhaps"), id="a newer reason in another shape"),
    ],
)
def test_anything_but_this_syncs_result_is_broken(message: str) -> None:
    with pytest.raises(BrokenResultError):
        parse_result(message, sync_uid="u-1")
