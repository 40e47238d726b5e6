"""`docs/api.md` names the addresses and the settings that there are."""

import re
from pathlib import Path

from estimatesync_api.openapi.operations import OPERATIONS
from estimatesync_api.settings import API_SETTINGS
from estimatesync_operator.callback.settings import CALLBACK_SETTINGS

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


def test_every_address_is_on_the_page() -> None:
    for operation in OPERATIONS:
        assert operation.path.rpartition("/")[2] in PAGE


def test_every_setting_on_the_page_is_one() -> None:
    names = set(re.findall(r"`([A-Z][A-Z_]{6,})[`=]", PAGE))

    assert names
    assert names - {each.name for each in (*API_SETTINGS, *CALLBACK_SETTINGS)} == set()
