import gzip
import hashlib
import re
import zlib
from datetime import date

import pytest
from estimatesync_api.core.listing import find_work
from estimatesync_api.core.problems import ApiError, Problem
from estimatesync_api.core.sync_request import (
    Features,
    SyncRequest,
    build_sync,
    compute_request_digest,
    parse_sync_request,
    require_same_request,
    unpack_body,
)
from estimatesync_contract.names import ANNOTATION_STARTED_BY, ANNOTATION_TRACEPARENT
from estimatesync_contract.spec import DateRange, Mode
from estimatesync_tracing.context import TraceContext, format_traceparent

TODAY = date(2025, 10, 16)
BODY = b'{"startDate":"2025-09-05"}'
DEFAULT = ("2025-09-01", "2025-10-16")


def parse(body: bytes = b"", *, query: dict[str, str | list[str]] | None = None, key: str | None = None) -> SyncRequest:
    return parse_sync_request(query=query or {}, body=body, idempotency_key=key, today=TODAY)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"", DEFAULT, id="no body"),
        pytest.param(b" \r\n", DEFAULT, id="blank body"),
        pytest.param(b"{}", DEFAULT, id="no fields"),
        pytest.param(b"null", DEFAULT, id="null"),
        pytest.param(b'{"startDate":null,"endDate":""}', DEFAULT, id="items that are not mapped in Make.com"),
        pytest.param(
            b'{"startDate":"2025-09-05","endDate":"2025-09-06"}', ("2025-09-05", "2025-09-06"), id="camel case"
        ),
        pytest.param(
            b'{"start_date":"2025-09-05","end_date":"2025-09-06"}', ("2025-09-05", "2025-09-06"), id="snake case"
        ),
        pytest.param(
            b'{"startDate":"2025-09-05","start_date":"2025-09-05"}', ("2025-09-05", "2025-10-16"), id="both, equal"
        ),
        pytest.param(
            b'{"startDate":"","start_date":" 2025-09-05 "}',
            ("2025-09-05", "2025-10-16"),
            id="the one that is not empty",
        ),
        pytest.param(b'{"startDate":"2025-10-16"}', ("2025-10-16", "2025-10-16"), id="only a start: until today"),
        pytest.param(b'{"endDate":"2024-03-15"}', ("2024-01-30", "2024-03-15"), id="only an end: 45 days before it"),
        pytest.param(b'{"startDate":"2024-02-29"}', ("2024-02-29", "2025-10-16"), id="leap day"),
        pytest.param(b'{"startDate":"1970-01-01"}', ("1970-01-01", "2025-10-16"), id="the first day"),
        pytest.param(
            b'{"startDate":"2999-12-31","endDate":"2999-12-31"}', ("2999-12-31", "2999-12-31"), id="the last day"
        ),
        pytest.param(b'\xef\xbb\xbf{"endDate":"2025-10-16"}', DEFAULT, id="byte order mark"),
        pytest.param(b'{"days":45}', DEFAULT, id="as many days as by default"),
        pytest.param(b'{"days":"7"}', ("2025-10-09", "2025-10-16"), id="days as Make.com sends what was a text"),
        pytest.param(b'{"days":0}', ("2025-10-16", "2025-10-16"), id="today alone"),
        pytest.param(b'{"days":2,"endDate":"2024-03-01"}', ("2024-02-28", "2024-03-01"), id="days before an end"),
        pytest.param(b'{"days":null}', DEFAULT, id="days that are not mapped"),
    ],
)
def test_the_body_says_which_days_to_sync(body: bytes, expected: tuple[str, str]) -> None:
    request = parse(body)

    start, end = (date.fromisoformat(day) for day in expected)
    assert request.date_range == DateRange(start=start, end=end)


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        pytest.param(b"[]", ["The body must be a JSON object."], id="a list"),
        pytest.param(b'"2025-09-01"', ["The body must be a JSON object."], id="a string"),
        pytest.param(
            b'{"startDate":"2025-02-30"}', ['startDate: "2025-02-30" is not a date like 2025-09-01'], id="no such day"
        ),
        pytest.param(
            b'{"start_date":"20250901"}', ['start_date: "20250901" is not a date like 2025-09-01'], id="no dashes"
        ),
        pytest.param(
            b'{"endDate":"2025-09-01T00:00:00.000Z"}',
            ['endDate: "2025-09-01T00:00:00.000Z" is not a date like 2025-09-01'],
            id="a time",
        ),
        pytest.param(b'{"endDate":20250901}', ["endDate: 20250901 is not a date like 2025-09-01"], id="a number"),
        pytest.param(b'{"endDate":{"a":1}}', ["endDate: an object is not a date like 2025-09-01"], id="an object"),
        pytest.param(b'{"endDate":[1]}', ["endDate: a list is not a date like 2025-09-01"], id="a list for a date"),
        pytest.param(
            '{"endDate":"２０２５-09-01"}'.encode(),  # noqa: RUF001 - digits that are not ASCII are the point
            ['endDate: "２０２５-09-01" is not a date like 2025-09-01'],  # noqa: RUF001 - as above
            id="foreign digits",
        ),
        pytest.param(
            b'{"endDate":"' + b"9" * 50_000 + b'"}',
            ['endDate: "' + "9" * 39 + "… is not a date like 2025-09-01"],
            id="a long text is not repeated in full",
        ),
        pytest.param(
            b'{"startDate":"0025-09-01"}',
            ["startDate: 0025-09-01 is not between 1970-01-01 and 2999-12-31"],
            id="a year that lost its century",
        ),
        pytest.param(
            b'{"startDate":"1969-12-31"}',
            ["startDate: 1969-12-31 is not between 1970-01-01 and 2999-12-31"],
            id="a day too early",
        ),
        pytest.param(
            b'{"endDate":"3000-01-01"}',
            ["endDate: 3000-01-01 is not between 1970-01-01 and 2999-12-31"],
            id="a day too late",
        ),
        pytest.param(
            b'{"endDate":"' + b"9" * 38 + b'"}',
            ['endDate: "' + "9" * 38 + '" is not a date like 2025-09-01'],
            id="the longest text that is repeated in full",
        ),
        pytest.param(
            b'{"' + b"x" * 99 + b'":1}',
            ["x" * 40 + ": unknown field; known are startDate, endDate, days, mode, callback and metadata"],
            id="a long name is not repeated in full",
        ),
        *(
            pytest.param(
                b'{"days":%s}' % value,
                [f"days: {value.decode()} is not a whole number from 0 to 10000"],
                id=f"days are {value.decode()}",
            )
            for value in (b"-1", b"7.5", b"true", b'"a week"', b"10001", b'"1e3"', b'"1234567"')
        ),
        pytest.param(b'{"days":[7]}', ["days: a list is not a whole number from 0 to 10000"], id="days are a list"),
        pytest.param(
            b'{"days":7,"start_date":"2025-10-01"}',
            ["days and startDate both say where to begin; send one of them"],
            id="two beginnings",
        ),
        pytest.param(
            b'{"days":7,"endDate":"1970-01-05"}',
            ["days: 7 days before 1970-01-05 is before 1970-01-01"],
            id="days before the first day",
        ),
        pytest.param(
            b'{"endDate":"9999-12-31"}', ["endDate: 9999-12-31 is not between 1970-01-01 and 2999-12-31"], id="too late"
        ),
        pytest.param(
            b'{"startDate":"2025-09-02","endDate":"2025-09-01"}',
            ["startDate 2025-09-02 is after endDate 2025-09-01"],
            id="the wrong way round",
        ),
        pytest.param(
            b'{"startDate":"2025-10-17"}',
            ["startDate 2025-10-17 is after today, 2025-10-16; send endDate as well"],
            id="a start in the future",
        ),
        pytest.param(
            b'{"startDate":"2025-09-01","start_date":"2025-09-02"}',
            ["startDate and start_date are the same field and differ; send one of them"],
            id="two spellings that differ",
        ),
        pytest.param(
            b'{"startdate":"2025-09-01","endDate":"soon","background":false}',
            [
                "startdate: unknown field; known are startDate, endDate, days, mode, callback and metadata",
                "background: unknown field; known are startDate, endDate, days, mode, callback and metadata",
                'endDate: "soon" is not a date like 2025-09-01',
            ],
            id="every fault at once",
        ),
    ],
)
def test_a_body_that_is_not_valid_is_refused_with_every_fault(body: bytes, faults: list[str]) -> None:
    with pytest.raises(ApiError) as caught:
        parse(body)

    assert caught.value.problem is Problem.INVALID_REQUEST
    assert list(caught.value.faults) == faults


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="cut off"),
        pytest.param(b"startDate=2025-09-01", id="a form"),
        pytest.param(b'{"startDate":"2025-09-01",}', id="a trailing comma"),
        pytest.param(b'{"startDate":"\xff"}', id="not UTF-8"),
        pytest.param(b'{"startDate":NaN}', id="NaN"),
        pytest.param(b"[" * 60_000, id="deeply nested"),
    ],
)
def test_a_body_that_is_not_json_is_refused_with_an_example(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        parse(body)

    assert caught.value.problem is Problem.INVALID_JSON
    assert '{"startDate":"2025-09-01","endDate":"2025-10-16"}' in str(caught.value)


@pytest.mark.parametrize(
    ("query", "is_background"),
    [
        pytest.param({}, True, id="nothing said"),
        pytest.param({"background": "false"}, False, id="exactly false"),
        pytest.param({"background": "true"}, True, id="true"),
        pytest.param({"background": "False"}, True, id="another case"),
        pytest.param({"background": "0"}, True, id="zero"),
        pytest.param({"background": ""}, True, id="empty"),
        pytest.param({"background": ["false", "false"]}, True, id="said twice"),
        pytest.param({"cachebuster": "7"}, True, id="a parameter of someone else"),
    ],
)
def test_a_sync_runs_in_the_background_unless_background_is_exactly_false(
    query: dict[str, str | list[str]], *, is_background: bool
) -> None:
    assert parse(query=query).is_background is is_background


@pytest.mark.parametrize(
    ("body", "mode"),
    [
        pytest.param(b"", Mode.WHOLE, id="no-body"),
        pytest.param(b'{"mode":null}', Mode.WHOLE, id="null"),
        pytest.param(b'{"mode":" "}', Mode.WHOLE, id="an item that is not mapped in Make.com"),
        pytest.param(b'{"mode":"whole"}', Mode.WHOLE, id="whole"),
        pytest.param(b'{"mode":"changes"}', Mode.CHANGES, id="changes"),
        pytest.param(b'{"mode":" changes ","endDate":"2025-10-16"}', Mode.CHANGES, id="blanks"),
    ],
)
def test_the_body_says_how_much_of_the_days_to_read(body: bytes, mode: Mode) -> None:
    request = parse(body)

    assert (request.mode, request.date_range.end) == (mode, TODAY)
    assert build_sync(request, name="est-1").spec.mode is (None if mode is Mode.WHOLE else mode)


@pytest.mark.parametrize("value", ['"Changes"', '"all"', "true", "7", "[]", '{"a":1}'])
def test_another_mode_is_refused_with_the_two_that_there_are(value: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse(f'{{"mode":{value}}}'.encode())

    (fault,) = caught.value.faults
    assert fault.startswith("mode: ")
    assert fault.endswith('is neither "whole" nor "changes"')


@pytest.mark.parametrize(
    ("value", "is_refused"), [("changes", True), ("whole", True), ("fast", False), (["changes", "x"], False)]
)
def test_a_mode_in_the_query_is_refused_if_it_is_one_of_ours(
    value: str | list[str],
    is_refused: bool,  # noqa: FBT001 - a column
) -> None:
    """Any other has always been ignored."""
    if is_refused:
        with pytest.raises(ApiError):
            parse(query={"mode": value})
    else:
        assert parse(query={"mode": value}).mode is Mode.WHOLE


def test_the_digest_of_a_request_that_names_no_mode_has_stayed_the_same() -> None:
    """A key that was used before an upgrade is known after it."""
    digests = [compute_request_digest(parse(body)) for body in (b"", b'{"mode":"whole"}', b'{"mode":"changes"}')]

    assert digests[0] == digests[1] == hashlib.sha256(b"[null,null]").hexdigest()
    assert digests[2] != digests[0]


def test_dates_in_the_query_are_refused_because_they_would_be_ignored() -> None:
    with pytest.raises(ApiError) as caught:
        parse(query={"startDate": "2025-09-01", "end_date": "2025-09-02"})

    assert list(caught.value.faults) == [
        "startDate: put it into the JSON body, not into the query",
        "end_date: put it into the JSON body, not into the query",
    ]


@pytest.mark.parametrize(
    ("header", "key"),
    [
        pytest.param(None, None, id="none"),
        pytest.param("run-17", "run-17", id="bare"),
        pytest.param(' "run-17" ', "run-17", id="quoted"),
        pytest.param(r'"a\"b\\c"', r'a"b\c', id="escapes"),
        pytest.param("x" * 255, "x" * 255, id="longest"),
    ],
)
def test_an_idempotency_key_may_be_bare_or_quoted(header: str | None, key: str | None) -> None:
    assert parse(key=header).idempotency_key == key


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="empty"),
        pytest.param('""', id="empty quotes"),
        pytest.param("x" * 256, id="too long"),
        pytest.param("ä", id="not ASCII"),
        pytest.param("a\tb", id="not printable"),
    ],
)
def test_an_idempotency_key_that_cannot_be_kept_is_refused(header: str) -> None:
    with pytest.raises(ApiError, match="Idempotency-Key: send 1 to 255 printable ASCII characters, or no key"):
        parse(key=header)


