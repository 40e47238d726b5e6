"""The console script against servers that are away, busy, strange, or not to be trusted."""

import json
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(sys.executable).with_name("estimatesync")
STARTED = {"success": True, "message": "Started.", "status": "processing", "sync_id": "est-1"}
SYNC = {"success": True, "sync_id": "est-1", "status": "running"}
BUSY = {"success": False, "message": "Come back later.", "code": "unavailable"}
KEY = "made-up-key-of-this-test"


@pytest.fixture
def unused_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


def test_a_start_is_sent_again_with_the_same_key_until_it_is_answered(
    act: Callable[..., Any], client: Callable[..., Any]
) -> None:
    server = act((503, BUSY, {"Retry-After": "1"}), (None,), (429, BUSY), (202, STARTED))

    ended = client(server.url).run("start", "--from", "2025-09-01", "--to", "2025-10-16", "--output", "json")

    assert (ended.code, ended.document) == (0, STARTED)
    assert [asked.method for asked in server.asked] == ["POST"] * 4
    (key,) = {asked.headers["idempotency-key"] for asked in server.asked}
    assert len(key) == 32
    (body,) = {asked.body for asked in server.asked}
    assert json.loads(body) == {"startDate": "2025-09-01", "endDate": "2025-10-16"}
    assert ended.err == "The server cannot answer now: Come back later. Retrying for up to 30 s.\n"


def test_only_changes_are_asked_for_where_that_is_said(act: Callable[..., Any], client: Callable[..., Any]) -> None:
    server = act((202, STARTED))

    ended = client(server.url).run("start", "--changes")

    assert ended.code == 0
    assert [json.loads(asked.body) for asked in server.asked] == [{"mode": "changes"}]


def test_every_start_has_a_key_of_its_own_unless_one_is_given(
    act: Callable[..., Any], client: Callable[..., Any]
) -> None:
    server = act((202, STARTED))

    for arguments in ((), (), ("--idempotency-key", "nightly")):
        client(server.url).run("start", *arguments)

    first, second, given = (asked.headers["idempotency-key"] for asked in server.asked)
    assert first != second
    assert given == "nightly"


def test_a_start_whose_fate_is_unknown_says_how_to_repeat_it(
    act: Callable[..., Any], client: Callable[..., Any]
) -> None:
    server = act((None,))

    ended = client(server.url).run("--patience", "0.6", "start", "-o", "json")

    assert (ended.code, ended.document["code"]) == (5, "unavailable")
    (key,) = {asked.headers["idempotency-key"] for asked in server.asked}
    assert f"--idempotency-key {key}" in ended.document["cure"]


def test_a_server_that_asks_for_more_time_than_there_is_is_not_asked_again(
    act: Callable[..., Any], client: Callable[..., Any]
) -> None:
    server = act((429, BUSY, {"Retry-After": "600"}))

    ended = client(server.url).run("list")

    assert ended.code == 5
    assert "Try again in 600 s" in ended.err
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "arguments", [pytest.param(("list",), id="list"), pytest.param(("start",), id="start"), ("logs", "est-1")]
)
def test_a_server_that_is_away_is_named_at_once(
    client: Callable[..., Any], unused_url: str, arguments: tuple[str, ...]
) -> None:
    ended = client(unused_url).run(*arguments)

    host = unused_url.removeprefix("http://")
    said = (
        f"✘ Nothing listens at {host}.\n  → Check host and port in ESTIMATESYNC_URL, and that the service is running\n"
    )
    assert (ended.code, ended.out, ended.err) == (5, "", said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("start", "--wait"), "Retrying for up to 300 s.", id="a wait"),
        pytest.param(("logs", "est-1", "--follow"), "Retrying for up to 300 s.", id="a log that is followed"),
        pytest.param(("list", "--watch"), "Retrying for up to 300 s.", id="a list that is watched"),
        pytest.param(("--patience", "20", "list"), "Retrying for up to 20 s.", id="a person with patience"),
    ],
)
def test_whoever_waits_waits_for_a_server_too(
    client: Callable[..., Any], unused_url: str, arguments: tuple[str, ...], said: str
) -> None:
    client(unused_url).start(*arguments).wait_for(said)


