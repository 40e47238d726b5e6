"""The origin of a request, where to go on after it, and its language."""

import pytest
from estimatesync_api.status_page.core import addresses
from estimatesync_api.status_page.core.addresses import (
    HOME,
    build_sign_in_address,
    build_sync_address,
    choose_next,
    is_page_path,
)
from estimatesync_api.status_page.core.localization import choose_language
from estimatesync_api.status_page.core.session import Origin, is_from_own_page, read_origin


@pytest.mark.parametrize(
    ("scheme", "proto", "forwarded_host", "is_trusted", "expected"),
    [
        pytest.param("http", "", "", False, Origin(is_secure=False, host="sync.example"), id="plain"),
        pytest.param("https", "", "", False, Origin(is_secure=True, host="sync.example"), id="https"),
        pytest.param("http", "https", "", False, Origin(is_secure=True, host="sync.example"), id="claimed https"),
        pytest.param("http", "https, http", "", True, Origin(is_secure=True, host="sync.example"), id="two proxies"),
        pytest.param(
            "http", "", "evil.example", False, Origin(is_secure=False, host="sync.example"), id="another site"
        ),
        pytest.param("http", "https", "A.example", True, Origin(is_secure=True, host="a.example"), id="proxy"),
    ],
)
def test_the_origin_is_what_the_browser_sees(
    *, scheme: str, proto: str, forwarded_host: str, is_trusted: bool, expected: Origin
) -> None:
    headers = {"X-FORWARDED-PROTO": proto, "X-FORWARDED-HOST": forwarded_host}

    origin = read_origin(scheme=scheme, host="Sync.example", headers=headers, is_proxy_trusted=is_trusted)

    assert origin == expected


def test_without_a_proxy_the_origin_is_that_of_the_connection() -> None:
    origins = [
        read_origin(scheme="http", host="sync.example", headers={}, is_proxy_trusted=is_trusted)
        for is_trusted in (False, True)
    ]

    assert origins == [Origin(is_secure=False, host="sync.example")] * 2


@pytest.mark.parametrize(
    ("fetch_site", "sent_origin", "expected"),
    [
        pytest.param("same-origin", "", True, id="our own form"),
        pytest.param("none", "", True, id="opened directly"),
        pytest.param("cross-site", "https://sync.example", False, id="another site"),
        pytest.param("same-site", "https://sync.example", False, id="a neighbour"),
        pytest.param("", "https://sync.example", True, id="older browser"),
        pytest.param("", "https://evil.example", False, id="older browser, another site"),
        pytest.param("", "https://sync.example:8443", False, id="another port"),
        pytest.param("", "null", False, id="hidden origin"),
        pytest.param("", "http://[", False, id="no origin at all"),
        pytest.param("", "sync.example", False, id="no scheme"),
        pytest.param("", "", True, id="no browser"),
    ],
)
def test_forms_are_taken_from_our_own_pages(*, fetch_site: str, sent_origin: str, expected: bool) -> None:
    origin = Origin(is_secure=True, host="sync.example")

    assert is_from_own_page(origin, fetch_site=fetch_site, sent_origin=sent_origin) is expected


@pytest.mark.parametrize(
    ("host", "is_secure", "expected"),
    [
        ("127.0.0.1:8080", False, False),
        ("app.localhost:8080", False, False),
        ("notlocalhost", False, True),
        ("localhost:8080", False, False),
        ("[::1]:8080", False, False),
        ("sync.example", False, True),
        ("10.0.0.7:80", False, True),
        ("sync.example", True, False),
        ("[", False, True),
        ("", False, True),
    ],
)
def test_a_plain_connection_beyond_this_machine_is_exposed(*, host: str, is_secure: bool, expected: bool) -> None:
    assert Origin(is_secure=is_secure, host=host).is_exposed is expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("/", "/"),
        ("/?status=failed", "/?status=failed"),
        ("/page/syncs/est-1", "/page/syncs/est-1"),
        ("/page/trends#counts", "/page/trends#counts"),
        ("//evil.example", HOME),
        ("/\\evil.example", HOME),
        ("https://evil.example/", HOME),
        ("javascript:alert(1)", HOME),
        ("/page/../healthz", HOME),
        ("/metrics", HOME),
        ("/page/\r\nSet-Cookie: x=1", HOME),
        ("/page/é", HOME),
        ("", HOME),
        ("/page/" + "x" * 506, "/page/" + "x" * 506),
        ("/page/" + "x" * 507, HOME),
        ("/page/!~", "/page/!~"),
        ("/page/a b", HOME),
        ("/page/a\x7f", HOME),
        ("/page?a=..", "/page?a=.."),
        ("/page#a/..", "/page#a/.."),
    ],
)
def test_signing_in_never_leads_to_another_site(wanted: str, expected: str) -> None:
    assert choose_next(wanted) == expected


def test_bookmarks_of_the_page_stay_good() -> None:
    assert [
        *("/", "/page/sign-in", "/page/sign-out", "/page/language", "/page/start"),
    ] == [addresses.HOME, addresses.SIGN_IN, addresses.SIGN_OUT, addresses.LANGUAGE, addresses.START]
    assert (addresses.TRENDS, addresses.ASSET) == ("/page/trends", "/page/assets/{name}")
    assert [
        build_sync_address("est-1", step)
        for step in ("", addresses.LOG_STEP, addresses.CANCEL_STEP, addresses.REDELIVER_STEP)
    ] == [f"/page/syncs/est-1{step}" for step in ("", "/log", "/cancel", "/redeliver")]
    assert build_sync_address("../a b") == "/page/syncs/..%2Fa%20b"


def test_the_wanted_page_survives_signing_in() -> None:
    address = build_sign_in_address("/?status=failed&cursor=ab")

    assert address == "/page/sign-in?next=%2F%3Fstatus%3Dfailed%26cursor%3Dab"
    assert build_sign_in_address("/") == "/page/sign-in"


def test_page_addresses_differ_from_those_of_programs() -> None:
    pages = ["/", "/page", "/page/x", "/docs"]

    assert [path for path in [*pages, "/pages", "/api/automations", "/docs/x", ""] if is_page_path(path)] == pages


@pytest.mark.parametrize(
    ("chosen", "accepted", "expected"),
    [
        ("es", "en-US,en", "es"),
        ("xx", "es-MX,es;q=0.9,en;q=0.8", "es"),
        ("", "de-DE, en;q=0.3, es;q=0.7", "es"),
        ("", "en;q=0.7, es;q=0.7", "en"),
        ("", "es;q=nonsense, en;q=0.1", "en"),
        ("", "de", "en"),
        ("", " ES-mx ", "es"),
        ("", "es;q=0.2,en;q=0.1", "es"),
        ("", "en;q=0.1,es", "es"),
        ("", "de," * 19 + "es", "es"),
        ("", "de," * 20 + "es", "en"),
        ("", "", "en"),
    ],
)
def test_the_language_is_the_chosen_or_the_preferred_one(chosen: str, accepted: str, expected: str) -> None:
    assert choose_language(chosen, accepted) == expected
