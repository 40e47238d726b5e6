import ipaddress

import pytest
from estimatesync_api.core.access import compute_client, parse_forwarded

PROXIES = tuple(ipaddress.ip_network(text) for text in ("10.0.0.0/8", "fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        pytest.param("203.0.113.7", "", "203.0.113.7", id="directly"),
        pytest.param("203.0.113.7", "198.51.100.1", "203.0.113.7", id="a header from an untrusted client"),
        pytest.param("10.1.2.3", "198.51.100.1", "198.51.100.1", id="by a proxy"),
        pytest.param("10.1.2.3", "6.6.6.6, 198.51.100.1, 10.9.9.9", "198.51.100.1", id="by two, after a claim"),
        pytest.param("10.1.2.3", "", "10.1.2.3", id="the proxy itself"),
        pytest.param("10.1.2.3", "unknown", "unknown", id="a proxy that does not say"),
        pytest.param("10.1.2.3", "6.6.6.6, unknown", "unknown", id="a claim before a proxy that does not say"),
        pytest.param("10.1.2.3", "_hidden", "unknown", id="a proxy that hides it"),
        pytest.param("10.1.2.3", "198.51.100.1:x:y", "unknown", id="a proxy that writes nonsense"),
        pytest.param("10.1.2.3", "999.1.1.1:80", "unknown", id="no address"),
        pytest.param("10.1.2.3", "6.6.6.6,", "unknown", id="nobody after a claim"),
        pytest.param("10.1.2.3", "198.51.100.10:5555", "198.51.100.10", id="with a port"),
        pytest.param("10.1.2.3", "198.51.100.10:5555, 10.9.9.9:41234", "198.51.100.10", id="ports by two proxies"),
        pytest.param("10.1.2.3", "[2001:db8:1:2::9]:4711", "2001:db8:1:2::/64", id="IPv6 with a port"),
        pytest.param("10.1.2.3", '"[2001:db8:1:2::9]:4711"', "2001:db8:1:2::/64", id="quoted"),
        pytest.param("10.1.2.3", '"198.51.100.10"', "198.51.100.10", id="quoted IPv4"),
        pytest.param("10.1.2.3", "2001:db8:1:2::9", "2001:db8:1:2::/64", id="IPv6 without brackets"),
        pytest.param("10.1.2.3", "[::ffff:198.51.100.10]:80", "198.51.100.10", id="IPv4 in IPv6 with a port"),
        pytest.param("10.1.2.3", "2001:db8:1:2::9%eth0", "2001:db8:1:2::/64", id="with a zone"),
        pytest.param("10.1.2.3", "198.51.100.10:", "198.51.100.10", id="an empty port"),
        pytest.param("10.1.2.3", "10.0.0.1,10.0.0.2", "10.0.0.1", id="only proxies"),
        pytest.param("::ffff:203.0.113.7", "", "203.0.113.7", id="IPv4 in IPv6"),
        pytest.param("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64", id="a household"),
        pytest.param("fd00::1", "[2001:db8::9]", "2001:db8::/64", id="in brackets"),
        pytest.param("", "198.51.100.1", "unknown", id="no peer, as on a socket in the file system"),
    ],
)
def test_the_client_is_who_a_trusted_proxy_says(peer: str, forwarded_for: str, client: str) -> None:
    assert compute_client(peer, parse_forwarded(x_forwarded_for=forwarded_for, forwarded=""), PROXIES) == client


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        pytest.param("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60", id="all pairs"),
        pytest.param('For="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::/64", id="IPv6, quoted"),
        pytest.param("for=6.6.6.6, for=198.51.100.17", "198.51.100.17", id="after a claim"),
        pytest.param('for=192.0.2.43, for="10.9.9.9:80";by="a,for=6.6.6.6"', "192.0.2.43", id="a comma in quotes"),
        pytest.param("proto=https;FOR = 192.0.2.60", "192.0.2.60", id="another order"),
        pytest.param("for=unknown", "unknown", id="unknown"),
        pytest.param("for=_gazonk", "unknown", id="hidden"),
        pytest.param("for=6.6.6.6, proto=https", "unknown", id="a proxy that names nobody"),
        pytest.param('for="6.6.6.6, for=198.51.100.17', "198.51.100.17", id="a claim that breaks its quotes"),
        pytest.param('for=6.6.6.6;by=", for=198.51.100.17', "198.51.100.17", id="a claim that leaves quotes open"),
        pytest.param('for=6.6.6.6;by=", for="[2001:db8::9]:1"', "2001:db8::/64", id="open quotes before quotes"),
        pytest.param('for=6.6.6.6;by="\\, for="198.51.100.17:1"', "198.51.100.17", id="an open escape before quotes"),
        pytest.param(r'for="198.51.100.17";by="a\", for=6.6.6.6"', "198.51.100.17", id="escaped quotes"),
        pytest.param(r'for=6.6.6.6;by="a\\", for=198.51.100.17', "198.51.100.17", id="quotes after an escaped escape"),
        pytest.param(r'for="198\.51.100\.17"', "198.51.100.17", id="an escape within quotes"),
        pytest.param('for="198.51.100.17', "unknown", id="a proxy that leaves quotes open"),
        pytest.param("", "10.1.2.3", id="nothing"),
    ],
)
def test_the_standard_header_counts_where_it_stands_alone(forwarded: str, client: str) -> None:
    alone = parse_forwarded(x_forwarded_for="", forwarded=forwarded)
    beside = parse_forwarded(x_forwarded_for="198.51.100.99", forwarded=forwarded)

    assert compute_client("10.1.2.3", alone, PROXIES) == client
    assert compute_client("10.1.2.3", beside, PROXIES) == "198.51.100.99"


HOSTILE = 800_000
"""As many characters as gunicorn admits in all headers of a request; each of these took longer by the square."""


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param('"', id="quotes"),
        pytest.param('\\"', id="escaped quotes"),
        pytest.param("\\", id="escapes"),
        pytest.param('";', id="quotes and pairs"),
        pytest.param('",', id="quotes and elements"),
        pytest.param('for="', id="open values"),
        pytest.param("for=10.9.9.9,", id="proxies"),
        pytest.param(" ", id="blanks"),
    ],
)
@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded"])
def test_what_a_caller_claims_costs_little_and_changes_nothing(header: str, claim: str) -> None:
    own = {"x_forwarded_for": "198.51.100.17", "forwarded": "for=198.51.100.17"}[header]
    headers = {"x_forwarded_for": "", "forwarded": ""}

    behind = parse_forwarded(**headers | {header: f"{claim * (HOSTILE // len(claim))}, {own}"})
    instead = parse_forwarded(**headers | {header: claim * (HOSTILE // len(claim))})

    assert compute_client("10.1.2.3", behind, PROXIES) == "198.51.100.17"
    assert compute_client("10.1.2.3", instead, PROXIES) in {"unknown", "10.1.2.3", "10.9.9.9"}


def test_claims_are_not_even_read_unless_a_trusted_proxy_passes_them_on() -> None:
    claims = parse_forwarded(x_forwarded_for="", forwarded="for=6.6.6.6, for=198.51.100.17, for=10.9.9.9")

    direct = compute_client("203.0.113.7", claims, PROXIES)
    by_two_proxies = compute_client("10.1.2.3", claims, PROXIES)

    assert (direct, by_two_proxies) == ("203.0.113.7", "198.51.100.17")
    assert list(claims) == ["6.6.6.6"]
