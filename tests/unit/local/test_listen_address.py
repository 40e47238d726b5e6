"""What BIND may hold."""

import pytest
from estimatesync_local.core.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        pytest.param("127.0.0.1:8080", "127.0.0.1", 8080, id="IPv4"),
        pytest.param("localhost:0", "localhost", 0, id="a free port"),
        pytest.param("[::1]:8080", "::1", 8080, id="IPv6"),
        pytest.param("[::ffff:192.0.2.1]:1", "::ffff:192.0.2.1", 1, id="IPv4 in IPv6"),
        pytest.param("0.0.0.0:65535", "0.0.0.0", 65_535, id="the last port"),  # noqa: S104 - read, and not bound
    ],
)
def test_an_address_is_read_and_written_alike(text: str, host: str, port: int) -> None:
    address = parse_address(text)

    assert address == Address(host=host, port=port)
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8080",
        ":8080",
        "localhost",
        "localhost:",
        "localhost:65536",
        "localhost:123456",
        "::1:8080",
        "[x]:1",
        "a b:1",
    ],
)
def test_what_is_no_address_with_a_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an address with a port"):
        parse_address(text)
