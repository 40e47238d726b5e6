"""The reference says what the code does: pages and `.env.example` are current, and each table of settings is complete.

A part is watched while it reads its settings: what it asks for is what its table names.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import estimatesync_import.settings
import estimatesync_job.settings
import estimatesync_local.settings
import pytest
from estimatesync_api.settings import API_SETTINGS
from estimatesync_api.settings import parse_settings as parse_api_settings
from estimatesync_client.settings import CLIENT_SETTINGS, parse_key
from estimatesync_contract.job_environment import PROGRAM_VARIABLES
from estimatesync_contract.proxies import PROXY_VARIABLES
from estimatesync_contract.settings import IntegerSetting, Setting
from estimatesync_docs.main import GENERATED
from estimatesync_import.settings import IMPORT_SETTINGS
from estimatesync_job.settings import SYNC_SETTINGS
from estimatesync_local.settings import LOCAL_SETTINGS
from estimatesync_operator import main
from estimatesync_operator.settings import OPERATOR_SETTINGS
from estimatesync_tracing.settings import TRACING_SETTINGS

ROOT = Path(__file__).parents[2]
MACHINE_SETTINGS = tuple(setting for settings in LOCAL_SETTINGS.values() for setting in settings)
GIVEN = {"DATABASE_URL": "postgresql://made.up/db", "API_KEYS": "made-up-key-of-this-test"} | dict.fromkeys(
    ("SYNC_START_DATE", "SYNC_END_DATE"), "2025-10-16"
)
"""Values that must have a certain form."""


class Watched(dict[str, str]):
    """An environment that remembers what was asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        self.asked.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return super().__getitem__(name)


def read_api(environment: dict[str, str]) -> None:
    parse_api_settings(environment)


def read_job(environment: dict[str, str]) -> None:
    estimatesync_job.settings.parse_settings(environment)
    estimatesync_job.settings.parse_result_path(environment)


def read_local(environment: dict[str, str]) -> None:
    estimatesync_local.settings.parse_settings(environment, current_directory=Path("/made-up"))


Read = Callable[[dict[str, str]], object]
PARTS = [
    pytest.param(read_api, (*API_SETTINGS, *TRACING_SETTINGS), set(), id="api"),
    pytest.param(main.read_settings, OPERATOR_SETTINGS, set(), id="operator"),
    pytest.param(read_job, SYNC_SETTINGS, {"TRACEPARENT"}, id="sync program"),
    pytest.param(read_local, MACHINE_SETTINGS, set(), id="one machine"),
    pytest.param(parse_key, CLIENT_SETTINGS, {"ESTIMATESYNC_URL"}, id="command line"),
    pytest.param(estimatesync_import.settings.parse_settings, IMPORT_SETTINGS, set(), id="import"),
]


def build_silence(settings: Iterable[Setting[object]]) -> dict[str, str]:
    """Build the environment in which only what must be given is given."""
    needed = {setting.name for setting in settings if setting.is_required} | {"API_KEYS", "ESTIMATESYNC_API_KEY"}
    return {name: GIVEN.get(name, "made-up") for name in needed}


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_file_is_current(name: str) -> None:
    assert (ROOT / name).read_text() == GENERATED[name](), "run `make reference` and commit the result"


@pytest.mark.parametrize(("read", "settings", "elsewhere"), PARTS)
def test_a_list_names_what_its_part_reads(
    read: Read, settings: tuple[Setting[object], ...], elsewhere: set[str]
) -> None:
    environment = Watched(build_silence(settings))

    read(environment)

    listed = [setting.name for setting in settings]
    assert len(set(listed)) == len(listed)
    # One machine also reads what its child processes need from the environment.
    machine = set(estimatesync_local.settings.PASSED_ON) if read is read_local else set()
    assert set(listed) - elsewhere == environment.asked - machine - elsewhere - {*PROXY_VARIABLES}


@pytest.mark.parametrize(("read", "settings", "elsewhere"), PARTS)
def test_what_is_required_is_missed_and_what_is_out_of_bounds_is_refused(
    read: Read, settings: tuple[Setting[object], ...], elsewhere: set[str]
) -> None:
    del elsewhere
    # Without a collector, nothing else about traces counts.
    silence = {**build_silence(settings), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://made.up"}
    bounded = [setting for setting in settings if isinstance(setting, IntegerSetting)]
    limited = [setting for setting in settings if setting.choices]
    cases = {
        **{setting.name: {**silence, setting.name: ""} for setting in settings if setting.is_required},
        **{setting.name: {**silence, setting.name: str(setting.maximum + 1)} for setting in bounded},
        **{setting.name: {**silence, setting.name: "neither"} for setting in limited},
    }

    faults = {name: find_fault(read, environment) for name, environment in cases.items()}

    assert {name for name, fault in faults.items() if name not in fault} == set()
    for setting in bounded:
        assert (
            f"{setting.name} must be a whole number from {setting.minimum} to {setting.maximum}" in faults[setting.name]
        )
    for setting in limited:
        assert set(setting.choices) <= set(re.findall(r"\w+", faults[setting.name]))


def find_fault(read: Read, environment: dict[str, str]) -> str:
    try:
        read(environment)
    except Exception as error:  # noqa: BLE001 - each part has its own
        return str(error)
    return ""


def test_what_the_sync_program_is_set_by_is_what_an_operator_keeps_for_itself() -> None:
    assert {setting.name for setting in SYNC_SETTINGS} == {*PROGRAM_VARIABLES}


def test_secrets_are_marked_as_such() -> None:
    every = (*API_SETTINGS, *OPERATOR_SETTINGS, *SYNC_SETTINGS, *MACHINE_SETTINGS, *CLIENT_SETTINGS, *IMPORT_SETTINGS)

    secret = {setting.name for setting in every if setting.is_secret}

    assert secret == {
        *("API_KEYS", "API_KEY", "READ_ONLY_API_KEYS", "ESTIMATESYNC_API_KEY"),
        *("ATTIC_TECH_EMAIL", "ATTIC_TECH_PASSWORD", "DATABASE_URL", "OLD_DATABASE_URL"),
        *("MAKE_SYNC_CALLBACK_WEBHOOK_URL", "CALLBACK_TARGETS", "CALLBACK_SIGNING_SECRETS", "CALLBACK_MAKE_API_KEY"),
        *("MAKE_SYNC_ALERT_WEBHOOK_URL", "OTEL_EXPORTER_OTLP_HEADERS"),
    }