@pytest.mark.parametrize("arguments", [pytest.param(("list",), id="list"), pytest.param(("doctor",), id="doctor")])
def test_authorities_that_cannot_be_read_are_named(
    client: Callable[..., Any], unused_url: str, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "empty.pem").touch()

    ended = client(unused_url, SSL_CERT_FILE=str(tmp_path / "empty.pem")).run(*arguments)

    assert ended.code == 2
    assert "✘ The certificate authorities in the file of SSL_CERT_FILE cannot be read." in ended.err
    assert "→ Set SSL_CERT_FILE to a PEM file with certificates" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        pytest.param((200, b"<html>Welcome!</html>"), "is not one of an EstimateSync API", id="another page"),
        pytest.param((404, b"<html>Not Found</html>"), "is not an EstimateSync API", id="a foreign 404"),
        pytest.param((200, {"success": True, "syncs": 7}), "a shape that this program does not know", id="odd JSON"),
        pytest.param((308, b"", {"Location": "https://b.example/x"}), "redirects to https://b.example", id="redirect"),
    ],
)
def test_another_server_is_distinguished_from_an_unreachable_one(
    act: Callable[..., Any], client: Callable[..., Any], reply: tuple[Any, ...], said: str
) -> None:
    server = act(reply)

    ended = client(server.url).run("list")

    assert ended.code == 5
    assert said in ended.err
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(400, 1, id="refused"),
        pytest.param(401, 6, id="no key"),
        pytest.param(403, 6, id="wrong key"),
        pytest.param(409, 9, id="not now"),
        pytest.param(500, 1, id="their defect"),
    ],
)
def test_an_error_of_the_api_is_shown_in_its_own_words(
    act: Callable[..., Any], client: Callable[..., Any], status: int, code: int
) -> None:
    problem = {"success": False, "message": "a: wrong; b: wrong", "code": "some_code", "errors": ["a: wrong"]}
    server = act((status, problem))

    ended = client(server.url).run("list", "--output=json")

    assert ended.code == ended.document["exit_code"] == code
    assert "a: wrong; b: wrong" in ended.document["message"]
    assert ended.document["code"] == "some_code"


def test_tls_is_checked_and_an_authority_of_ones_own_can_be_trusted(
    act: Callable[..., Any], client: Callable[..., Any], tls: ssl.SSLContext, trust: dict[str, str]
) -> None:
    server = act((200, {"success": True, "syncs": [], "next_cursor": None}), context=tls)

    strange, trusted = client(server.url).run("list"), client(server.url).run("list", **trust)

    assert strange.code == 5
    assert "The certificate of 127.0.0.1" in strange.err
    assert "Retrying" not in strange.err
    assert (trusted.code, trusted.err) == (0, "There is no sync yet.\n")
    assert [asked.headers["x-api-key"] for asked in server.asked] == [KEY]


def test_https_at_a_port_without_tls_is_reported_at_once(act: Callable[..., Any], client: Callable[..., Any]) -> None:
    server = act((200, {}))

    ended = client(server.url.replace("http:", "https:")).run("list")

    assert ended.code == 5
    assert "does not speak TLS" in ended.err


def test_the_way_to_this_machine_leads_through_no_proxy(act: Callable[..., Any], client: Callable[..., Any]) -> None:
    server = act((200, {"success": True, "syncs": [], "next_cursor": None}))

    ended = client(server.url, HTTP_PROXY="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9").run("list")

    assert ended.code == 0


def test_a_path_in_the_address_and_odd_ids_are_kept(act: Callable[..., Any], client: Callable[..., Any]) -> None:
    server = act((200, SYNC))

    client(f"{server.url}/prefix/").run("status", "../a b?c")

    assert server.asked[0].path == "/prefix/api/automations/estimates/syncs/..%2Fa%20b%3Fc"


def test_a_list_hands_on_its_filters(act: Callable[..., Any], client: Callable[..., Any]) -> None:
    server = act((200, {"success": True, "syncs": [], "next_cursor": None}))

    ended = client(server.url).run(
        *("list", "-s", "failed", "--status", "cancelled", "--since", "2025-09-01", "--until", "2025-10-01"),
        *("--limit", "7", "--cursor", "abc"),
    )

    assert ended.err == "No sync matches.\n"
    query = server.asked[0].path.partition("?")[2].split("&")
    assert query == ["limit=7", "status=failed%2Ccancelled", "since=2025-09-01", "until=2025-10-01", "cursor=abc"]