@pytest.mark.parametrize(
    ("query", "warned"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"background": "true"}, [], id="true"),
        pytest.param({"background": "True"}, [], id="a word for true"),
        pytest.param({"background": "1"}, [], id="one"),
        pytest.param({"background": ""}, [], id="not mapped"),
        pytest.param({"background": " "}, [], id="blank"),
        pytest.param({"background": "yes"}, [], id="yes"),
        pytest.param({"background": "on"}, [], id="on"),
        pytest.param({"background": "a\x1f\x7f ~"}, ["background=a?? ~ was not understood"], id="what no log can show"),
        pytest.param({"background": "False"}, ["background=False was not understood"], id="another case"),
        pytest.param({"background": "no"}, ["background=no was not understood"], id="another word"),
        pytest.param({"background": "0"}, ["background=0 was not understood"], id="zero"),
        pytest.param({"background": " false"}, ["background= false was not understood"], id="a space"),
        pytest.param({"background": "false;"}, ["background=false; was not understood"], id="more than the word"),
        pytest.param({"background": ["false", "false"]}, ["background was sent several times"], id="twice"),
        pytest.param({"backgroud": "false"}, ["backgroud was not understood"], id="misspelt"),
        pytest.param({"Background": "false"}, ["Background was not understood"], id="a name in another case"),
        pytest.param({"wait": "1", "mode": "x"}, ["wait was not", "mode was not"], id="two unknown"),
        pytest.param({"made-up-secret": ""}, ["a parameter without a value was not"], id="what stands alone"),
        pytest.param({"b\nsync=est-1 stored": "x"}, ["b?sync=est-1 stored was not"], id="a forged line"),
        pytest.param({f"p{n}": "x" for n in range(99)}, [f"p{n} was not" for n in range(5)], id="many"),
        pytest.param({"x" * 999: "y"}, ["x" * 40 + " was not"], id="a long name"),
    ],
)
def test_what_the_query_says_and_nobody_understands_is_a_warning(
    query: dict[str, str | list[str]], warned: list[str]
) -> None:
    request = parse(query=query)

    assert request.is_background
    assert all(text.startswith(start) for text, start in zip(request.warnings, warned, strict=True))


