"""One attempt over real sockets: what arrives, what the answers become, and that nothing can hold the operator up."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from socket import create_server, socket
from typing import Protocol

import pytest
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.settings import SettingsReader
from estimatesync_operator.callback.sender import HttpCallbackSender, SecretReader
from estimatesync_operator.callback.settings import CallbackSettings, read_callback_settings
from estimatesync_operator.core.ports import CallbackAttempt
from sample_attic_tech import Response
from sample_attic_tech.receiver import running_receiver
from standardwebhooks import Webhook

Send = Callable[[HttpCallbackSender], CallbackAttempt]
Serve = Callable[[Callable[[socket], None]], int]


class Resolver(Protocol):
    asked: list[tuple[str, int]]

    async def __call__(self, host: str, port: int) -> Sequence[str]: ...


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = '{"error":"naïve ☕"}'.encode()
ENDLESS_CHUNK = b"x" * 65_536


@contextmanager
def full_listener(address: str, port: int) -> Iterator[None]:
    """Let every connection to an address hang: its queue is full, and nobody accepts."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket())
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket())
            client.settimeout(0)
            client.connect_ex((address, port))
        yield


def build_settings(url: str, **environ: str) -> CallbackSettings:
    reader = SettingsReader(
        {
            "MAKE_SYNC_CALLBACK_WEBHOOK_URL": url,
            "CALLBACK_ALLOW_HTTP": "true",
            "CALLBACK_ALLOW_PRIVATE_TARGETS": "true",
            **environ,
        }
    )
    settings = read_callback_settings(reader)
    reader.raise_faults()
    return settings


def build_hasty_settings(port: int) -> CallbackSettings:
    return CallbackSettings(
        default_url=f"http://127.0.0.1:{port}/s3cret", allow_insecure=True, allow_private=True, total_seconds=1.5
    )


def test_receiver_gets_the_exact_bytes_and_can_verify_them(send: Send, no_secrets: SecretReader) -> None:
    with running_receiver() as receiver:
        settings = build_settings(
            f"{receiver.url}/hook?x=1",
            CALLBACK_SIGNING_SECRETS=SECRET,
            CALLBACK_MAKE_API_KEY="made-up-key",
        )
        attempt = send(HttpCallbackSender(lambda: settings, no_secrets))
        [delivery] = receiver.deliveries

    assert attempt == CallbackAttempt(status_code=200, body_excerpt="Accepted")
    assert (delivery.method, delivery.path, delivery.query_string) == ("POST", "/hook", "x=1")
    assert delivery.body == BODY
    headers = {name.lower(): value for name, value in delivery.headers.items()}
    assert Webhook(SECRET).verify(delivery.body, headers) == {"error": "naïve ☕"}
    assert headers.items() >= {
        ("host", receiver.url.removeprefix("http://")),
        ("content-type", "application/json"),
        ("content-length", str(len(BODY))),
        ("webhook-id", "msg_6f1c"),
        ("x-make-apikey", "made-up-key"),
        ("user-agent", "estimatesync"),
    }


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(
            Response(status=400, body=b"Queue is full."),
            CallbackAttempt(status_code=400, body_excerpt="Queue is full."),
            id="queue-full",
        ),
        pytest.param(
            Response(status=429, headers={"Retry-After": "7"}),
            CallbackAttempt(status_code=429, retry_after=timedelta(seconds=7)),
            id="retry-after",
        ),
        pytest.param(
            Response(status=307, headers={"Location": "/elsewhere"}),
            CallbackAttempt(status_code=307),
            id="redirect-is-not-followed",
        ),
        pytest.param(
            Response(status=404, body=b"Cannot POST /s3cret-path"),
            CallbackAttempt(status_code=404, body_excerpt="Cannot POST …"),
            id="echo-of-the-path",
        ),
    ],
)
def test_answer_becomes_the_attempt(
    send: Send, no_secrets: SecretReader, answer: Response, expected: CallbackAttempt
) -> None:
    with running_receiver([answer]) as receiver:
        attempt = send(HttpCallbackSender(lambda: build_settings(f"{receiver.url}/s3cret-path"), no_secrets))
        deliveries = len(receiver.deliveries)

    assert attempt == expected
    assert deliveries == 1