def test_a_watched_list_tells_what_changes_until_ctrl_c(act: Callable[..., Any], client: Callable[..., Any]) -> None:
    first = {"success": True, "syncs": [SYNC], "next_cursor": None}
    ended = {**SYNC, "status": "failed", "reason": "LoginFailed"}
    server = act((200, first), (200, first), (200, {**first, "syncs": [{**SYNC, "sync_id": "est-2"}, ended]}))
    watching = client(server.url).start("list", "--watch")
    watching.wait_for("est-2")

    told = watching.interrupt()

    assert (told.code, told.err) == (130, "")
    assert [" ".join(line.split()) for line in told.out.splitlines()] == [
        "ID STATUS DAYS RESULT CALL AGE",
        "est-1 running - - - -",
        "est-1 failed - LoginFailed - -",
        "est-2 running - - - -",
        "→ LoginFailed: Check ATTIC_TECH_EMAIL and ATTIC_TECH_PASSWORD",
    ]


def test_a_list_says_that_there_is_more(act: Callable[..., Any], client: Callable[..., Any]) -> None:
    server = act((200, {"success": True, "syncs": [SYNC], "next_cursor": "abc"}))

    ended = client(server.url).run("list", "--limit", "1")

    assert [line.split()[0] for line in ended.out.splitlines()] == ["ID", "est-1"]
    assert ended.err.startswith("There are more")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("start", "--from", "2025-13-01"), id="no day"),
        pytest.param(("start", "--from", "2025-10-02", "--to", "2025-10-01"), id="the wrong way round"),
        pytest.param(("start", "--timeout", "3"), id="a timeout without a wait"),
        pytest.param(("start", "--idempotency-key", "schlüssel"), id="a key that no header carries"),
        pytest.param(("status",), id="no id"),
        pytest.param(("list", "--limit", "0"), id="too few"),
        pytest.param(("list", "--output", "xml"), id="an unknown form"),
        pytest.param(("list", "--status", "broken"), id="an unknown status"),
        pytest.param(("list", "--since", "yesterday"), id="no moment"),
        pytest.param(("doctor", "--env-file", "/nowhere/.env"), id="no file"),
        pytest.param(("explode",), id="no command"),
        pytest.param(("--url", "ftp://x", "list"), id="no address"),
    ],
)
def test_a_wrong_command_line_ends_before_anything_is_sent(
    act: Callable[..., Any], client: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    server = act((200, {}))

    ended = client(server.url).run(*arguments)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err
    assert server.asked == []


def test_without_a_key_nothing_is_sent(act: Callable[..., Any], client: Callable[..., Any]) -> None:
    server = act((200, {}))

    ended = client(server.url, ESTIMATESYNC_API_KEY="").run("list", "--output", "json")

    assert (ended.code, ended.document["code"]) == (2, "usage")
    assert server.asked == []


def test_ctrl_c_during_a_wait_leaves_the_sync_alone_and_says_how_to_come_back(
    act: Callable[..., Any], client: Callable[..., Any]
) -> None:
    server = act((202, STARTED), (200, SYNC))
    running = client(server.url).start("start", "--wait")
    running.wait_for("running")

    ended = running.interrupt()

    assert (ended.code, ended.out) == (130, "")
    assert "✘ Stopped waiting. The sync est-1 keeps running.\n" in ended.err
    assert "estimatesync status est-1 --wait" in ended.err
    assert {asked.method for asked in server.asked[1:]} == {"GET"}


def test_a_timeout_ends_the_wait_and_not_the_sync(act: Callable[..., Any], client: Callable[..., Any]) -> None:
    server = act((202, STARTED), (200, SYNC))

    ended = client(server.url).run("start", "--wait", "--timeout", "1", "--output", "json")

    assert (ended.code, ended.document["code"], ended.document["sync_id"]) == (8, "still_running", "est-1")
    assert {asked.method for asked in server.asked[1:]} == {"GET"}


def test_the_key_is_never_shown_even_by_a_defect(act: Callable[..., Any], client: Callable[..., Any]) -> None:
    server = act((200, {"success": True, "sync_id": "est-1", "status": "running", "created_at": "\ud800"}))

    said = [client(server.url).run(*arguments) for arguments in (("status", "est-1"), ("doctor",), ("--help",))]

    assert all(KEY not in ended.out + ended.err for ended in said)


def test_the_page_of_a_sync_is_named_where_the_server_has_one(
    act: Callable[..., Any], client: Callable[..., Any]
) -> None:
    link = {"Link": '</page/syncs/est-1>; rel=alternate; type="text/html"'}
    published = {**SYNC, "details_url": "https://sync.example.com/page/syncs/est-1"}
    server = act(
        *((200, SYNC, link), (200, published, link), (200, SYNC), (200, SYNC, link), (200, published, link)),
    )

    shown = [client(f"{server.url}/").run("status", "est-1").out for _ in range(3)]
    below_a_path = [client(f"{server.url}/estimates").run("status", "est-1").out for _ in range(2)]

    assert f"  Page  {server.url}/page/syncs/est-1\n" in shown[0]
    assert "  Page  https://sync.example.com/page/syncs/est-1\n" in shown[1]
    assert "Page" not in shown[2]
    assert "Page  " not in below_a_path[0]
    assert "  Page  https://sync.example.com/page/syncs/est-1\n" in below_a_path[1]


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        pytest.param(("--tail", "2"), "b\nc\n", id="the end"),
        pytest.param(("--tail", "9"), "a\nb\nc\n", id="more than there is"),
        pytest.param(("--tail", "0"), "", id="nothing of it"),
        pytest.param((), "a\nb\nc\n", id="all"),
    ],
)
def test_a_log_may_begin_with_its_last_lines(
    act: Callable[..., Any], client: Callable[..., Any], arguments: tuple[str, ...], printed: str
) -> None:
    server = act((200, SYNC), (200, b"a\nb\nc\n"))

    ended = client(server.url).run("logs", "est-1", *arguments)

    assert (ended.code, ended.out, ended.err) == (0, printed, "")