def test_who_waits_for_the_end_says_so_exactly() -> None:
    request = parse(query={"background": "false"})

    assert (request.is_background, request.warnings) == (False, ())


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        pytest.param("", BODY, id="none"),
        pytest.param("identity", BODY, id="as it is"),
        pytest.param("gzip", gzip.compress(BODY), id="gzip"),
        pytest.param(" GZip ", gzip.compress(BODY), id="another case"),
        pytest.param("x-gzip", gzip.compress(BODY), id="the old name"),
        pytest.param("gzip", gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]), id="two parts"),
    ],
)
def test_a_body_is_unpacked(encoding: str, packed: bytes) -> None:
    assert unpack_body(packed, encoding, most=100) == BODY


def test_an_empty_body_is_no_body_however_it_is_packed() -> None:
    assert unpack_body(b"", "gzip", most=100) == unpack_body(gzip.compress(b""), "gzip", most=100) == b""


@pytest.mark.parametrize(
    ("encoding", "packed", "problem"),
    [
        pytest.param("br", BODY, Problem.ENCODING_UNSUPPORTED, id="another encoding"),
        pytest.param("deflate", zlib.compress(BODY), Problem.ENCODING_UNSUPPORTED, id="deflate"),
        pytest.param("gzip, gzip", gzip.compress(gzip.compress(BODY)), Problem.ENCODING_UNSUPPORTED, id="twice"),
        pytest.param("gzip", BODY, Problem.INVALID_REQUEST, id="not packed"),
        pytest.param("gzip", gzip.compress(BODY)[:-9], Problem.INVALID_REQUEST, id="cut off"),
        pytest.param("gzip", gzip.compress(BODY) + b"x", Problem.INVALID_REQUEST, id="something behind it"),
        pytest.param("gzip", gzip.compress(BODY)[:-8] + bytes(8), Problem.INVALID_REQUEST, id="a wrong checksum"),
        pytest.param("gzip", gzip.compress(bytes(101)), Problem.BODY_TOO_LARGE, id="one byte too many"),
        pytest.param("gzip", gzip.compress(bytes(60)) * 2, Problem.BODY_TOO_LARGE, id="too many parts"),
    ],
)
def test_a_body_that_cannot_be_unpacked_is_refused(encoding: str, packed: bytes, problem: Problem) -> None:
    with pytest.raises(ApiError) as caught:
        unpack_body(packed, encoding, most=100)

    assert caught.value.problem is problem


