"""Callback URLs: which are usable, and that no more than scheme and host is ever shown."""

import pytest
from estimatesync_contract.callback_url import (
    CallbackTarget,
    TargetRefusedError,
    format_excerpt,
    format_target,
    parse_target,
)


@pytest.mark.parametrize(
    ("url", "expected", "host_header"),
    [
        pytest.param(
            "https://hook.eu1.make.com/s3cret?x=1#part",
            CallbackTarget(scheme="https", host="hook.eu1.make.com", port=443, path="/s3cret?x=1"),
            "hook.eu1.make.com",
            id="make",
        ),
        pytest.param(
            "https://HOOKS.Example.com\n",
            CallbackTarget(scheme="https", host="hooks.example.com", port=443, path="/"),
            "hooks.example.com",
            id="upper-case-and-the-line-end-of-a-file",
        ),
        pytest.param(
            "https://hooks.example.com.:8443/a%2Fb",
            CallbackTarget(scheme="https", host="hooks.example.com.", port=8443, path="/a%2Fb"),
            "hooks.example.com:8443",
            id="final-dot-port-and-escapes",
        ),
        pytest.param(
            "https://[2606:4700::1111]:8443/x",
            CallbackTarget(scheme="https", host="2606:4700::1111", port=8443, path="/x"),
            "[2606:4700::1111]:8443",
            id="ipv6",
        ),
    ],
)
def test_usable_url_is_taken_apart(url: str, expected: CallbackTarget, host_header: str) -> None:
    target = parse_target(url, allow_insecure=False)

    assert target == expected
    assert target.host_header == host_header


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("hook.make.com/s3cret", "https://", id="no-scheme"),
        pytest.param("ftp://example.com/s3cret", "https://", id="other-scheme"),
        pytest.param("file:///s3cret", "https://", id="file"),
        pytest.param("http://example.com/s3cret", "CALLBACK_ALLOW_HTTP=true", id="plain-http"),
        pytest.param("https:///s3cret", "no readable host", id="no-host"),
        pytest.param("https://user:s3cret@example.com/", "user name or password", id="credentials"),
        pytest.param("https://example.com@127.0.0.1/s3cret", "user name or password", id="misleading-host"),
        pytest.param("https://example.com:0/s3cret", "port", id="port-0"),
        pytest.param("https://example.com:65536/s3cret", "port", id="port-too-high"),
        pytest.param("https://example.com:s3cret/", "port", id="port-not-a-number"),
        pytest.param("https://[fe80::1%25eth0]/s3cret", "no readable host", id="zone"),
        pytest.param("https://[::1/s3cret", "no readable host", id="open-bracket"),
        pytest.param("https://exa_mple..com/s3cret", "no readable host", id="empty-label"),
        pytest.param(f"https://{'a' * 64}.com/s3cret", "no readable host", id="long-label"),
        pytest.param("https://example.com\\@127.0.0.1/s3cret", "backslash", id="backslash"),
        pytest.param("https://example.com/s3cret path", "space", id="space"),
        pytest.param("https://example.com/s3cret\r\nHost: x", "space", id="header-injection"),
        pytest.param("https://bücher.example/s3cret", "xn--", id="not-ascii"),
        pytest.param("https://example.com/" + "s3cret" * 2000, "too long", id="too-long"),
    ],
)
def test_unusable_url_is_refused_without_being_shown(url: str, says: str) -> None:
    with pytest.raises(TargetRefusedError, match=says) as caught:
        parse_target(url, allow_insecure=False)

    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_plain_http_is_taken_where_allowed() -> None:
    target = parse_target("http://127.0.0.1:8080/s3cret", allow_insecure=True)

    assert (target.scheme, target.port, target.host_header) == ("http", 8080, "127.0.0.1:8080")


def test_path_is_never_shown() -> None:
    url = "https://hook.eu1.make.com/s3cret?token=s3cret"

    target = parse_target(url, allow_insecure=False)

    assert "s3cret" not in repr(target)
    assert format_target(url) == target.origin == "https://hook.eu1.make.com"
    assert format_target("https://user:s3cret@x/") == "an unusable URL"


def test_excerpt_is_one_short_line_without_the_urls_secrets() -> None:
    target = parse_target("https://example.com/hooks/s3cret-path?token=s3cret-token", allow_insecure=False)
    body = b"Cannot POST /hooks/s3cret-path\n<b>s3cret-token</b> \xff" + b"x" * 5000

    excerpt = format_excerpt(body, secrets=target.secrets)

    assert excerpt.startswith("Cannot POST /hooks/… <b>…</b> \ufffdxxx")
    assert len(excerpt) == 200
