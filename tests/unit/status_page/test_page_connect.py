"""The blueprints that the page hands out: in the reader's language, with the server's address."""

import json

import pytest
from estimatesync_api.status_page.connect_pages import BLUEPRINTS
from estimatesync_api.status_page.core.connect_view import EXAMPLE_ADDRESS, SECTIONS, fill_in, list_blueprints
from estimatesync_api.status_page.core.localization import Localizer
from estimatesync_contract.names import START_PATH

NAMES = ("callback-once.blueprint.json", "callback.blueprint.json", "callback.es.blueprint.json")


def test_each_file_is_offered_in_the_language_of_the_reader(english: Localizer, spanish: Localizer) -> None:
    names = (*NAMES, "trigger.blueprint.json")

    shown = [
        [(each.name, each.address) for each in list_blueprints(names, language)] for language in (english, spanish)
    ]

    assert shown == [
        [
            ("trigger.blueprint.json", "/page/connect/trigger.blueprint.json"),
            ("callback.blueprint.json", "/page/connect/callback.blueprint.json"),
            ("callback-once.blueprint.json", "/page/connect/callback-once.blueprint.json"),
        ],
        [
            ("trigger.blueprint.json", "/page/connect/trigger.blueprint.json"),
            ("callback.es.blueprint.json", "/page/connect/callback.es.blueprint.json"),
            ("callback-once.blueprint.json", "/page/connect/callback-once.blueprint.json"),
        ],
    ]


def test_every_file_of_the_package_has_words_and_only_one_starts_a_sync(english: Localizer, spanish: Localizer) -> None:
    for language in (english, spanish):
        shown = list_blueprints(BLUEPRINTS, language)

        assert [each.name for each in shown if each.section == "start"] == ["trigger.blueprint.json"]
        assert {each.section for each in shown} == set(SECTIONS)
        assert all(each.text and each.name in BLUEPRINTS for each in shown)


@pytest.mark.parametrize("name", BLUEPRINTS)
@pytest.mark.parametrize("url", ["https://sync.acme.test:8443", 'http://a"b\\c'])
def test_a_file_holds_the_address_of_the_server_alone(name: str, url: str) -> None:
    filled = fill_in(BLUEPRINTS[name], url)

    blueprint = json.loads(filled)
    assert EXAMPLE_ADDRESS not in filled
    if name == "trigger.blueprint.json":
        assert blueprint["flow"][1]["mapper"]["url"] == f"{url}{START_PATH}"
    assert json.loads(filled.replace(json.dumps(url)[1:-1], EXAMPLE_ADDRESS)) == json.loads(BLUEPRINTS[name])