def test_a_followed_log_may_begin_with_its_last_line(act: Callable[..., Any], client: Callable[..., Any]) -> None:
    ended = {**SYNC, "status": "succeeded"}
    server = act((200, SYNC), (200, b"a\nb\n"), (200, b"a\nb\nc\n"), (200, ended))

    followed = client(server.url).run("logs", "est-1", "--follow", "--tail", "1")

    assert (followed.code, followed.out) == (0, "b\nc\n")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        pytest.param("queued", "No log yet: est-1 is queued.\n", id="not begun"),
        pytest.param("failed", "No log: est-1 has printed nothing, or its log is gone.\n", id="ended"),
    ],
)
def test_a_sync_without_a_log_is_said_to_have_none(
    act: Callable[..., Any], client: Callable[..., Any], status: str, said: str
) -> None:
    server = act((200, {**SYNC, "status": status}), (200, b""))

    ended = client(server.url).run("logs", "est-1")

    assert (ended.code, ended.out, ended.err) == (0, "", said)


def test_the_help_shows_what_is_typed_and_no_type_of_python(client: Callable[..., Any]) -> None:
    helps = [
        client("http://127.0.0.1:1").run(*command, "--help", COLUMNS="100").out
        for command in ((), ("start",), ("list",), ("status",), ("logs",), ("redeliver",), ("doctor",), ("completion",))
    ]

    assert all("--help" in text for text in helps)
    assert not [line for text in helps for line in text.splitlines() if "<" in line or "{" in line]


def test_a_reader_who_leaves_early_is_not_an_error(act: Callable[..., Any], client: Callable[..., Any]) -> None:
    server = act((200, SYNC), (200, b"line\n" * 100_000))
    reader = client(server.url)

    ended = subprocess.run(
        [shutil.which("sh") or "sh", "-c", f"{PROGRAM} logs est-1 | head -n 1"],
        check=True,
        env=reader.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (ended.stdout, ended.stderr) == ("line\n", "")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        pytest.param("ALL_PROXY", "socks5://proxy.test", "SOCKS proxy", id="SOCKS"),
        pytest.param("HTTPS_PROXY", "http://u:made#up@proxy.test", "write # as %23", id="a password"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_with_a_cure(
    client: Callable[..., Any], variable: str, value: str, said: str
) -> None:
    ended = client("https://sync.test", **{variable: value}).run("list")

    assert ended.code == 2
    assert f"{variable} cannot be used" in ended.err
    assert said in " ".join(ended.err.split())
    assert "Traceback" not in ended.err
    assert "made" not in ended.err
