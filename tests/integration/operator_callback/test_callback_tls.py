"""TLS to a checked address: the certificate must be for the URL's name, and come from a trusted authority."""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from socket import socket

import pytest
import trustme
from estimatesync_operator.callback.sender import HttpCallbackSender, SecretReader
from estimatesync_operator.callback.settings import CallbackSettings
from estimatesync_operator.core.ports import CallbackAttempt

Send = Callable[[HttpCallbackSender], CallbackAttempt]
Serve = Callable[[Callable[[socket], None]], int]
Resolver = Callable[[Sequence[str]], Callable[[str, int], Awaitable[Sequence[str]]]]

HOST = "hooks.example.test"


def read_request(connection: socket) -> bytes:
    """Read to the body's end: closing a connection with unread bytes would reset it under the answer."""
    request = b""
    while not request.endswith(b"}") and (part := connection.recv(65_536)):
        request += part
    return request


class TlsReceiver:
    """Accepts callbacks over TLS and remembers names (SNI) and requests."""

    def __init__(self, certificate: trustme.LeafCert) -> None:
        self.names: list[str] = []
        self.requests: list[bytes] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self._context)
        self._context.sni_callback = self._remember_name

    def handle(self, connection: socket) -> None:
        with self._context.wrap_socket(connection, server_side=True) as secured:
            self.requests.append(read_request(secured))
            secured.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    def _remember_name(self, _socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self.names.append(name or "")


def build_settings(port: int, host: str = HOST) -> CallbackSettings:
    return CallbackSettings(default_url=f"https://{host}:{port}/s3cret/a%2Fb?x=%20&y", allow_private=True)


def trust(*authorities: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for authority in authorities:
        authority.configure_trust(context)
    return context


@pytest.mark.parametrize("host", [HOST, f"{HOST}."], ids=["name", "final-dot"])
def test_certificate_is_checked_against_the_name_although_an_address_is_called(
    send: Send, no_secrets: SecretReader, serve: Serve, resolver: Resolver, authority: trustme.CA, host: str
) -> None:
    receiver = TlsReceiver(authority.issue_cert(HOST))
    port = serve(receiver.handle)

    sender = HttpCallbackSender(
        lambda: build_settings(port, host), no_secrets, resolve=resolver(["127.0.0.1"]), ssl_context=trust(authority)
    )
    attempt = send(sender)

    assert attempt == CallbackAttempt(status_code=202)
    assert receiver.names == [HOST]
    assert receiver.requests[0].startswith(b"POST /s3cret/a%2Fb?x=%20&y HTTP/1.1\r\n")
    assert f"host: {HOST}:{port}\r\n".encode() in receiver.requests[0].lower()


@pytest.mark.parametrize("name", ["other.example.test", "127.0.0.1"])
def test_certificate_for_anything_else_is_refused_before_the_path_is_sent(
    send: Send, no_secrets: SecretReader, serve: Serve, resolver: Resolver, authority: trustme.CA, name: str
) -> None:
    receiver = TlsReceiver(authority.issue_cert(name))
    settings = build_settings(serve(receiver.handle))

    sender = HttpCallbackSender(
        lambda: settings, no_secrets, resolve=resolver(["127.0.0.1"]), ssl_context=trust(authority)
    )
    attempt = send(sender)

    assert "its certificate is for another name" in (attempt.error or "")
    assert attempt.status_code is None
    assert not attempt.is_refused
    assert b"".join(receiver.requests) == b""


def test_unknown_authority_is_refused_by_default(
    send: Send, no_secrets: SecretReader, serve: Serve, resolver: Resolver, authority: trustme.CA
) -> None:
    receiver = TlsReceiver(authority.issue_cert(HOST))
    settings = build_settings(serve(receiver.handle))

    attempt = send(HttpCallbackSender(lambda: settings, no_secrets, resolve=resolver(["127.0.0.1"])))

    assert "its certificate is not trusted" in (attempt.error or "")
    assert b"".join(receiver.requests) == b""


def test_authority_of_ssl_cert_file_is_trusted(
    send: Send,
    no_secrets: SecretReader,
    serve: Serve,
    resolver: Resolver,
    authority: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receiver = TlsReceiver(authority.issue_cert(HOST))
    settings = build_settings(serve(receiver.handle))

    with authority.cert_pem.tempfile() as bundle:
        monkeypatch.setenv("SSL_CERT_FILE", bundle)
        attempt = send(HttpCallbackSender(lambda: settings, no_secrets, resolve=resolver(["127.0.0.1"])))

    assert attempt.status_code == 202


def test_port_that_does_not_speak_tls_is_named_as_such(
    send: Send, no_secrets: SecretReader, serve: Serve, resolver: Resolver
) -> None:
    def speak_plain(connection: socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    settings = build_settings(serve(speak_plain))
    attempt = send(HttpCallbackSender(lambda: settings, no_secrets, resolve=resolver(["127.0.0.1"])))

    assert "it may not speak https at this port" in (attempt.error or "")
