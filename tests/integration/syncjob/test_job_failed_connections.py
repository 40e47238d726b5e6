"""A connection to Attic Tech that fails ends in words for what happened, with the cure that fits; on real sockets."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

import pytest
import trustme
from estimatesync_job.adapters.attic_tech import open_attic_tech
from estimatesync_job.adapters.log import create_log
from estimatesync_job.core.errors import SourceUnavailableError
from estimatesync_job.core.retry_delay import RetryPolicy
from estimatesync_job.settings import parse_settings
from sample_attic_tech import RunningSample


@contextmanager
def serving(context: ssl.SSLContext | None) -> Iterator[int]:
    """Shake hands with whoever comes, then hang up; yields the port."""

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with suppress(OSError), connection:
                    if context is not None:
                        context.wrap_socket(connection, server_side=True).close()
                    else:
                        connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, args=(listener,))
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def log_in(jobs: Any, sample: RunningSample, **environment: str) -> SourceUnavailableError:
    """Try to log in, twice."""
    settings = parse_settings(jobs.build_environment(sample, **environment))

    async def login() -> None:
        with open("/dev/null", "w") as nowhere:  # noqa: ASYNC230, PTH123 - a device
            log = create_log("text", nowhere, sync_id="s")
            policy = RetryPolicy(attempts=2, first_delay=0.01)
            async with open_attic_tech(settings, log=log, policy=policy) as source:
                await source.login()

    with pytest.raises(SourceUnavailableError) as raised:
        asyncio.run(login())
    return raised.value


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_where_nothing_listens_is_named_with_the_cure(
    jobs: Any, sample: RunningSample, closed_port: int, host: str
) -> None:
    error = log_in(jobs, sample, ATTIC_TECH_URL=f"http://{host}:{closed_port}")

    assert str(error) == (
        f"Attic Tech is not available: nothing listens at {host}:{closed_port}. Check host and port in ATTIC_TECH_URL, "
        "and that Attic Tech is running. The login failed 2 times."
    )
    assert error.cause
    assert error.cause.code == "SourceNotListening"


def test_a_name_that_nobody_has_is_named(jobs: Any, sample: RunningSample) -> None:
    error = log_in(jobs, sample, ATTIC_TECH_URL="https://attic.invalid")

    assert "the name attic.invalid cannot be resolved. Check the host in ATTIC_TECH_URL" in str(error)


def test_a_proxy_that_is_away_is_not_taken_for_attic_tech(jobs: Any, sample: RunningSample, closed_port: int) -> None:
    proxy = f"http://user:s3cret@127.0.0.1:{closed_port}"

    error = log_in(jobs, sample, ATTIC_TECH_URL="https://attic.example.test", HTTPS_PROXY=proxy)

    assert f"the proxy in front of it cannot be used: nothing listens at 127.0.0.1:{closed_port}" in str(error)
    assert "s3cret" not in str(error)


@pytest.mark.parametrize(
    ("names", "said", "code"),
    [
        pytest.param((), "does not speak TLS", "SourceWithoutTls", id="no TLS"),
        pytest.param(("localhost",), "is not trusted (", "SourceCertificateUntrusted", id="untrusted"),
    ],
)
def test_tls_that_fails_says_how(
    jobs: Any, sample: RunningSample, names: tuple[str, ...], said: str, code: str
) -> None:
    context = None
    if names:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert(*names).configure_cert(context)

    with serving(context) as port:
        error = log_in(jobs, sample, ATTIC_TECH_URL=f"https://localhost:{port}")

    assert f"localhost:{port} " in str(error)
    assert said in str(error)
    assert error.cause
    assert error.cause.code == code


def test_a_server_that_hangs_up_says_so(jobs: Any, sample: RunningSample) -> None:
    with serving(None) as port:
        error = log_in(jobs, sample, ATTIC_TECH_URL=f"http://127.0.0.1:{port}")

    assert f"127.0.0.1:{port} closed the connection without an answer" in str(error)
