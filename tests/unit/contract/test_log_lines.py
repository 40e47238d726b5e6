"""What Attic Tech is waited for is read back from the log that the sync program prints, in either format."""

from datetime import UTC, datetime

import msgspec
import pytest
from estimatesync_contract import log_lines
from estimatesync_contract.log_lines import Trouble, format_retry, parse_progress, parse_trouble
from estimatesync_contract.specific_causes import SpecificCause

LINE = format_retry(
    "The login",
    'nothing listens at attic.example:443 ("so it is")',
    attempt=6,
    attempts=7,
    seconds=12.04,
    at=datetime(2025, 10, 16, 14, 9, 12, tzinfo=UTC),
    cause=SpecificCause.SOURCE_NOT_LISTENING,
)
TROUBLE = Trouble(
    happened='nothing listens at attic.example:443 ("so it is")',
    attempt=6,
    attempts=7,
    at="14:09:12",
    cause=SpecificCause.SOURCE_NOT_LISTENING,
)


def test_a_retry_says_when_it_comes_and_why() -> None:
    assert LINE == (
        '⏳ [SYNC] The login failed (nothing listens at attic.example:443 ("so it is")). '
        "Attempt 6 of 7 in 12.0 s, at 14:09:12 UTC [SourceNotListening]"
    )


@pytest.mark.parametrize(
    ("lines", "trouble"),
    [
        pytest.param([log_lines.LOGGING_IN], None, id="nothing has failed"),
        pytest.param([log_lines.LOGGING_IN, LINE], TROUBLE, id="it waits"),
        pytest.param([msgspec.json.encode({"level": "warning", "message": LINE}).decode()], TROUBLE, id="as JSON"),
        pytest.param([LINE, log_lines.format_fetching(3), "Traceback"], TROUBLE, id="it only asks for more"),
        pytest.param([LINE, log_lines.LOGGED_IN], None, id="it has answered"),
        pytest.param(
            [LINE, log_lines.format_answered_again("The login", attempt=6)], None, id="what had failed has succeeded"
        ),
        pytest.param(
            [LINE, log_lines.format_fetching(3), log_lines.format_received(3, 1000)], None, id="a page has come"
        ),
        pytest.param(
            [log_lines.format_fetching(3), LINE, log_lines.format_received(3, 1000)],
            TROUBLE,
            id="a page has come that was on its way",
        ),
        pytest.param(
            [LINE, log_lines.format_page(3, 17, 100), log_lines.format_page_complete(3, 300)],
            TROUBLE,
            id="such a page is stored",
        ),
        pytest.param([LINE, log_lines.format_unmarked("it is away")], None, id="it is not asked any more"),
        pytest.param([LINE, log_lines.SAVING], None, id="there is nothing left to ask"),
        pytest.param(
            [LINE, log_lines.format_skipped(log_lines.LOGGED_IN, "is missing", "page 1")],
            TROUBLE,
            id="a record that quotes the end of it",
        ),
        pytest.param([log_lines.format_received(3, 1000), LINE], TROUBLE, id="it stopped answering"),
        pytest.param(['{"message": "cut'], None, id="a line that is cut"),
        pytest.param(
            [log_lines.format_skipped(LINE, "is missing", "page 1")], None, id="a record that quotes such a line"
        ),
        pytest.param(
            [LINE.replace("SourceNotListening", "OfANewerVersion")],
            msgspec.structs.replace(TROUBLE, cause=None),
            id="the cause of another version",
        ),
    ],
)
def test_what_is_waited_for_ends_with_the_next_answer(lines: list[str], trouble: Trouble | None) -> None:
    assert parse_trouble(lines) == trouble


@pytest.mark.parametrize("quoted", [log_lines.format_page(99, 99, 100), log_lines.format_page_complete(99, 9900)])
@pytest.mark.parametrize("is_json", [False, True])
def test_a_record_that_quotes_a_line_of_progress_makes_none(quoted: str, *, is_json: bool) -> None:
    lines = [
        log_lines.format_page(1, 17, 100),
        log_lines.format_page_complete(1, 100),
        log_lines.format_skipped(quoted, "is missing", "page 2"),
    ]
    shown = [msgspec.json.encode({"message": line}).decode() for line in lines] if is_json else lines

    progress = parse_progress(shown)

    assert progress is not None
    assert (progress.text, progress.fetched) == ("1/17", 100)
