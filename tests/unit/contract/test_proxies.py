"""Which proxy an address is reached through, and what of the environment is refused."""

import pytest
from estimatesync_contract.proxies import ProxyFaultError, find_proxy, format_skipped_exceptions, parse_proxy_url

URL = "https://www.attic-tech.com"
PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        pytest.param({}, URL, None, id="nothing is set"),
        pytest.param({"HTTPS_PROXY": PROXY}, URL, PROXY, id="for https"),
        pytest.param({"HTTP_PROXY": PROXY}, URL, None, id="only for http"),
        pytest.param({"HTTP_PROXY": PROXY}, "http://x.example", PROXY, id="for http"),
        pytest.param({"ALL_PROXY": PROXY}, URL, PROXY, id="for all"),
        pytest.param({"ALL_PROXY": "http://other", "HTTPS_PROXY": PROXY}, URL, PROXY, id="the scheme's own first"),
        pytest.param({"HTTPS_PROXY": "http://other", "https_proxy": PROXY}, URL, PROXY, id="lower case first"),
        pytest.param({"HTTPS_PROXY": " "}, URL, None, id="blank"),
        pytest.param({"HTTPS_PROXY": "proxy.example:3128"}, URL, PROXY, id="without a scheme"),
        pytest.param({"HTTPS_PROXY": "https://p.example"}, URL, "https://p.example", id="a proxy with TLS"),
        pytest.param({"HTTPS_PROXY": "http://[fd00::1]:3128/"}, URL, "http://[fd00::1]:3128/", id="IPv6"),
        pytest.param(
            {"HTTPS_PROXY": "http://user:p%23%2F%3F%40ss@p.example:1"},
            URL,
            "http://user:p%23%2F%3F%40ss@p.example:1",
            id="escapes in the password",
        ),
        pytest.param({"ALL_PROXY": PROXY}, "http://127.0.0.1:80", None, id="this machine"),
        pytest.param({"ALL_PROXY": PROXY}, "http://[::1]:80", None, id="this machine by IPv6"),
        pytest.param({"ALL_PROXY": PROXY}, "http://localhost", None, id="this machine by name"),
        pytest.param({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, "http://x.example", None, id="a caller's header"),
        pytest.param({"ALL_PROXY": "socks5://p"}, "http://localhost", None, id="one that is not needed"),
        pytest.param({"ALL_PROXY": "socks5://p", "HTTPS_PROXY": PROXY}, URL, PROXY, id="one that does not count"),
        pytest.param({"ALL_PROXY": "socks5://p", "NO_PROXY": ".attic-tech.com"}, URL, None, id="an exception to it"),
        pytest.param({"NO_PROXY": "[::1"}, URL, None, id="an exception to nothing"),
    ],
)
def test_the_environment_names_a_proxy(environment: dict[str, str], url: str, proxy: str | None) -> None:
    assert find_proxy(environment, url) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_direct"),
    [
        pytest.param("*", URL, True, id="everything"),
        pytest.param("attic-tech.com", URL, True, id="a domain"),
        pytest.param("www.attic-tech.com", URL, True, id="the name"),
        pytest.param("WWW.Attic-Tech.com.", URL, True, id="in another case, with a dot"),
        pytest.param(".attic-tech.com", URL, True, id="below it"),
        pytest.param("*.attic-tech.com", URL, True, id="below it, with a star"),
        pytest.param("tech.com", URL, False, id="the end of a name"),
        pytest.param(".www.attic-tech.com", URL, False, id="below the name"),
        pytest.param("a.example, attic-tech.com", URL, True, id="the second"),
        pytest.param("a.example attic-tech.com", URL, True, id="separated by a blank"),
        pytest.param("https://www.attic-tech.com/", URL, True, id="as a URL"),
        pytest.param("attic-tech.com:443", URL, True, id="its port"),
        pytest.param("attic-tech.com:8443", URL, False, id="another port"),
        pytest.param("[::1]", URL, False, id="an address in brackets, for a name"),
        pytest.param("[::1],fd00::/8", "https://[fd00::7]", True, id="a network of IPv6"),
        pytest.param("[fd00::]/8", "https://[fd00::7]", True, id="a network in brackets"),
        pytest.param("[fd00::7]", "https://[fd00::7]", True, id="an address in brackets"),
        pytest.param("[fd00::7]:443", "https://[fd00::7]", True, id="with its port"),
        pytest.param("[fd00::7]:444", "https://[fd00::7]", False, id="with another port"),
        pytest.param("fd00::7", "https://[fd00:0::7]", True, id="another spelling"),
        pytest.param("10.0.0.0/8", "https://10.1.2.3", True, id="a network"),
        pytest.param("10.0.0.1/8", "https://10.1.2.3", True, id="a network with bits too many"),
        pytest.param("10.0.0.0/8", "https://11.1.2.3", False, id="outside of it"),
        pytest.param("10.1.2.3:443", "https://10.1.2.3", True, id="an address and its port"),
        pytest.param("1.2.3", "https://10.1.2.3", False, id="the end of an address"),
        pytest.param("*.local,169.254/16,attic-tech.com", URL, True, id="behind what macOS writes"),
        pytest.param("<local>;attic-tech.com <-loopback> attic-tech.com", URL, True, id="behind what Windows writes"),
        pytest.param("bücher.example,(none),[::1,a;b,fd00::/999", URL, False, id="nothing that can be read"),
        pytest.param("169.254/16", "https://169.254.1.2", False, id="half a network"),
        pytest.param("169.254.169.254,.svc,.cluster.local,10.*", URL, False, id="what people list"),
    ],
)
def test_some_hosts_are_reached_directly(no_proxy: str, url: str, *, is_direct: bool) -> None:
    assert find_proxy({"ALL_PROXY": PROXY, "NO_PROXY": no_proxy}, url) == (None if is_direct else PROXY)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        pytest.param({"ALL_PROXY": "socks5://p:1080"}, "ALL_PROXY must not name a SOCKS proxy", id="SOCKS"),
        pytest.param({"https_proxy": "SOCKS5H://p"}, "HTTPS_PROXY must not name a SOCKS proxy", id="SOCKS with names"),
        pytest.param({"HTTPS_PROXY": "ftp://p"}, "HTTPS_PROXY must be an address such as", id="another scheme"),
        pytest.param({"HTTPS_PROXY": "http://u:s3#cret@p:1"}, "write # as %23", id="# in the password"),
        pytest.param({"HTTPS_PROXY": "http://u:s3/cret@p:1"}, "/ as %2F", id="/ in the password"),
        pytest.param({"HTTPS_PROXY": "http://u:s3?cret@p:1"}, "as %3F", id="? in the password"),
        pytest.param({"HTTPS_PROXY": "http://u:s3@cret@p:1"}, "@ as %40", id="@ in the password"),
        pytest.param({"HTTPS_PROXY": "http://u:s3%cret@p:1"}, "% as %25", id="% in the password"),
        pytest.param({"HTTPS_PROXY": "http://u:s3 cret@p:1"}, "HTTPS_PROXY must be", id="a blank in the password"),
        pytest.param({"HTTPS_PROXY": "http://u:s3[cret@p:1"}, "HTTPS_PROXY must be", id="a bracket in the password"),
        pytest.param({"HTTPS_PROXY": "http://p:99999"}, "HTTPS_PROXY must be", id="no such port"),
        pytest.param({"HTTPS_PROXY": "http://a..b:1"}, "HTTPS_PROXY must be", id="no such name"),
        pytest.param({"HTTPS_PROXY": "http://"}, "HTTPS_PROXY must be", id="no host"),
    ],
)
def test_what_cannot_be_used_is_named_with_a_cure_and_without_its_value(environment: dict[str, str], said: str) -> None:
    with pytest.raises(ProxyFaultError, match=said) as caught:
        find_proxy(environment, URL)

    assert not [part for part in ("s3", "cret", "socks5:", "99999") if part in str(caught.value)]


