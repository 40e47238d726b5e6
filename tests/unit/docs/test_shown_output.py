"""What a page shows is found in what was printed, however the figures differ, and nothing else is."""

import pytest
from estimatesync_docs.page_runner import MissingLine, find_ids, format_command


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        pytest.param("HTTP 202 after 41 ms", "HTTP 202 after 7 ms", id="number"),
        pytest.param(
            "  Ended      2026-11-24 17:54:15, after 4 s", "Ended 2027-01-01 00:00:00, after 1 min", id="time"
        ),
        pytest.param("october Succeeded 17/17 1609 9m", "october   Succeeded   3/3   230    12s", id="columns"),
        pytest.param("october Succeeded 1609 9m", "october   Succeeded   230    1m5s", id="composed age"),
        pytest.param('{"id":"…","more":1}', '{"id":"anything at all","more":22}', id="anything"),
        pytest.param("begins like this …", "begins like this", id="nothing is anything"),
        pytest.param("running ━━━━╺━━━ 55% 0:00:03", "running ━╸ 7% 0:00:11", id="bar"),
        pytest.param('"timestamp":"2026-11-24T14:09:00.000Z"', '"timestamp":"2030-01-02T03:04:05.678Z"', id="instant"),
    ],
)
def test_what_differs_from_run_to_run_does_not_matter(shown: str, printed: str) -> None:
    assert find_ids([shown], ["something before", printed, "something after"]) == {}


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        pytest.param(["succeeded"], ["failed"], id="another word"),
        pytest.param(["New: 45"], ["New: none"], id="no number"),
        pytest.param(["one", "two"], ["two", "one"], id="another order"),
        pytest.param(["one", "one"], ["one"], id="once instead of twice"),
        pytest.param(["one"], [], id="nothing at all"),
        pytest.param(["done"], ["done and more"], id="only a part of the line"),
    ],
)
def test_a_line_that_was_not_printed_is_missed(shown: list[str], printed: list[str]) -> None:
    with pytest.raises(MissingLine):
        find_ids(shown, printed)


def test_the_ids_of_the_page_are_learnt_and_put_into_later_commands() -> None:
    shown = ["est-c524b9145bc7 running", "", "est-20261124-140900000-k3x9q2ab is started."]
    printed = ["est-aaaa running", "est-20300101-000000000-bbbbbbbb is started."]

    ids = find_ids(shown, printed)

    assert format_command("status est-c524b9145bc7", ids) == "status est-aaaa"
    assert format_command("cancel est-c524 && show est-20261124-140900000-k3x9q2ab/logs", ids) == (
        "cancel est-aaaa && show est-20300101-000000000-bbbbbbbb/logs"
    )
    assert format_command("status est-unknown", ids) == "status est-unknown"
