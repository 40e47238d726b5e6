"""The environment becomes settings, or one message that names every fault and no secret."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from estimatesync_contract.spec import DateRange
from estimatesync_job.core.errors import ConfigurationError
from estimatesync_job.settings import parse_identity, parse_log_format, parse_result_path, parse_settings

COMPLETE: Mapping[str, str] = {
    "SYNC_ID": "est-20251016-140900000-k3x9q",
    "SYNC_UID": "3f1c0b52-7d6a-4a52-9d4e-3b6f6f0f8a11",
    "SYNC_START_DATE": "2025-09-01",
    "SYNC_END_DATE": "2025-10-16",
    "ATTIC_TECH_EMAIL": "sync@example.com",
    "ATTIC_TECH_PASSWORD": "made-up-password",
    "DATABASE_URL": "postgresql://sync:made-up-secret@database/botzilla",
}


def test_what_is_not_set_has_its_documented_default() -> None:
    settings = parse_settings(COMPLETE)

    assert settings.attic_tech_url == "https://www.attic-tech.com"
    assert settings.database_schema == "botzilla"
    assert (settings.page_size, settings.concurrency) == (None, 8)
    assert settings.date_range == DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16))
    assert settings.day_bounds.end == datetime(2025, 10, 16, 23, 59, 59, 999_000, tzinfo=UTC)


def test_days_are_days_of_the_configured_time_zone() -> None:
    settings = parse_settings({**COMPLETE, "SYNC_TIME_ZONE": "America/Los_Angeles"})

    assert settings.day_bounds.start == datetime(2025, 9, 1, 7, tzinfo=UTC)


def test_line_ends_of_secrets_are_dropped_but_blanks_of_a_password_are_kept() -> None:
    environment = {
        **COMPLETE,
        "ATTIC_TECH_EMAIL": "sync@example.com\n",
        "ATTIC_TECH_PASSWORD": " blank at both ends \r\n",
        "ATTIC_TECH_URL": "https://attic.example/base/\n",
    }

    settings = parse_settings(environment)

    assert settings.attic_tech_email == "sync@example.com"
    assert settings.attic_tech_password == " blank at both ends "
    assert settings.attic_tech_url == "https://attic.example/base"


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_settings({"SYNC_PAGE_SIZE": "0", "LOG_FORMAT": "xml", "SYNC_ID": "  "})

    message = str(raised.value)
    for name in COMPLETE:
        assert f"{name} is not set" in message
    assert "SYNC_PAGE_SIZE must be a whole number from 1 to 1000" in message
    assert "LOG_FORMAT must be one of json, text" in message


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        pytest.param("SYNC_START_DATE", "01/09/2025", "must be a day such as", id="american-day"),
        pytest.param("SYNC_START_DATE", "2025-10-17", "must not be after SYNC_END_DATE", id="start-after-end"),
        pytest.param("SYNC_END_DATE", "9999-12-31", "an end of the calendar", id="day-without-a-next-one"),
        pytest.param("SYNC_TIME_ZONE", "Mars/Olympus", "must be an IANA time zone", id="unknown-zone"),
        pytest.param("SYNC_TIME_ZONE", "../etc/passwd", "must be an IANA time zone", id="zone-that-is-a-path"),
        pytest.param("SYNC_PAGE_SIZE", "1001", "from 1 to 1000", id="page-too-large"),
        pytest.param("SYNC_PAGE_SIZE", "ten", "from 1 to 1000", id="page-no-number"),
        pytest.param("SYNC_CONCURRENCY", "33", "from 1 to 32", id="too-many-pages-in-flight"),
        pytest.param("SYNC_CONCURRENCY", "²", "from 1 to 32", id="digit-that-is-none"),
        pytest.param("ATTIC_TECH_URL", "ftp://attic.example", "must be an address", id="not-http"),
        pytest.param("ATTIC_TECH_URL", "https://u:p@attic.example", "without credentials", id="url-with-credentials"),
        pytest.param("ATTIC_TECH_URL", "https://[attic.example", "must be an address", id="url-that-is-none"),
        pytest.param("ATTIC_TECH_URL", "https://attic.example:99999", "must be an address", id="no-such-port"),
        pytest.param("ATTIC_TECH_URL", "https://attic..example", "DNS cannot carry", id="empty-label"),
        pytest.param("ATTIC_TECH_URL", "https://\uff41ttic.example", "DNS cannot carry", id="full-width"),
        pytest.param("HTTPS_PROXY", "socks5://proxy.example", "HTTPS_PROXY must not name a SOCKS", id="socks"),
        pytest.param("ALL_PROXY", "http://u:a#b@proxy.example", "ALL_PROXY must be .* write # as %23", id="password"),
        pytest.param("DATABASE_URL", "mysql://database/botzilla", "must start with postgresql://", id="not-postgres"),
        pytest.param("DATABASE_SCHEMA", "pg_estimates", "must be letters, digits", id="reserved-schema"),
        pytest.param("DATABASE_SCHEMA", 'a"b', "must be letters, digits", id="schema-with-a-quote"),
        pytest.param("DATABASE_SCHEMA", "s" * 64, "must be letters, digits", id="schema-too-long"),
    ],
)
def test_a_bad_value_is_refused_with_its_name(name: str, value: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as raised:
        parse_settings({**COMPLETE, name: value})

    assert name in str(raised.value)


def test_no_secret_is_shown_by_repr_or_by_a_complaint_about_it() -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_settings({**COMPLETE, "DATABASE_URL": "mysql://sync:made-up-secret@database/botzilla"})

    shown = repr(parse_settings(COMPLETE)) + str(raised.value)
    assert not {secret for secret in ("made-up", "sync@example.com") if secret in shown}


def test_the_result_can_be_addressed_while_other_settings_are_broken() -> None:
    environment = {**COMPLETE, "DATABASE_URL": "", "TERMINATION_MESSAGE_PATH": "/tmp/result"}  # noqa: S108 - a text

    assert parse_identity(environment) == (
        COMPLETE["SYNC_UID"],
        DateRange(start=date(2025, 9, 1), end=date(2025, 10, 16)),
    )
    assert parse_result_path(environment) == Path("/tmp/result")  # noqa: S108 - as above


@pytest.mark.parametrize("name", ["SYNC_UID", "SYNC_START_DATE", "SYNC_END_DATE"])
def test_without_uid_or_range_there_is_no_identity(name: str) -> None:
    assert parse_identity({**COMPLETE, name: ""}) is None


@pytest.mark.parametrize(
    ("value", "log_format"),
    [
        pytest.param("json", "json", id="json"),
        pytest.param("", "text", id="default"),
        pytest.param("xml", "text", id="unknown"),
    ],
)
def test_even_a_wrong_log_format_leaves_a_log(value: str, log_format: str) -> None:
    assert parse_log_format({"LOG_FORMAT": value}) == log_format
