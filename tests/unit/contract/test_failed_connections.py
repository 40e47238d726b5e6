"""Why a connection fails is found in the whole chain of errors, and said in words that quote none of them."""

import errno
import socket
import ssl

import httpx
import pytest
from estimatesync_contract.connection_faults import ConnectionFault, classify_connection_error

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "s3cret")


def chain(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def build_untrusted(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "s3cret")
    error.verify_code, error.verify_message = code, "what OpenSSL says"
    return error


@pytest.mark.parametrize(
    ("error", "fault", "detail"),
    [
        pytest.param(chain(httpx.ConnectError("s3cret"), REFUSED), ConnectionFault.NOTHING_LISTENS, "", id="refused"),
        pytest.param(
            chain(
                httpx.ConnectError("s3cret"), chain(OSError("s3cret"), ExceptionGroup("several", [REFUSED, REFUSED]))
            ),
            ConnectionFault.NOTHING_LISTENS,
            "",
            id="refused at each address",
        ),
        pytest.param(
            chain(httpx.ConnectError("s3cret"), socket.gaierror(-2, "s3cret")),
            ConnectionFault.NAME_UNKNOWN,
            "",
            id="name",
        ),
        pytest.param(UnicodeError("s3cret"), ConnectionFault.NAME_UNKNOWN, "", id="no name at all"),
        pytest.param(
            chain(httpx.ConnectTimeout("s3cret"), TimeoutError()), ConnectionFault.OUT_OF_REACH, "", id="no connection"
        ),
        pytest.param(httpx.ReadTimeout("s3cret"), ConnectionFault.NO_ANSWER, "", id="no answer"),
        pytest.param(TimeoutError(), ConnectionFault.NO_ANSWER, "", id="no whole answer"),
        pytest.param(
            chain(httpx.ConnectError("s3cret"), build_untrusted(20)),
            ConnectionFault.UNTRUSTED,
            "what OpenSSL says",
            id="authority",
        ),
        pytest.param(build_untrusted(10), ConnectionFault.CERTIFICATE_EXPIRED, "what OpenSSL says", id="expired"),
        pytest.param(build_untrusted(62), ConnectionFault.MISNAMED, "what OpenSSL says", id="another name"),
        pytest.param(
            chain(httpx.ConnectError("s3cret"), ssl.SSLError(1, "s3cret")), ConnectionFault.NO_TLS, "", id="no TLS"
        ),
        pytest.param(
            chain(httpx.ReadError("s3cret"), ConnectionResetError(errno.ECONNRESET, "s3cret")),
            ConnectionFault.RESET,
            "",
            id="reset",
        ),
        pytest.param(httpx.RemoteProtocolError("s3cret"), ConnectionFault.NO_HTTP, "", id="no HTTP"),
        pytest.param(
            httpx.ProxyError("407 Proxy Authentication Required"),
            ConnectionFault.PROXY_REFUSES,
            "407 Proxy Authentication Required",
            id="proxy",
        ),
        pytest.param(
            chain(httpx.ConnectError("s3cret"), OSError(errno.ENETUNREACH, "s3cret")),
            ConnectionFault.BROKEN,
            "Network is unreachable",
            id="another error of the system",
        ),
        pytest.param(httpx.ReadError("s3cret"), ConnectionFault.BROKEN, "ReadError", id="anything else"),
    ],
)
def test_a_fault_is_found_wherever_it_is_in_the_chain(error: Exception, fault: ConnectionFault, detail: str) -> None:
    assert classify_connection_error(error) == (fault, detail)


@pytest.mark.parametrize("fault", ConnectionFault)
def test_every_fault_has_words_with_the_host_and_without(fault: ConnectionFault) -> None:
    assert "here.example" in fault.with_host.format(host="here.example", detail="x")
    assert "{host}" not in fault.without_host
