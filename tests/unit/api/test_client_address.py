import ipaddress

import pytest
from estimatesync_api.core.access import compute_client

PROXIES = tuple(ipaddress.ip_network(text) for text in ("10.0.0.0/8", "fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        pytest.param("203.0.113.7", "", "203.0.113.7", id="directly"),
        pytest.param("203.0.113.7", "198.51.100.1", "203.0.113.7", id="a header from an untrusted client"),
        pytest.param("10.1.2.3", "198.51.100.1", "198.51.100.1", id="by a proxy"),
        pytest.param("10.1.2.3", "6.6.6.6, 198.51.100.1, 10.9.9.9", "198.51.100.1", id="by two, after a claim"),
        pytest.param("10.1.2.3", "", "10.1.2.3", id="the proxy itself"),
        pytest.param("10.1.2.3", "unknown", "10.1.2.3", id="a proxy that does not say"),
        pytest.param("10.1.2.3", "10.0.0.1,10.0.0.2", "10.0.0.1", id="only proxies"),
        pytest.param("::ffff:203.0.113.7", "", "203.0.113.7", id="IPv4 in IPv6"),
        pytest.param("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64", id="a household"),
        pytest.param("fd00::1", "[2001:db8::9]", "2001:db8::/64", id="in brackets"),
        pytest.param("", "198.51.100.1", "unknown", id="no peer, as on a socket in the file system"),
    ],
)
def test_the_client_is_who_a_trusted_proxy_says(peer: str, forwarded_for: str, client: str) -> None:
    assert compute_client(peer, forwarded_for, PROXIES) == client
