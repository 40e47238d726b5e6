"""What broke, in our words: the cause is named, what a receiver sent is not."""

import errno
import socket
import ssl

import httpx
import pytest
from estimatesync_operator.callback.sender import format_fault


def chain(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(TimeoutError(), "did not answer in time", id="total-time"),
        pytest.param(httpx.ReadTimeout("s3cret"), "did not answer in time", id="read-time"),
        pytest.param(httpx.ConnectTimeout("s3cret"), "could not be reached in time", id="connect-time"),
        pytest.param(socket.gaierror(-2, "s3cret"), "cannot be resolved", id="name"),
        pytest.param(
            chain(httpx.ConnectError("s3cret"), ConnectionRefusedError(errno.ECONNREFUSED, "s3cret")),
            "nothing listens at its address",
            id="cause-of-a-library-error",
        ),
        pytest.param(chain(httpx.ConnectError("s3cret"), ssl.SSLError(1, "s3cret")), "TLS failed", id="tls"),
        pytest.param(httpx.RemoteProtocolError("illegal status line: s3cret"), "does not speak HTTP", id="not-http"),
        pytest.param(httpx.ReadError("s3cret"), "the connection failed", id="unknown"),
    ],
)
def test_a_fault_is_named_without_quoting_the_error(error: Exception, words: str) -> None:
    said = format_fault(error)

    assert words in said
    assert "s3cret" not in said
