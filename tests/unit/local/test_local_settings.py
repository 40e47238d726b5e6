"""Settings of one machine: what is read, from where, and that the example file says the same."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from estimatesync_api.settings import parse_settings as parse_api_settings
from estimatesync_contract.settings import SettingsError
from estimatesync_local.core.address import Address
from estimatesync_local.reconcile_loop import build_program
from estimatesync_local.settings import (
    PASSED_ON,
    SETTING_NAMES,
    Settings,
    find_exposure,
    parse_settings,
    read_environment,
)

EXAMPLE = Path(__file__).parents[3] / ".env.example"
REQUIRED = {"ATTIC_TECH_EMAIL": "a@b.example", "ATTIC_TECH_PASSWORD": "made-up-password"}
HERE = Path("/somewhere")


def parse(**environment: str) -> Settings:
    return parse_settings(REQUIRED | environment, current_directory=HERE)


def read_example() -> dict[str, str]:
    """Every variable of the example, also those that are commented out."""
    return dict(re.findall(r"^#?([A-Z][A-Z_]+)=(.*)$", EXAMPLE.read_text(), flags=re.MULTILINE))


class WatchedEnvironment(dict[str, str]):
    """Remembers what was asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        self.asked.add(name)
        return super().get(name, default)


def test_the_example_names_exactly_the_variables_that_are_read() -> None:
    environment = WatchedEnvironment(REQUIRED)

    parse_settings(environment, current_directory=HERE)

    assert set(read_example()) == set(SETTING_NAMES)
    assert environment.asked - set(PASSED_ON) == set(SETTING_NAMES)


def test_the_defaults_in_the_example_are_the_defaults() -> None:
    example = read_example()

    written, silent = parse(**{name: value for name, value in example.items() if name not in REQUIRED}), parse()

    key = {"API_KEY": "x" * 16}
    assert parse_api_settings({**key, **written.api}) == parse_api_settings({**key, **silent.api})
    assert replace(written, api={}) == replace(silent, api={})
    assert {example[name].strip("'") for name in REQUIRED} == {""}


def test_the_defaults_suit_a_first_start() -> None:
    settings = parse()

    assert settings.directory == HERE / ".local"
    assert (settings.address, settings.database_url, settings.api) == (
        Address(host="127.0.0.1", port=8080),
        None,
        {},
    )
    assert (settings.callback.allow_private, settings.callback.allow_insecure) == (False, False)
    assert settings.reconciler.max_active_syncs == 1