def test_a_bomb_is_refused() -> None:
    # Packed here: every worker would do it while it collects tests.
    bomb = gzip.compress(bytes(10**8))

    with pytest.raises(ApiError) as caught:
        unpack_body(bomb, "gzip", most=100)

    assert caught.value.problem is Problem.BODY_TOO_LARGE


FEATURES = Features(targets=("billing", "crm"), has_metadata=True)


def parse_with_features(body: bytes) -> SyncRequest:
    return parse_sync_request(query={}, body=body, idempotency_key=None, today=TODAY, features=FEATURES)


@pytest.mark.parametrize(
    ("callback", "targets"),
    [
        pytest.param("null", (), id="not mapped"),
        pytest.param('""', (), id="blank"),
        pytest.param("[]", (), id="none"),
        pytest.param('"billing"', ("billing",), id="one"),
        pytest.param('[" crm ","billing","crm",""]', ("crm", "billing"), id="several, each once"),
        pytest.param('"default"', (), id="the default one alone is as without"),
        pytest.param('["default","billing"]', ("default", "billing"), id="the default one and another"),
    ],
)
def test_the_outcome_goes_to_the_targets_that_are_named(callback: str, targets: tuple[str, ...]) -> None:
    request = parse_with_features(f'{{"callback":{callback}}}'.encode())

    assert request.targets == targets
    assert build_sync(request, name="est-1").spec.callback.targets == targets


