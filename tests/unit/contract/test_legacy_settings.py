"""Settings under the names of the first backend: which are read, what they become, and what contradicts."""

import pytest
from estimatesync_contract.legacy_settings import accept_old_names

ALL = ("API_KEY", "ENVIRONMENT", "BIND", "ATTIC_TECH_URL", "MAKE_SYNC_CALLBACK_WEBHOOK_URL", "DATABASE_URL")
FIRST_BACKEND = {
    "DB_HOST": "db.example",
    "DB_PORT": "5433",
    "DB_NAME": "estimates",
    "DB_USER": "backend",
    "DB_PASSWORD": "p@ss/w:rd?",
}
FIRST_URL = "postgresql://backend:p%40ss%2Fw%3Ard%3F@db.example:5433/estimates"


@pytest.mark.parametrize(
    ("environment", "name", "value"),
    [
        pytest.param({"AUTOMATION_API_KEY": "made-up"}, "API_KEY", "made-up", id="key"),
        pytest.param({"NODE_ENV": "staging"}, "ENVIRONMENT", "staging", id="environment"),
        pytest.param({"PORT": "3000"}, "BIND", "127.0.0.1:3000", id="port"),
        pytest.param({"ATTIC_TECH_API_URL": "https://a.example/api/"}, "ATTIC_TECH_URL", "https://a.example", id="api"),
        pytest.param(FIRST_BACKEND, "DATABASE_URL", FIRST_URL, id="database"),
        pytest.param(
            FIRST_BACKEND | {"DB_SSL_ENABLED": "true"}, "DATABASE_URL", f"{FIRST_URL}?sslmode=require", id="ssl"
        ),
        pytest.param(
            FIRST_BACKEND | {"DB_SSL_ENABLED": "true", "DB_SSL_REJECT_UNAUTHORIZED": "true"},
            "DATABASE_URL",
            f"{FIRST_URL}?sslmode=verify-full&sslrootcert=system",
            id="strict-ssl",
        ),
        pytest.param(
            {"POSTGRES_HOST": "::1", "POSTGRES_DB": "a b"}, "DATABASE_URL", "postgresql://[::1]:5432/a%20b", id="ipv6"
        ),
        pytest.param(
            FIRST_BACKEND | {"DB_PORT": "tcp://10.0.0.1:5433"},
            "DATABASE_URL",
            FIRST_URL,
            id="port-of-a-kubernetes-service",
        ),
        pytest.param(
            {"TYPEORM_HOST": "/run/pg", "TYPEORM_DATABASE": "estimates", "TYPEORM_USERNAME": "backend"},
            "DATABASE_URL",
            "postgresql://backend@%2Frun%2Fpg:5432/estimates",
            id="socket",
        ),
    ],
)
def test_an_old_name_gives_its_setting_and_is_noted_without_its_value(
    environment: dict[str, str], name: str, value: str
) -> None:
    accepted = accept_old_names(environment, ALL)

    assert accepted.environment == environment | {name: value}
    assert (len(accepted.notes), accepted.faults) == (1, ())
    assert all(old in accepted.notes[0] for old in environment)
    assert name in accepted.notes[0]
    assert not any(secret in accepted.notes[0] for secret in environment.values())


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"POSTGRES_PASSWORD": "made-up", "POSTGRES_USER": "u", "POSTGRES_DB": "d"}, id="half-a-database"),
        pytest.param({"NODE_ENV": " ", "PORT": ""}, id="blank"),
        pytest.param({"DB_SCHEMA": "botzilla"}, id="the-schema-of-the-old-tables"),
        pytest.param({"AUTOMATION_API_KEY": "one", "API_KEY": "one"}, id="both-and-equal"),
        pytest.param({"NODE_ENV": "development", "ENVIRONMENT": "production"}, id="shared-environment"),
        pytest.param({"PORT": "3000", "BIND": "0.0.0.0:8080"}, id="shared-port"),
        pytest.param(FIRST_BACKEND | {"DATABASE_URL": f"{FIRST_URL}?sslmode=require"}, id="the-same-database"),
    ],
)
def test_nothing_is_taken_from_what_says_nothing_new(environment: dict[str, str]) -> None:
    accepted = accept_old_names(environment, ALL)

    assert accepted.environment == environment
    assert (accepted.notes, accepted.faults) == ((), ())


@pytest.mark.parametrize(
    ("environment", "fault"),
    [
        pytest.param(
            {"AUTOMATION_API_KEY": "old", "API_KEY": "new"},
            "AUTOMATION_API_KEY is an old name of API_KEY and has a different value: remove AUTOMATION_API_KEY",
            id="key",
        ),
        pytest.param(
            FIRST_BACKEND | {"DATABASE_URL": "postgresql://backend:other@db.example:5433/estimates"},
            "DB_HOST, DB_NAME, DB_PASSWORD, DB_PORT, DB_USER are old names of DATABASE_URL and have different values:"
            " remove them",
            id="password",
        ),
        pytest.param(
            FIRST_BACKEND | {"DATABASE_URL": "postgresql://[nowhere"},
            "DB_HOST, DB_NAME, DB_PASSWORD, DB_PORT, DB_USER are old names of DATABASE_URL and have different values:"
            " remove them",
            id="no-url-at-all",
        ),
        pytest.param(
            {"DB_HOST": "a", "DB_NAME": "d", "POSTGRES_HOST": "b", "POSTGRES_DB": "d"},
            "POSTGRES_DB, POSTGRES_HOST are old names of DATABASE_URL and have different values: remove them",
            id="two-old-databases",
        ),
    ],
)
def test_old_and_new_names_that_contradict_are_a_fault(environment: dict[str, str], fault: str) -> None:
    accepted = accept_old_names(environment, ALL)

    assert accepted.faults == (fault,)


def test_a_part_takes_only_what_it_reads() -> None:
    accepted = accept_old_names(FIRST_BACKEND | {"NODE_ENV": "a", "ENVIRONMENT": "b", "PORT": "1"}, ("API_KEY",))

    assert (accepted.notes, accepted.faults) == ((), ())
    assert "DATABASE_URL" not in accepted.environment