def test_what_is_given_is_taken() -> None:
    settings = parse(
        BIND="[::]:9000",
        LOCAL_DIRECTORY="/var/lib/estimatesync",
        DATABASE_URL="postgresql://db/estimates",
        API_KEY="x" * 16,
        RETRY_SECONDS="3",
        TIME_ZONE="America/New_York",
    )

    assert (settings.address, settings.directory) == (Address(host="::", port=9000), Path("/var/lib/estimatesync"))
    assert settings.database_url == "postgresql://db/estimates"
    assert (settings.api, settings.has_api_keys) == ({"API_KEY": "x" * 16}, True)
    assert settings.retry_delay == timedelta(seconds=3)
    assert settings.reconciler.time_zone == ZoneInfo("America/New_York")
    assert settings.program_environment["SYNC_TIME_ZONE"] == "America/New_York"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("BIND", "8080", id="no-host"),
        pytest.param("BIND", "host:99999", id="port-too-big"),
        pytest.param("DATABASE_URL", "mysql://db", id="another-database"),
        pytest.param("ATTIC_TECH_URL", "www.attic-tech.com", id="no-scheme"),
        pytest.param("API_KEYS", "short", id="weak-key"),
        pytest.param("WEB_CONCURRENCY", "0", id="no-worker"),
        pytest.param("RETRY_SECONDS", "1.5", id="fraction"),
        pytest.param("MAX_ACTIVE_SYNCS", "0", id="none-active"),
        pytest.param("TIME_ZONE", "Mars/Olympus", id="no-zone"),
        pytest.param("SYNC_LOG_FORMAT", "xml", id="log-format"),
        pytest.param("MAKE_SYNC_CALLBACK_WEBHOOK_URL", "http://hook.example/x", id="callback-without-tls"),
        pytest.param("CALLBACK_ALLOW_HTTP", "yes", id="flag"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        parse(**{name: value})

    (fault,) = refusal.value.faults
    assert fault.startswith(name)


def test_a_file_in_the_place_of_a_targets_url_is_refused_with_what_to_give() -> None:
    with pytest.raises(SettingsError) as refusal:
        parse(CALLBACK_TARGETS="billing=/run/hook,crm=https://hook.example/x")

    assert refusal.value.faults == [
        "CALLBACK_TARGETS cannot be used: billing: files are read in a cluster only; give the URL itself"
    ]


def test_no_fault_repeats_a_secret() -> None:
    secrets = {
        "API_KEYS": "s3cr3t",
        "DATABASE_URL": "mysql://u:s3cr3t@db",
        "MAKE_SYNC_CALLBACK_WEBHOOK_URL": "http://hook.example/s3cr3t",
        "CALLBACK_SIGNING_SECRETS": "s3cr3t",
    }

    with pytest.raises(SettingsError) as refusal:
        parse(**secrets)

    assert len(refusal.value.faults) == len(secrets)
    assert "s3cr3t" not in str(refusal.value)


def test_all_faults_come_together_and_each_once() -> None:
    with pytest.raises(SettingsError) as refusal:
        parse_settings({"TIME_ZONE": "?", "API_KEYS": "short"}, current_directory=HERE)

    assert [fault.split()[0] for fault in refusal.value.faults] == [
        "API_KEYS",
        "TIME_ZONE",
        "ATTIC_TECH_EMAIL",
        "ATTIC_TECH_PASSWORD",
    ]


def test_the_environment_wins_over_the_file_and_a_dollar_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("ATTIC_TECH_PASSWORD='pa$$w${x}rd #1'\nBIND=0.0.0.0:1\nDATABASE_URL=postgresql://file\n")
    monkeypatch.setenv("BIND", "127.0.0.1:2")
    monkeypatch.setenv("DATABASE_URL", "")

    environment = read_environment(env_file)

    assert environment["ATTIC_TECH_PASSWORD"] == "pa$$w${x}rd #1"
    assert (environment["BIND"], environment["DATABASE_URL"]) == ("127.0.0.1:2", "")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_file_in_another_encoding_is_named_with_a_cure(tmp_path: Path, encoding: str) -> None:
    env_file = tmp_path / ".env"
    env_file.write_bytes("ATTIC_TECH_PASSWORD=schl\u00fcssel".encode(encoding))

    with pytest.raises(SettingsError, match="save it as UTF-8") as caught:
        read_environment(env_file)

    assert str(env_file) in str(caught.value)
    assert "schl" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        pytest.param("API_KEY=made-up", 0o644, "and with it API_KEY; run: chmod 600", id="a secret for all"),
        pytest.param("API_KEY=made-up", 0o600, None, id="closed"),
        pytest.param("API_KEY=\nBIND=127.0.0.1:1", 0o644, None, id="no secret"),
        pytest.param("A line that is none", 0o644, None, id="no setting"),
    ],
)
def test_a_file_with_secrets_that_all_can_read_is_pointed_out(
    tmp_path: Path, text: str, mode: int, said: str | None
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text(text)
    env_file.chmod(mode)

    found = find_exposure(env_file)

    assert found is None if said is None else said in (found or "")
    assert "made-up" not in (found or "")


def test_a_missing_file_is_fine(tmp_path: Path) -> None:
    assert "PATH" in read_environment(tmp_path / ".env")


def test_a_run_gets_what_it_needs_and_no_secret_of_others() -> None:
    settings = parse(
        API_KEY="x" * 16,
        CALLBACK_MAKE_API_KEY="made-up",
        PATH="/bin",
        AWS_SECRET_ACCESS_KEY="not ours",
        HTTPS_PROXY="p",
    )

    environment = build_program(settings, database_url="postgresql:///db").environment

    assert environment["DATABASE_URL"] == "postgresql:///db"
    assert (environment["PATH"], environment["HTTPS_PROXY"], environment["ATTIC_TECH_PASSWORD"]) == (
        "/bin",
        "p",
        "made-up-password",
    )
    assert not {"API_KEY", "CALLBACK_MAKE_API_KEY", "AWS_SECRET_ACCESS_KEY"} & set(environment)


def test_no_secret_shows_when_settings_are_printed() -> None:
    settings = parse(API_KEY="s3cr3t-key-16-chars", DATABASE_URL="postgresql://u:s3cr3t@db/x")

    shown = repr(settings) + repr(build_program(settings, database_url="postgresql://u:s3cr3t@db/x"))

    assert "s3cr3t" not in shown
    assert "made-up-password" not in shown