@pytest.mark.parametrize(
    ("callback", "fault"),
    [
        ('"bill"', 'callback: "bill" is not one of the targets here: default, billing, crm'),
        ('["crm","https://hook.test/x"]', 'callback: "https://hook.test/x" is not one of the targets here: '),
        ("7", "callback: send the name of a target, or a list of names"),
        ("[7]", "callback: send the name of a target, or a list of names"),
        ('{"url":"https://hook.test"}', "callback: send the name of a target, or a list of names"),
    ],
)
def test_only_targets_that_exist_can_be_named(callback: str, fault: str) -> None:
    with pytest.raises(ApiError, match=re.escape(fault)):
        parse_with_features(f'{{"callback":{callback}}}'.encode())


def test_where_no_targets_are_set_the_default_one_is_the_only_one() -> None:
    with pytest.raises(ApiError, match=r'"billing" is not one of the targets here: default$'):
        parse(b'{"callback":"billing"}')


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param(b'{"startDate":"2025-09-05"}', "other dates (2025-09-05 to 2025-10-16)", id="dates"),
        pytest.param(b'{"mode":"changes"}', "something else (changes of 2025-09-01 to 2025-10-16)", id="mode"),
        pytest.param(b'{"callback":"billing"}', "something else (2025-09-01 to 2025-10-16)", id="targets"),
    ],
)
def test_a_key_that_was_used_for_another_request_is_refused_with_what_differs(body: bytes, said: str) -> None:
    stored = build_sync(parse_with_features(b""), name="est-1")

    with pytest.raises(ApiError, match=re.escape(f"(2025-09-01 to 2025-10-16), and this request asks for {said}")):
        require_same_request(stored, parse_with_features(body))


def test_who_asked_and_in_which_trace_are_both_on_the_sync() -> None:
    origin = TraceContext(trace_id=1, span_id=2, is_sampled=True)
    request = parse_sync_request(query={}, body=b"", idempotency_key=None, today=TODAY, caller="make")

    annotations = build_sync(request, name="est-1", origin=origin).metadata.annotations

    assert annotations[ANNOTATION_STARTED_BY] == "make"
    assert annotations[ANNOTATION_TRACEPARENT] == format_traceparent(origin)


