"""What a generated table or answer looks like to the reader of a page."""

import json

from estimatesync_docs.tables import JSON_WIDTH, format_json


def test_json_stays_on_one_line_while_it_fits_and_is_the_same_json_when_it_does_not() -> None:
    short = {"start": "2025-09-01", "end": "2025-10-16"}
    value = {"days": short, "names": ["Zoë " * 20, "x" * 60], "nothing": None, "none": {}}

    written = format_json(value)

    assert f'  "days": {json.dumps(short)},' in written.splitlines()
    assert json.loads(written) == value
    assert "Zoë" in written
    assert all(len(line) <= JSON_WIDTH for line in written.splitlines())


def test_what_is_too_long_for_one_line_is_not_cut() -> None:
    assert json.loads(format_json(["x" * (JSON_WIDTH + 1)])) == ["x" * (JSON_WIDTH + 1)]
