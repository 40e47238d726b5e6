"""The blueprints that the status page hands out are those that the program makes, and say what the product says."""

import json
from pathlib import Path

import pytest
from estimatesync_contract.names import START_PATH
from estimatesync_make.main import DIRECTORY, build_file
from estimatesync_make.rules import find_faults
from estimatesync_make.scenarios import BLUEPRINTS


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_the_file_is_current(name: str) -> None:
    assert (DIRECTORY / name).read_text() == build_file(BLUEPRINTS[name]), "run: make blueprints"


def test_there_are_no_other_files() -> None:
    assert {path.name for path in DIRECTORY.glob("*.json")} == set(BLUEPRINTS)


@pytest.mark.parametrize("path", sorted(DIRECTORY.glob("*.json")), ids=lambda path: path.name)
def test_the_file_breaks_no_rule_of_the_format(path: Path) -> None:
    assert find_faults(json.loads(path.read_text())) == []


def test_the_request_goes_to_the_address_that_is_served() -> None:
    request = BLUEPRINTS["trigger.blueprint.json"]["flow"][1]["mapper"]

    assert request["method"] == "post"
    assert request["url"].endswith(START_PATH)


def test_a_request_outlasts_an_outage_of_an_hour_and_ends_before_the_next_day() -> None:
    retries = BLUEPRINTS["trigger.blueprint.json"]["flow"][1]["onerror"][0]["mapper"]

    assert 60 < retries["count"] * retries["interval"] < 24 * 60
