"""Names in .env that have no effect: a likely typing error is pointed out, and the rest is only counted."""

import re
from functools import partial
from pathlib import Path

import pytest
from estimatesync_contract.unknown_settings import (
    find_misspelt_settings,
    find_unknown_settings,
    format_unknown_settings,
)
from estimatesync_local.main import OTHER_NAMES
from estimatesync_local.settings import SETTING_NAMES, read_names

EXAMPLE = Path(__file__).parents[3] / ".env.example"
find_unknown = partial(find_unknown_settings, settings=SETTING_NAMES, other_names=OTHER_NAMES)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        pytest.param("MAX_ACTIVE_SYNC", "MAX_ACTIVE_SYNCS", id="letter-missing"),
        pytest.param("ATTICTECH_PASSWORD", "ATTIC_TECH_PASSWORD", id="underscore-missing"),
        pytest.param("database_url", "DATABASE_URL", id="lower-case"),
        pytest.param("MAKE_CALLBACK_WEBHOOK_URL", "MAKE_SYNC_CALLBACK_WEBHOOK_URL", id="word-missing"),
        pytest.param("JWT_SECRET", None, id="something-else"),
        pytest.param("MAKE_MEMBERSHIP_WEBHOOK_URL", None, id="another-webhook"),
        pytest.param("API_URL", None, id="short-and-half-alike"),
    ],
)
def test_a_name_that_looks_like_a_setting_is_logged_with_the_setting(name: str, meant: str | None) -> None:
    assert find_unknown([name], {name: "a"}) == {name: meant}


def test_a_setting_that_is_set_is_not_what_another_name_was_meant_for() -> None:
    environment = {"MAX_ACTIVE_SYNC": "2", "MAX_ACTIVE_SYNCS": "2"}

    assert find_unknown(environment, environment) == {"MAX_ACTIVE_SYNC": None}


def test_no_name_of_the_example_of_the_first_backend_or_of_the_client_is_unknown() -> None:
    example = re.findall(r"^#?([A-Z][A-Z_]+)=", EXAMPLE.read_text(), flags=re.MULTILINE)
    others = ["DB_HOST", "DB_SCHEMA", "DB_SSL_ENABLED", "NODE_ENV", "PORT", "AUTOMATION_API_KEY", "HTTPS_PROXY"]
    commands = ["ESTIMATESYNC_API_KEY", "ESTIMATESYNC_URL", "OLD_DATABASE_URL"]

    assert find_unknown([*example, *others, *commands], {}) == {}


def test_lines_of_a_private_key_are_not_shown(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "JWT_SECRET=1\nGOOGLE_PRIVATE_KEY=-----BEGIN PRIVATE KEY-----\nMadeUpMadeUp0123456789\nMade/Up+MadeUp==\n"
        "madeup\n-----END PRIVATE KEY-----\n"
    )

    warnings, remarks = format_unknown_settings(find_unknown(read_names(file), {}), ".env")

    assert warnings == []
    assert remarks == [
        "these names in .env are not settings of EstimateSync: JWT_SECRET, GOOGLE_PRIVATE_KEY",
        ".env sets 1 more that EstimateSync does not read; they do not look like variable names",
    ]


def test_each_slip_is_a_warning_and_all_the_rest_one_line() -> None:
    unknown = {"JWT_SECRET": None, "BINDS": "BIND", "FRONTEND_URL": None}

    warnings, remarks = format_unknown_settings(unknown, ".env")

    assert warnings == ["BINDS in .env is not a setting: did you mean BIND?"]
    assert remarks == ["these names in .env are not settings of EstimateSync: JWT_SECRET, FRONTEND_URL"]
    assert format_unknown_settings({}, ".env") == ([], [])


def test_of_the_environment_of_a_pod_only_slips_are_told() -> None:
    environment = {"TIMEZONE": "UTC", "PATH": "/bin", "KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "sync-0"}

    assert find_misspelt_settings(environment, ["TIME_ZONE", "BIND", "API_KEYS"]) == [
        "TIMEZONE in the environment is not a setting: did you mean TIME_ZONE?"
    ]
