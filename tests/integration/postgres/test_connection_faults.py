"""A connection that fails is explained by what the server's code says, in any language, and never in libpq's words.

The server here speaks just enough of the protocol to refuse: every code, in texts that no word list knows.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
from estimatesync_postgres.connection import ConnectionFaultError, create_connection
from estimatesync_postgres.faults import Fault, Kind

SECRETS = ("Hunter2", "Tr0ub4dor")
REQUESTS_BEFORE = (80877103, 80877104)
"""For TLS and for GSSAPI: https://www.postgresql.org/docs/current/protocol-message-formats.html."""


def build_refusal(code: str, text: str, routine: str) -> bytes:
    fields = {"S": "ВАЖНО", "V": "FATAL", "C": code, "M": text, "F": "auth.c", "L": "1", "R": routine}
    body = b"".join(f"{name}{value}".encode() + b"\0" for name, value in fields.items() if value) + b"\0"
    return b"E" + struct.pack("!I", len(body) + 4) + body


class RefusingServer:
    """Refuses every connection with the same words, with or without asking for a password before."""

    def __init__(self, refusal: bytes, *, asks: bool) -> None:
        self._refusal = refusal
        self._asks = asks
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._refuse(connection)

    def _refuse(self, connection: socket.socket) -> None:
        while struct.unpack("!I", connection.recv(10_000)[4:8])[0] in REQUESTS_BEFORE:
            connection.sendall(b"N")
        if self._asks:
            connection.sendall(b"R" + struct.pack("!II", 8, 3))
            connection.recv(10_000)
        connection.sendall(self._refusal)


Refuse = Callable[..., str]


@pytest.fixture
def refuse() -> Iterator[Refuse]:
    """Start a server that refuses, and return its URL."""
    servers: list[RefusingServer] = []

    def start(code: str, text: str, routine: str = "", *, asks: bool = True) -> str:
        servers.append(RefusingServer(build_refusal(code, text, routine), asks=asks))
        return f"postgresql://sync:Hunter2@127.0.0.1:{servers[-1].port}/estimates"

    yield start
    for server in servers:
        server.close()


def connect(url: str) -> Fault:
    """Fail to connect, and return why."""
    with pytest.raises(ConnectionFaultError) as raised:
        asyncio.run(create_connection(url, defaults={"connect_timeout": 2}))
    error = raised.value
    assert not [secret for secret in SECRETS if secret in f"{error!s}{error!r}{error.__cause__!r}"]
    return error.fault


@pytest.mark.parametrize(
    ("code", "routine", "kind", "cure"),
    [
        pytest.param("28P01", "auth_failed", Kind.REFUSED, "refuses the user or password", id="password"),
        pytest.param("28000", "ClientAuthentication", Kind.REFUSED, "Correct pg_hba.conf or sslmode", id="hba"),
        pytest.param("28000", "InitializeSessionUserId", Kind.REFUSED, "may not log in", id="user"),
        pytest.param("3D000", "InitPostgres", Kind.REFUSED, "does not exist. Create it", id="database"),
        pytest.param("53300", "InitProcess", Kind.UNAVAILABLE, "no free connection", id="full"),
        pytest.param("57P03", "ProcessStartupPacket", Kind.UNAVAILABLE, "starting, stopping", id="starting"),
    ],
)
@pytest.mark.parametrize("asks", [pytest.param(True, id="after-a-password"), pytest.param(False, id="at-once")])
def test_the_code_of_a_server_decides_whatever_it_says(
    refuse: Refuse, code: str, routine: str, kind: Kind, cure: str, *, asks: bool
) -> None:
    fault = connect(refuse(code, "Hunter2 ist ein »Benutzer«,\nden niemand kennt", routine, asks=asks))

    assert fault.kind is kind
    assert cure in fault.text


@pytest.mark.parametrize(
    ("code", "text", "kind", "cure"),
    [
        pytest.param("XX000", "Tenant or user not found", Kind.REFUSED, "its pooler knows no such", id="supavisor"),
        pytest.param("08P01", "no such user: Hunter2", Kind.REFUSED, "its pooler knows no such user", id="pgbouncer"),
        pytest.param("08P01", "pgbouncer cannot connect to server", Kind.UNAVAILABLE, "the server failed", id="behind"),
    ],
)
def test_a_pooler_is_understood_by_its_own_words(refuse: Refuse, code: str, text: str, kind: Kind, cure: str) -> None:
    fault = connect(refuse(code, text))

    assert fault.kind is kind
    assert cure in fault.text


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        pytest.param("postgresql://sync:Hunter2%Tr0ub4dor@db/x", Kind.SETTING, id="%"),
        pytest.param("postgresql://sync:Hunter2@Tr0ub4dor@db/x", Kind.UNAVAILABLE, id="@"),
        pytest.param("postgresql://sync:Hunter2/Tr0ub4dor@db/x", Kind.UNAVAILABLE, id="/"),
        pytest.param("postgresql://sync:Hunter2@[Tr0ub4dor/x", Kind.SETTING, id="bracket"),
        pytest.param("postgresql://sync:a@Hunter2..Tr0ub4dor/x", Kind.SETTING, id="two-dots"),
        pytest.param("postgresql://sync:a@127.0.0.1:Hunter2/x", Kind.SETTING, id="port"),
        pytest.param("postgresql://sync:a@127.0.0.1:1/x?Hunter2=Tr0ub4dor", Kind.SETTING, id="parameter"),
        pytest.param("postgresql://sync:a@127.0.0.1:1/x?sslmode=Hunter2", Kind.SETTING, id="sslmode"),
        pytest.param("postgresql://sync:a@127.0.0.1:1/x?service=Hunter2", Kind.SETTING, id="service"),
        pytest.param("postgresql://sync:a@127.0.0.1:1/x?hostaddr=Hunter2", Kind.SETTING, id="address"),
        pytest.param("postgresql://sync:a@127.0.0.1:1/x?keepalives=Hunter2", Kind.SETTING, id="number"),
        pytest.param("postgresql:///x?host=/Hunter2/Tr0ub4dor", Kind.UNAVAILABLE, id="socket"),
    ],
)
def test_a_url_that_no_one_has_checked_is_not_repeated_either(url: str, kind: Kind) -> None:
    assert connect(url).kind is kind
