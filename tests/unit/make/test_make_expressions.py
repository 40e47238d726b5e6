"""Templates and filters are worked out as Make.com does."""

from datetime import UTC, datetime
from typing import Any

import pytest
from estimatesync_make.templates import Scope, TemplateError, matches_filter, parse_template, render

SCOPE = Scope(
    outputs={
        1: {"count": 45, "minutes": 8.1, "whole": 8.0, "none": None, "is_new": False, "text": "<b> & co"},
        2: {"headers": [{"name": "a", "value": "x"}, {"name": "b", "value": "y"}], "deep": {"er": {"est": "gold"}}},
    },
    variables={
        "now": datetime(2025, 10, 16, 14, 15, 30, tzinfo=UTC),
        "timestamp": 1_000,
        "var.scenario.executionId": "e1",
    },
)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param("no holes", "no holes", id="text"),
        pytest.param("{{1.count}}", 45, id="one-hole-keeps-its-type"),
        pytest.param("New: {{1.count}}!", "New: 45!", id="text-around"),
        pytest.param("{{1.minutes}} and {{1.whole}}", "8.1 and 8", id="numbers-as-javascript-writes-them"),
        pytest.param("[{{1.none}}{{1.missing}}{{1.missing.deeper}}]", "[]", id="nothing-for-what-is-missing"),
        pytest.param("{{1.is_new}}.", "false.", id="boolean"),
        pytest.param("{{2.deep.er.est}}", "gold", id="path"),
        pytest.param('{{get(map(2.headers; "value"; "name"; "b"); 1)}}', "y", id="header"),
        pytest.param('{{get(map(2.headers; "value"; "name"; "c"); 1)}}', None, id="missing-header"),
        pytest.param("{{timestamp - 300}}", 700, id="difference"),
        pytest.param("{{timestamp + 300}}", 1300, id="sum"),
        pytest.param('{{1.count + "." + 1.text}}', "45.<b> & co", id="joined"),
        pytest.param("{{escapeHTML(1.text)}}", "&lt;b&gt; &amp; co", id="escaped"),
        pytest.param('{{replace("whsec_abc"; "whsec_"; "")}}', "abc", id="replaced"),
        pytest.param("at {{now}}", "at 2025-10-16T14:15:30.000Z", id="now"),
        pytest.param("run {{var.scenario.executionId}}", "run e1", id="variable"),
        pytest.param({"to": ["{{1.count}}"], "n": 3}, {"to": [45], "n": 3}, id="deep"),
    ],
)
def test_a_field_is_filled(template: Any, expected: Any) -> None:
    assert render(template, SCOPE) == expected


def test_sha256_meets_the_published_vector_of_standard_webhooks() -> None:
    outputs = {1: {"id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "at": "1614265330", "body": '{"test": 2432232314}'}}
    signed = '1.id + "." + 1.at + "." + 1.body; "base64"; "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"; "base64"'

    assert render(f"v1,{{{{sha256({signed})}}}}", Scope(outputs=outputs)) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


@pytest.mark.parametrize("template", ["{{1.a", "1.a}}", "{{}}", "{{get(1.a}}", "{{1.a 1.b}}", "{{1.a,1.b}}", "{{1 +}}"])
def test_what_cannot_be_read_is_refused(template: str) -> None:
    with pytest.raises(TemplateError):
        parse_template(template)


@pytest.mark.parametrize(
    ("left", "operator", "right", "expected"),
    [
        pytest.param("{{2.deep.er.est}}", "text:equal", "gold", True, id="equal"),
        pytest.param("{{2.deep.er.est}}", "text:equal", "Gold", False, id="other-capitals"),
        pytest.param("{{2.deep.er.est}}", "text:contain", "old", True, id="contained"),
        pytest.param("{{1.none}}", "text:contain", "x", False, id="nothing-contains-nothing"),
        pytest.param("{{1.is_new}}", "boolean:equal", "false", True, id="false"),
        pytest.param("1000", "number:greaterorequal", "{{timestamp}}", True, id="number-as-text"),
        pytest.param("{{1.none}}", "number:lessorequal", "5", False, id="no-number"),
        pytest.param("soon", "number:greaterorequal", "5", False, id="not-a-number"),
        pytest.param("{{1.none}}", "exist", "", False, id="null-does-not-exist"),
        pytest.param("{{1.is_new}}", "exist", "", True, id="false-exists"),
    ],
)
def test_a_condition_is_decided(left: str, operator: str, right: str, *, expected: bool) -> None:
    condition = {"name": "x", "conditions": [[{"a": left, "o": operator, "b": right}]]}

    assert matches_filter(condition, SCOPE) is expected


def test_any_group_is_enough_and_needs_all_of_its_conditions() -> None:
    true, false = ({"a": "x", "o": "text:equal", "b": side} for side in ("x", "y"))

    assert matches_filter({"name": "x", "conditions": [[true, false], [true]]}, SCOPE)
    assert not matches_filter({"name": "x", "conditions": [[true, false], [false]]}, SCOPE)
    assert matches_filter(None, SCOPE)