def test_headers_that_trickle_end_with_the_total_time(send: Send, no_secrets: SecretReader, serve: Serve) -> None:
    def trickle(connection: socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            connection.sendall(b"a")
            time.sleep(0.02)

    port = serve(trickle)
    attempt = send(HttpCallbackSender(lambda: build_hasty_settings(port), no_secrets))

    assert attempt == CallbackAttempt(error="http://127.0.0.1: it did not answer in time")


def test_delivery_counts_although_the_rest_of_the_answer_trickles(
    send: Send, no_secrets: SecretReader, serve: Serve
) -> None:
    def trickle(connection: socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nAccepted")
        while True:
            connection.sendall(b" ")
            time.sleep(0.02)

    port = serve(trickle)
    attempt = send(HttpCallbackSender(lambda: build_hasty_settings(port), no_secrets))

    assert attempt == CallbackAttempt(status_code=200, body_excerpt="Accepted")


def test_endless_answer_is_cut_short(send: Send, no_secrets: SecretReader, serve: Serve) -> None:
    sent: list[int] = []

    def flood(connection: socket) -> None:
        connection.sendall(b"HTTP/1.1 500 Oops\r\n\r\n")
        while sum(sent) < 200_000_000:
            sent.append(connection.send(ENDLESS_CHUNK))

    attempt = send(HttpCallbackSender(lambda: build_settings(f"http://127.0.0.1:{serve(flood)}/"), no_secrets))

    assert (attempt.status_code, attempt.body_excerpt) == (500, "x" * 200)
    assert sum(sent) < 50_000_000


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param(b"", "closed the connection without an answer", id="hang-up"),
        pytest.param(b"220 /s3cret ESMTP\r\n", "does not speak HTTP", id="another-protocol"),
    ],
)
def test_broken_answer_is_an_error_that_quotes_nothing(
    send: Send, no_secrets: SecretReader, serve: Serve, answer: bytes, says: str
) -> None:
    def answer_badly(connection: socket) -> None:
        received = b""
        while not received.endswith(BODY) and (part := connection.recv(65_536)):
            received += part
        connection.sendall(answer)

    port = serve(answer_badly)
    attempt = send(HttpCallbackSender(lambda: build_settings(f"http://127.0.0.1:{port}/s3cret"), no_secrets))

    assert attempt.status_code is None
    assert says in (attempt.error or "")
    assert "s3cret" not in str(attempt)


def test_what_a_receiver_repeats_is_hidden_although_another_key_applies_by_then(
    send: Send, no_secrets: SecretReader, serve: Serve
) -> None:
    def repeat(connection: socket) -> None:
        received = b""
        while not received.endswith(BODY) and (part := connection.recv(65_536)):
            received += part
        current["key"] = "made-up-new-key"
        asyncio.run(sender.has_target(EstimateSync(metadata=Metadata(name="another", uid="1"))))
        (key,) = (line for line in received.split(b"\r\n") if line.lower().startswith(b"x-make-apikey"))
        connection.sendall(b"HTTP/1.1 401 No\r\nConnection: close\r\n\r\nwrong " + key)

    current = {"key": "made-up-old-key"}
    url = f"http://127.0.0.1:{serve(repeat)}/s3cret"
    sender = HttpCallbackSender(lambda: build_settings(url, CALLBACK_MAKE_API_KEY=current["key"]), no_secrets)

    attempt = send(sender)

    assert attempt == CallbackAttempt(status_code=401, body_excerpt="wrong x-make-apikey: …")


def test_closed_port_is_an_error_that_may_pass(send: Send, no_secrets: SecretReader) -> None:
    with running_receiver() as receiver:
        url = receiver.url

    attempt = send(HttpCallbackSender(lambda: build_settings(f"{url}/s3cret"), no_secrets))

    assert attempt.error == "http://127.0.0.1: nothing listens at its address"
    assert not attempt.is_refused


def test_loopback_is_refused_unless_allowed(send: Send, no_secrets: SecretReader) -> None:
    with running_receiver() as receiver:
        url = receiver.url.replace("127.0.0.1", "localhost")
        refused = send(
            HttpCallbackSender(lambda: build_settings(url, CALLBACK_ALLOW_PRIVATE_TARGETS="false"), no_secrets)
        )
        before = len(receiver.deliveries)
        allowed = send(HttpCallbackSender(lambda: build_settings(url), no_secrets))

    assert refused.is_refused
    assert "loopback" in (refused.error or "")
    assert before == 0
    assert allowed.status_code == 200


def test_name_is_looked_up_once_and_only_the_checked_address_is_called(
    send: Send, no_secrets: SecretReader, resolver: Callable[..., Resolver]
) -> None:
    rebinding = resolver(["127.0.0.1"], ["169.254.169.254"])

    with running_receiver() as receiver:
        port = receiver.url.rpartition(":")[2]
        settings = build_settings(f"http://hooks.example.test:{port}/s3cret")
        attempt = send(HttpCallbackSender(lambda: settings, no_secrets, resolve=rebinding))
        [delivery] = receiver.deliveries

    assert attempt.status_code == 200
    assert rebinding.asked == [("hooks.example.test", int(port))]
    assert {name.lower(): value for name, value in delivery.headers.items()}["host"] == f"hooks.example.test:{port}"


def test_one_bad_address_refuses_the_name_although_private_ones_are_allowed(
    send: Send, no_secrets: SecretReader, resolver: Callable[..., Resolver]
) -> None:
    with running_receiver() as receiver:
        resolve = resolver(["127.0.0.1", "169.254.169.254"])
        attempt = send(HttpCallbackSender(lambda: build_settings(receiver.url), no_secrets, resolve=resolve))
        deliveries = len(receiver.deliveries)

    assert attempt.is_refused
    assert "169.254.169.254" in (attempt.error or "")
    assert deliveries == 0


