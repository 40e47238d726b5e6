"""What may stand behind an option, and what is said where something else does."""

from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import Any

import pytest
from estimatesync_client.core.arguments import (
    parse_choice,
    parse_count,
    parse_day,
    parse_idempotency_key,
    parse_metadata,
    parse_moment,
    parse_seconds,
    parse_statuses,
)
from estimatesync_client.core.errors import UsageError

COUNT = partial(parse_count, "--limit", minimum=1, maximum=10_000)
SECONDS = partial(parse_seconds, "--timeout")
OUTPUT = partial(parse_choice, "--output", choices=("text", "json"))


@pytest.mark.parametrize(
    ("parse", "text", "parsed"),
    [
        pytest.param(parse_day, "2025-09-01", date(2025, 9, 1), id="a day"),
        pytest.param(COUNT, "1", 1, id="the least"),
        pytest.param(COUNT, "10000", 10_000, id="the most"),
        pytest.param(SECONDS, "0", 0.0, id="no time"),
        pytest.param(SECONDS, "1.5", 1.5, id="some time"),
        pytest.param(OUTPUT, "JSON", "json", id="a word in capitals"),
        pytest.param(parse_statuses, ["failed, Cancelled", "queued"], ("failed", "cancelled", "queued"), id="statuses"),
        pytest.param(parse_statuses, [], (), id="no status"),
        pytest.param(parse_metadata, ["order=4711", "note=a=b"], {"order": "4711", "note": "a=b"}, id="metadata"),
        pytest.param(parse_idempotency_key, "nightly", "nightly", id="a key"),
    ],
)
def test_what_is_meant_is_understood(parse: Callable[[Any], Any], text: Any, parsed: Any) -> None:
    assert parse(text) == parsed


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        pytest.param(parse_day, "yesterday", "'yesterday' is not a day; write 2025-09-01.", id="a word"),
        pytest.param(parse_day, "2025-13-01", "'2025-13-01' is not a day; write 2025-09-01.", id="no such month"),
        pytest.param(parse_day, "20250901", "'20250901' is not a day; write 2025-09-01.", id="without signs"),
        pytest.param(parse_day, "a\x1b[31m", "'a\ufffd[31m' is not a day; write 2025-09-01.", id="an escape"),
        pytest.param(COUNT, "0", "--limit takes a whole number from 1 to 10,000, not '0'.", id="too few"),
        pytest.param(COUNT, "10001", "--limit takes a whole number from 1 to 10,000, not '10001'.", id="too many"),
        pytest.param(COUNT, "many", "--limit takes a whole number from 1 to 10,000, not 'many'.", id="no number"),
        pytest.param(SECONDS, "-1", "--timeout takes seconds, such as 90, not '-1'.", id="back in time"),
        pytest.param(SECONDS, "nan", "--timeout takes seconds, such as 90, not 'nan'.", id="no number of seconds"),
        pytest.param(SECONDS, "inf", "--timeout takes seconds, such as 90, not 'inf'.", id="for ever"),
        pytest.param(SECONDS, "1m", "--timeout takes seconds, such as 90, not '1m'.", id="a unit"),
        pytest.param(OUTPUT, "xml", "--output takes text or json, not 'xml'.", id="another word"),
        pytest.param(
            parse_statuses,
            ["failed,broken"],
            "'broken' is not a status; write queued, running, succeeded, failed or cancelled.",
            id="no status",
        ),
        pytest.param(
            parse_metadata, ["order"], "--metadata takes a name and a text, such as order=4711.", id="no pair"
        ),
        pytest.param(
            parse_idempotency_key,
            "schlüssel",
            "--idempotency-key takes 1 to 255 printable ASCII characters.",
            id="a key beyond ASCII",
        ),
    ],
)
def test_anything_else_is_named_with_what_to_write(parse: Callable[[Any], Any], text: Any, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(text)

    assert raised.value.message == said


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        pytest.param(None, None, id="nothing"),
        pytest.param("2d", "2026-11-22T16:00:00Z", id="days ago"),
        pytest.param("12h", "2026-11-24T04:00:00Z", id="hours ago"),
        pytest.param("2025-09-01", "2025-09-01", id="a day"),
        pytest.param("2025-09-01T14:00:00Z", "2025-09-01T14:00:00Z", id="an instant"),
        pytest.param("2025-09-01T14:00+02:00", "2025-09-01T14:00+02:00", id="an instant elsewhere"),
        pytest.param("2025-09-01T14:00:00", "2025-09-01T14:00:00", id="an instant of the server's zone"),
    ],
)
def test_a_moment_is_handed_on_and_an_age_becomes_one(now: datetime, text: str | None, parsed: str | None) -> None:
    assert parse_moment("--since", text, now) == parsed


@pytest.mark.parametrize("text", ["yesterday", "2025-02-30", "2d ago", "2025-09-01T25:00:00Z", "3w", ""])
def test_what_is_no_moment_is_named_with_what_is_one(now: datetime, text: str) -> None:
    with pytest.raises(UsageError, match=r"^--since takes a day such as 2025-09-01, .* or an age such as 2d or 12h"):
        parse_moment("--since", text, now)
