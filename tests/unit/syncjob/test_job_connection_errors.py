"""A connection to Attic Tech that fails is named by what happened, with host and port, and by the cure that fits."""

import errno
import socket
import ssl

import httpx
import pytest
from estimatesync_job.core.connection_errors import build_connection_error

URL = "https://user:s3cret@attic.example/s3cret"
PROXY = "http://user:s3cret@proxy.example:3128"


def fail(cause: Exception) -> Exception:
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = cause
    return error


def refuse() -> Exception:
    return fail(ConnectionRefusedError(errno.ECONNREFUSED, "s3cret"))


@pytest.mark.parametrize(
    ("error", "url", "proxy", "said", "code"),
    [
        pytest.param(
            refuse(), URL, None, "nothing listens at attic.example:443", "SourceNotListening", id="the scheme's port"
        ),
        pytest.param(
            refuse(),
            "http://[::1]:8080",
            None,
            "nothing listens at [::1]:8080",
            "SourceNotListening",
            id="its own port",
        ),
        pytest.param(
            fail(socket.gaierror(-2, "s3cret")),
            URL,
            None,
            "the name attic.example cannot be resolved",
            "SourceNameUnknown",
            id="a name has no port",
        ),
        pytest.param(
            fail(ssl.SSLError(1, "s3cret")),
            URL,
            None,
            "attic.example:443 does not speak TLS",
            "SourceWithoutTls",
            id="TLS",
        ),
        pytest.param(
            refuse(),
            URL,
            PROXY,
            "the proxy in front of it cannot be used: nothing listens at proxy.example:3128",
            "ProxyAway",
            id="it is the proxy that is away",
        ),
        pytest.param(
            httpx.ProxyError("407 Proxy Authentication Required"),
            URL,
            PROXY,
            "the proxy does not connect to attic.example:443 (407 Proxy Authentication Required)",
            "ProxyRefuses",
            id="the proxy refuses",
        ),
        pytest.param(
            httpx.ReadTimeout("s3cret"),
            URL,
            PROXY,
            "attic.example:443 did not answer in time",
            "SourceTooSlow",
            id="slow",
        ),
    ],
)
def test_a_failed_connection_says_what_happened_where(
    error: Exception, url: str, proxy: str | None, said: str, code: str
) -> None:
    built = build_connection_error(error, url=url, proxy=proxy)

    assert (str(built), built.cause and built.cause.code) == (said, code)