def test_next_address_is_tried_when_the_first_cannot_be_reached(
    send: Send, no_secrets: SecretReader, resolver: Callable[..., Resolver]
) -> None:
    with running_receiver() as receiver:
        resolve = resolver(["::1", "127.0.0.1", "127.0.0.2"])
        attempt = send(HttpCallbackSender(lambda: build_settings(receiver.url), no_secrets, resolve=resolve))
        deliveries = len(receiver.deliveries)

    assert attempt.status_code == 200
    assert deliveries == 1


def test_a_good_address_is_reached_behind_three_that_swallow_everything_and_is_remembered(
    send: Send, no_secrets: SecretReader, resolver: Callable[..., Resolver]
) -> None:
    with running_receiver() as receiver, ExitStack() as stack:
        port = int(receiver.url.rpartition(":")[2])
        dead = [f"127.0.0.{number}" for number in (2, 3, 4)]
        for address in dead:
            stack.enter_context(full_listener(address, port))
        resolve = resolver([*dead, "127.0.0.1"], [*dead, "127.0.0.1"])
        sender = HttpCallbackSender(
            lambda: build_settings(receiver.url.replace("127.0.0.1", "x.test")), no_secrets, resolve=resolve
        )

        times, attempts = [time.monotonic()], []
        for _ in range(2):
            attempts.append(send(sender))
            times.append(time.monotonic())

    assert [attempt.status_code for attempt in attempts] == [200, 200]
    assert times[2] - times[1] < times[1] - times[0], "the three are tried again before the good one"


def test_an_address_that_connects_gets_the_only_request(
    send: Send, no_secrets: SecretReader, serve: Callable[..., int], resolver: Callable[..., Resolver]
) -> None:
    received: list[bytes] = []

    def hang_up(connection: socket) -> None:
        received.append(connection.recv(65536))

    port = serve(hang_up)
    resolve = resolver(["127.0.0.1", "127.0.0.2"])
    with create_server(("127.0.0.2", port)) as second:
        second.settimeout(0.2)
        attempt = send(
            HttpCallbackSender(lambda: build_settings(f"http://x.test:{port}/"), no_secrets, resolve=resolve)
        )
        with pytest.raises(TimeoutError):
            second.accept()

    assert "without an answer" in (attempt.error or "")
    assert len(received) == 1


def hang_up(connection: socket) -> None:
    connection.recv(65536)


def answer_502(connection: socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


def say_nothing(connection: socket) -> None:
    connection.settimeout(60)
    while connection.recv(65536):
        pass


def answer_404(connection: socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        pytest.param(hang_up, [None, 200, 200], id="hangs up"),
        pytest.param(answer_502, [502, 200, 200], id="502"),
        pytest.param(say_nothing, [None, 200, 200], id="says nothing until the time is over"),
        pytest.param(answer_404, [404, 404, 404], id="404: the webhook's own answer"),
    ],
)
def test_an_address_that_fails_is_not_the_first_at_the_next_attempt(
    send: Send,
    no_secrets: SecretReader,
    serve: Serve,
    resolver: Callable[..., Resolver],
    bad: Callable[[socket], None],
    expected: list[int | None],
) -> None:
    port = serve(bad)
    settings = CallbackSettings(
        default_url=f"http://x.test:{port}/", allow_insecure=True, allow_private=True, total_seconds=1.0
    )

    with running_receiver(host="127.0.0.2", port=port):
        resolve = resolver(*[["127.0.0.1", "127.0.0.2"]] * 3)
        sender = HttpCallbackSender(lambda: settings, no_secrets, resolve=resolve)
        codes = [send(sender).status_code for _ in range(3)]

    assert codes == expected


def test_an_address_that_was_reached_is_checked_again_at_each_attempt(
    send: Send, no_secrets: SecretReader, resolver: Callable[..., Resolver]
) -> None:
    with running_receiver() as receiver:
        url = receiver.url.replace("127.0.0.1", "x.test")
        resolve = resolver(["127.0.0.1"], ["169.254.169.254", "127.0.0.1"], ["127.0.0.2"])
        sender = HttpCallbackSender(lambda: build_settings(url), no_secrets, resolve=resolve)
        attempts = [send(sender) for _ in range(3)]
        deliveries = len(receiver.deliveries)

    assert [attempt.status_code for attempt in attempts] == [200, None, None]
    assert attempts[1].is_refused
    assert deliveries == 1


def test_proxies_of_the_environment_are_ignored(
    send: Send, no_secrets: SecretReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_receiver() as proxy, running_receiver() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        attempt = send(HttpCallbackSender(lambda: build_settings(receiver.url), no_secrets))
        counts = (len(proxy.deliveries), len(receiver.deliveries))

    assert attempt.status_code == 200
    assert counts == (0, 1)


def test_path_is_in_no_log_line_at_any_level(
    send: Send, no_secrets: SecretReader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    with running_receiver() as receiver:
        attempt = send(HttpCallbackSender(lambda: build_settings(f"{receiver.url}/s3cret"), no_secrets))

    assert attempt.status_code == 200
    assert caplog.records
    assert "s3cret" not in caplog.text
