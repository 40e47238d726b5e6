"""The program of `helm test` among faults. Its way to the end is tried in tests/e2e/chart."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

KEY = "made-up:key-0123456789"
Answer = tuple[int, str]


@contextmanager
def answering(
    status: int, text: str, *, port: int = 0, others: dict[str, Answer] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """A server that gives every request the same answer but for some addresses, and the keys that it received."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers["X-API-KEY"])
            self.answer(*(others or {}).get(self.path, (status, text)))

        def do_POST(self) -> None:
            keys.append(self.headers["X-API-KEY"])
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(status, text)

        def answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", keys
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def run(chart: Path) -> Callable[..., tuple[int, str]]:
    def run(url: str, keys: str = KEY, mode: str = "round-trip") -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, chart / "files" / "helm_test.py"],
            env={"API_URL": url, "API_KEYS": keys, "SECONDS_TO_WAIT": "2", "MODE": mode},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout

    return run


def test_an_unreachable_api_is_reported_in_a_sentence(run: Callable[..., tuple[int, str]]) -> None:
    with answering(200, "") as (url, _):
        pass

    code, printed = run(url)

    assert code == 1
    assert printed.splitlines()[-1].startswith(
        f"no sync was started: 0 {url}/api/automations/estimates/sync-external cannot be reached:"
    )
    assert "Traceback" not in printed


def test_an_api_that_lets_the_pod_in_a_moment_later_is_asked_again(chart: Path) -> None:
    with answering(200, "") as (url, _):
        pass
    command = [sys.executable, chart / "files" / "helm_test.py"]
    variables = {"API_URL": url, "API_KEYS": KEY, "SECONDS_TO_WAIT": "30", "MODE": "round-trip"}

    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout
        first = program.stdout.readline()
        with answering(403, '{"message": "another key"}', port=int(url.rpartition(":")[2])):
            rest = program.stdout.read()

    assert first.endswith("Connection refused; trying again\n")
    assert rest.endswith("403 another key\n")


@pytest.mark.parametrize(
    ("answer", "printed"),
    [
        pytest.param((403, '{"message": "another key"}'), "403 another key\n", id="the API's refusal"),
        pytest.param((502, "<html>Bad Gateway</html>"), "502 <html>Bad Gateway</html>\n", id="a proxy's page"),
        pytest.param((200, "[]"), "200 []\n", id="another server"),
    ],
)
def test_any_other_answer_is_shown(run: Callable[..., tuple[int, str]], answer: Answer, printed: str) -> None:
    with answering(*answer) as (url, _):
        assert run(url) == (1, f"no sync was started: {printed}")


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(f"make:{KEY}\n", id="by name"),
        pytest.param(f"# for Make.com\n\nmake:{KEY},other:another-key\n", id="after a comment, before another"),
    ],
)
def test_the_first_key_is_the_one_that_the_api_reads_first(run: Callable[..., tuple[int, str]], keys: str) -> None:
    with answering(403, "{}") as (url, shown):
        run(url, keys)

    assert shown == [KEY]


READY = {"/readyz": (200, '{"status": "ready"}')}
OUTSIDE = {"/readyz": (404, "{}")}
SYNCS = '{"syncs": []}'


@pytest.mark.parametrize("others", [pytest.param(READY, id="within"), pytest.param(OUTSIDE, id="from outside")])
def test_an_api_that_is_ready_and_takes_the_key_is_reached_without_a_sync(
    run: Callable[..., tuple[int, str]], others: dict[str, Answer]
) -> None:
    with answering(200, SYNCS, others=others) as (url, keys):
        code, printed = run(url, mode="reach")

    assert (code, len(keys)) == (0, 2)
    assert printed.startswith("ready, and the key is taken")


@pytest.mark.parametrize(
    ("answer", "others", "printed"),
    [
        pytest.param((403, '{"message": "another key"}'), READY, "the key is not taken: 403 another key\n", id="key"),
        pytest.param((200, "<html>"), READY, "the key is not taken: 200 <html>\n", id="another server"),
        pytest.param(
            (200, SYNCS), {"/readyz": (500, '{"message": "broken"}')}, "not ready: 500 broken\n", id="not ready"
        ),
    ],
)
def test_an_api_that_is_not_reached_says_why(
    run: Callable[..., tuple[int, str]], answer: Answer, others: dict[str, Answer], printed: str
) -> None:
    with answering(*answer, others=others) as (url, _):
        assert run(url, mode="reach") == (1, printed)
