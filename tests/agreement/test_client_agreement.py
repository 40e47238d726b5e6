"""The client uses the paths of the parts behind the API, although it imports none of them."""

from estimatesync_client.adapters import source_probe
from estimatesync_contract import attic_tech


def test_the_paths_of_attic_tech_are_those_that_syncs_use() -> None:
    assert (source_probe.LOGIN_PATH, source_probe.ESTIMATES_PATH) == (attic_tech.LOGIN_PATH, attic_tech.ESTIMATES_PATH)
