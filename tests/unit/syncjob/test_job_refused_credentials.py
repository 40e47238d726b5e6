"""Credentials that Attic Tech has refused are known again, and others are not taken for them."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from estimatesync_job.core.errors import LoginFailedError
from estimatesync_job.core.refused_login import Credentials, RefusedLogin, check_refusal

TRIED = Credentials(url="https://a.example", email="sync@attic-tech.example", password="made-up", retry="")
SALT = b"made-up salt"
REFUSAL = RefusedLogin(
    salt=SALT,
    digest=TRIED.compute_digest(SALT),
    refused_at=datetime(2025, 10, 16, 14, 9, tzinfo=UTC),
    said="Login to Attic Tech failed: Invalid credentials.",
)


def test_the_same_credentials_are_not_tried_again_and_it_is_said_what_to_change() -> None:
    with pytest.raises(LoginFailedError) as raised:
        check_refusal(REFUSAL, TRIED)

    assert str(raised.value).startswith(
        "Login to Attic Tech failed: Invalid credentials. That was at 2025-10-16T14:09:00.000Z; the same credentials"
    )
    assert "SYNC_LOGIN_RETRY" in str(raised.value)


@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param(replace(TRIED, url="https://b.example"), id="another address"),
        pytest.param(replace(TRIED, email="other@attic-tech.example"), id="another mail"),
        pytest.param(replace(TRIED, password="made-up-too"), id="another password"),
        pytest.param(replace(TRIED, retry="1"), id="a person's word"),
        pytest.param(replace(TRIED, email="sync@attic-tech.examplemade", password="-up"), id="the same letters"),
    ],
)
def test_other_credentials_are_tried(credentials: Credentials) -> None:
    check_refusal(REFUSAL, credentials)


def test_where_nothing_was_refused_everything_is_tried() -> None:
    check_refusal(None, TRIED)


def test_a_refusal_is_known_again_by_another_version_of_the_program() -> None:
    """The tables keep the digest; one that is not known any more would cost another wrong password."""
    assert TRIED.compute_digest(SALT).hex() == "5a607ad4319157ff57d0d7776c452214ee26073ca66d320edd9070b4883a6244"


def test_credentials_are_not_shown() -> None:
    assert "made-up" not in repr(TRIED)
    assert "sync@" not in repr(TRIED)
