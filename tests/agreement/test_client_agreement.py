"""The client says and decides what the parts behind the API do, although it knows none of them."""

from ipaddress import ip_address, ip_network

import pytest
from estimatesync_client import target_settings
from estimatesync_client.adapters import callback_probe, source_probe
from estimatesync_client.core import recent_syncs
from estimatesync_client.core.diagnoses import Diagnosis
from estimatesync_contract import callback_url
from estimatesync_contract.causes import CAUSES
from estimatesync_job import attic_tech
from estimatesync_operator import callback_settings

CURES = {cause.reason: cause.cure for cause in CAUSES}


def test_a_cure_begins_with_the_words_of_the_operators_table() -> None:
    shared = {
        **recent_syncs.SOURCE_DIAGNOSES,
        **recent_syncs.DATABASE_DIAGNOSES,
        "ConfigurationInvalid": Diagnosis.CONFIGURATION_INVALID,
    }

    differing = {reason for reason, cause in shared.items() if not cause.cure.startswith(CURES[reason])}

    assert differing == set()


def test_the_paths_of_attic_tech_are_those_that_syncs_use() -> None:
    assert (source_probe.LOGIN_PATH, source_probe.ESTIMATES_PATH) == (attic_tech.LOGIN_PATH, attic_tech.ESTIMATES_PATH)


def test_the_settings_of_the_callback_are_those_of_the_operator() -> None:
    assert (target_settings.WEBHOOK_URL, target_settings.ALLOW_HTTP, target_settings.ALLOW_PRIVATE_TARGETS) == (
        callback_settings.WEBHOOK_URL,
        callback_settings.ALLOW_HTTP,
        callback_settings.ALLOW_PRIVATE_TARGETS,
    )


SPECIAL = [*callback_url._LOCAL, *callback_url._NEVER]  # noqa: SLF001 - the very table that decides
PUBLIC = ["1.1.1.1", "34.250.12.7", "2606:4700::1111", "2a00:1450:4001::8", "::ffff:8.8.8.8"]
OTHER = ["::ffff:10.0.0.1", "64:ff9b:1::1", "fec0::1", "5f00::1", "::7f00:1", "100::1"]


@pytest.mark.parametrize(
    "address",
    [
        *(str(edge) for network in SPECIAL for edge in (network[0], network[-1])),
        *PUBLIC,
        *OTHER,
    ],
)
def test_an_address_is_public_exactly_when_the_operator_calls_it(address: str) -> None:
    refusal = callback_url.decide_address(ip_address(address), allow_private=False)

    assert callback_probe.is_public(address) is (refusal is None)


def test_the_table_of_special_addresses_is_not_empty() -> None:
    assert ip_network("10.0.0.0/8") in SPECIAL
