"""What Attic Tech is waited for is read back from the log that the sync program prints, in either format."""

from datetime import UTC, datetime

import msgspec
import pytest
from estimatesync_contract import log_lines
from estimatesync_contract.log_lines import Trouble, format_retry, parse_trouble
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
        pytest.param([LINE, log_lines.format_received(3, 1000)], None, id="a page has come"),
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
