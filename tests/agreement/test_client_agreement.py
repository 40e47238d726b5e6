"""The client uses the paths and settings of the parts behind the API, although it imports none of them."""

from estimatesync_client import target_settings
from estimatesync_client.adapters import source_probe
from estimatesync_job import attic_tech
from estimatesync_operator import callback_settings


def test_the_paths_of_attic_tech_are_those_that_syncs_use() -> None:
    assert (source_probe.LOGIN_PATH, source_probe.ESTIMATES_PATH) == (attic_tech.LOGIN_PATH, attic_tech.ESTIMATES_PATH)


def test_the_settings_of_the_callback_are_those_of_the_operator() -> None:
    assert (target_settings.WEBHOOK_URL, target_settings.ALLOW_HTTP, target_settings.ALLOW_PRIVATE_TARGETS) == (
        callback_settings.WEBHOOK_URL,
        callback_settings.ALLOW_HTTP,
        callback_settings.ALLOW_PRIVATE_TARGETS,
    )
