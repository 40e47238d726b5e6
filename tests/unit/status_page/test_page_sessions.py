"""A session proves itself, and nothing else does."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from estimatesync_api.core.access import ApiKey, compute_digest
from estimatesync_api.status_page.core.session import (
    Session,
    build_form_token,
    build_session,
    choose_cookie_name,
    find_session,
    read_form_nonce,
)

NOW = datetime(2025, 10, 17, 2, 30, tzinfo=UTC)
MAKE = ApiKey(name="make", digest=compute_digest("made-up-key-of-make"), is_read_only=False)
OTHER = ApiKey(name="other", digest=compute_digest("made-up-key-of-others"), is_read_only=True)


def begin(key: ApiKey = MAKE, nonce: str = "00ff") -> Session:
    return build_session(key, now=NOW, hours=8, nonce=nonce)


def test_a_session_is_found_again_by_any_process_that_has_the_key() -> None:
    session = begin()

    found = find_session(session.cookie, [OTHER, MAKE], now=NOW + timedelta(hours=7, minutes=59))

    assert found == session


@pytest.mark.parametrize(
    ("keys", "later"),
    [
        pytest.param([MAKE], timedelta(hours=8), id="expired"),
        pytest.param([OTHER], timedelta(), id="its key was removed"),
        pytest.param(
            [replace(MAKE, digest=compute_digest("made-up-key-that-is-new"))],
            timedelta(),
            id="its key was replaced",
        ),
        pytest.param([], timedelta(), id="no keys"),
    ],
)
def test_a_session_ends(keys: list[ApiKey], later: timedelta) -> None:
    cookie = begin().cookie

    found = find_session(cookie, keys, now=NOW + later)

    assert found is None


@pytest.mark.parametrize("place", range(5))
def test_a_cookie_that_was_changed_anywhere_is_not_a_session(place: int) -> None:
    parts = begin().cookie.split(".")
    parts[place] = parts[place][:-1] + ("0" if parts[place][-1] != "0" else "2")

    found = find_session(".".join(parts), [MAKE, OTHER], now=NOW)

    assert found is None


@pytest.mark.parametrize("cookie", ["", ".", "....", "1.2.3.4.5", "a" * 10_000, "1.é.3.4.5", "1.x.٣.4.5"])
def test_a_foreign_cookie_is_not_a_session(cookie: str) -> None:
    found = find_session(cookie, [MAKE], now=NOW)

    assert found is None


def test_a_key_that_becomes_read_only_makes_its_sessions_read_only() -> None:
    cookie = begin().cookie

    found = find_session(cookie, [replace(MAKE, is_read_only=True)], now=NOW)

    assert found is not None
    assert found.key.is_read_only


def test_a_cookie_reveals_neither_the_key_nor_its_name() -> None:
    session = begin()

    assert "make" not in session.cookie
    assert MAKE.digest.hex() not in session.cookie
    assert session.cookie not in repr(session)


def test_a_session_and_a_form_outlive_an_upgrade() -> None:
    """Replicas of two versions serve one browser while a release is rolled out."""
    cookie = "1.52fa494d6bbc1792.1760697000.00ff.34c24b5e22b8278f6463bf66847273fee2e5f60811a1d6732040d50e5a458747"
    token = "ab12.7cd1723eec466291da34a3f531a5a5244731b4753fcf3ec629f67e2937f7e4a7"

    found = find_session(cookie, [OTHER, MAKE], now=NOW)

    assert found == begin()
    assert (begin().cookie, build_form_token(begin(), "/page/start", nonce="ab12")) == (cookie, token)
    assert read_form_nonce(found, "/page/start", token) == "ab12"


def test_a_cookie_that_is_longer_than_any_of_ours_is_not_even_read() -> None:
    longest = build_session(MAKE, now=NOW, hours=8, nonce="0" * (256 - len(begin(nonce="").cookie)))
    longer = build_session(MAKE, now=NOW, hours=8, nonce=f"{longest.nonce}0")

    assert (len(longest.cookie), len(longer.cookie)) == (256, 257)
    assert [find_session(each.cookie, [MAKE], now=NOW) for each in (longest, longer)] == [longest, None]


def test_a_form_token_is_of_one_session_and_one_address() -> None:
    session = begin()
    token = build_form_token(session, "/page/start", nonce="ab12")

    assert read_form_nonce(session, "/page/start", token) == "ab12"
    assert read_form_nonce(session, "/page/sign-out", token) is None
    assert read_form_nonce(begin(nonce="00fe"), "/page/start", token) is None
    assert read_form_nonce(begin(OTHER), "/page/start", token) is None


@pytest.mark.parametrize("token", ["", ".", "ab12", "ab12.", "ab13.00", "é.é"])
def test_an_invalid_token_is_refused(token: str) -> None:
    nonce = read_form_nonce(begin(), "/page/start", token)

    assert nonce is None


def test_the_name_of_the_cookie_is_bound_to_the_host_over_https_alone() -> None:
    names = [choose_cookie_name(is_secure=is_secure) for is_secure in (True, False)]

    assert names == ["__Host-estimatesync", "estimatesync"]