def test_the_operator_s_settings_are_judged_by_the_same_rules() -> None:
    assert parse_proxy_url("proxy.example:3128") == PROXY


@pytest.mark.parametrize(
    ("environment", "url", "said"),
    [
        pytest.param({"NO_PROXY": "*.local,169.254/16"}, URL, "entry 2 is none of these", id="macOS"),
        pytest.param({"NO_PROXY": "a,<local>,b,(none),s3;cret"}, URL, "entries 2, 4 and 5 are none", id="several"),
        pytest.param({"NO_PROXY": "localhost,[::1],fd00::/8,10.*"}, URL, "", id="all can be read"),
        pytest.param({"NO_PROXY": "<local>,attic-tech.com"}, URL, "", id="another one reaches it directly"),
        pytest.param({"NO_PROXY": "<local>"}, "http://127.0.0.1", "", id="this machine"),
        pytest.param({"NO_PROXY": "<local>", "ALL_PROXY": ""}, URL, "", id="no proxy"),
        pytest.param({}, URL, "", id="no exceptions"),
    ],
)
def test_exceptions_that_are_skipped_are_named_by_number(environment: dict[str, str], url: str, said: str) -> None:
    text = format_skipped_exceptions({"ALL_PROXY": PROXY, **environment}, url)

    assert said in text
    assert bool(text) == bool(said)
    assert "s3" not in text