def test_other_targets_are_another_request_and_another_work() -> None:
    plain, billing, both, turned = (
        parse_with_features(body)
        for body in (
            b"",
            b'{"callback":"billing"}',
            b'{"callback":["billing","crm"]}',
            b'{"callback":["crm","billing"]}',
        )
    )

    assert len({compute_request_digest(each) for each in (plain, billing, both)}) == 3
    assert compute_request_digest(both) == compute_request_digest(turned)
    assert len({each.work for each in (plain, billing, both)}) == 3
    assert both.work == turned.work


def test_a_callback_in_the_query_is_somebody_elses_and_was_always_ignored() -> None:
    request = parse(query={"callback": "jQuery123"})

    assert request.warnings == (
        "callback was not understood and has no effect; the only known parameter is background",
    )


@pytest.mark.parametrize("metadata", ["null", '""', "{}"])
def test_no_metadata_are_none(metadata: str) -> None:
    assert parse(f'{{"metadata":{metadata}}}'.encode()).metadata is None


def test_metadata_are_stored_with_the_values_that_were_sent() -> None:
    sent = '{"order":9007199254740991,"team":"Büro \\"A\\"","share":0.5,"urgent":true,"note":null}'
    request = parse_with_features(f'{{"metadata":{sent}}}'.encode())

    assert build_sync(request, name="est-1").spec.metadata == sent


@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        pytest.param('{"a":["s3cret"]}', "metadata: send an object of texts, numbers, true, false and null", id="list"),
        pytest.param('{"a":{"b":"s3cret"}}', "metadata: send an object of texts, numbers", id="object"),
        pytest.param('"s3cret"', "metadata: send an object of texts, numbers", id="text"),
        pytest.param('["s3cret"]', "metadata: send an object of texts, numbers", id="no object"),
        pytest.param(f'{{"s3cret":"{"é" * 1020}"}}', "metadata: send at most 2048 bytes", id="too long"),
        pytest.param(
            '{"s3cret":9007199254740992}', "metadata: send whole numbers beyond ±9007199254740991", id="large"
        ),
        pytest.param(f'{{"s3cret":-1{"0" * 400}}}', "metadata: send whole numbers beyond ±", id="larger than a double"),
    ],
)
def test_metadata_that_no_callback_could_carry_are_refused_and_not_repeated(metadata: str, fault: str) -> None:
    with pytest.raises(ApiError) as error:
        parse_with_features(f'{{"metadata":{metadata}}}'.encode())

    assert str(error.value).startswith(fault)
    assert "s3cret" not in str(error.value)


def test_metadata_up_to_the_limit_are_taken() -> None:
    assert parse_with_features(f'{{"metadata":{{"a":"{"x" * 2040}"}}}}'.encode()).metadata


def test_where_metadata_are_not_taken_the_error_says_what_to_set() -> None:
    with pytest.raises(ApiError, match=r"^metadata: not taken here; set SYNC_METADATA, or leave the field out$"):
        parse(b'{"metadata":{"order":4711}}')


def test_what_the_deployment_does_not_have_is_left_open_if_a_key_may_name_a_stored_sync() -> None:
    body = b'{"callback":["crm","gone"],"metadata":{"order":4711}}'
    before = parse_with_features(body.replace(b"gone", b"billing"))

    after = parse(body.replace(b"gone", b"billing"), key="run-17")

    assert compute_request_digest(after) == compute_request_digest(before)
    assert after.absences == (
        'callback: "crm" is not one of the targets here: default',
        "metadata: not taken here; set SYNC_METADATA, or leave the field out",
    )


def test_every_fault_is_named_at_once_with_a_key_too() -> None:
    with pytest.raises(ApiError) as error:
        parse(b'{"days":"x","callback":"crm"}', key="run-17")

    assert [fault.partition(":")[0] for fault in error.value.faults] == ["days", "callback"]


def test_other_metadata_are_another_request_and_another_work() -> None:
    plain, one, other, turned = (
        parse_with_features(f'{{"metadata":{metadata}}}'.encode())
        for metadata in ("{}", '{"a":1,"b":"x"}', '{"a":"1","b":"x"}', '{"b":"x","a":1}')
    )

    assert len({compute_request_digest(each) for each in (plain, one, other)}) == 3
    assert compute_request_digest(one) == compute_request_digest(turned)
    assert len({each.work for each in (plain, one, other)}) == 3
    assert one.work == turned.work == find_work(build_sync(one, name="est-1"))
