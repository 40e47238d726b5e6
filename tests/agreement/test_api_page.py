"""`docs/api.md` says what the API does: the table of errors is the one in the code, and nothing else has drifted."""

import re
from pathlib import Path

from estimatesync_api.core.problems import Problem
from estimatesync_api.openapi.operations import OPERATIONS
from estimatesync_api.settings import parse_settings
from estimatesync_docs.error_table import format_table

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


def test_the_table_of_errors_is_the_one_in_the_code() -> None:
    shown = PAGE.partition("<!-- problems -->\n")[2].partition("<!-- /problems -->")[0]

    assert shown == format_table(), "run `make error-table` and commit the result"
    assert shown.count("\n") == len(Problem) + 2


def test_every_address_is_on_the_page() -> None:
    for operation in OPERATIONS:
        assert operation.path.rpartition("/")[2] in PAGE


def test_every_setting_on_the_page_is_one() -> None:
    names = set(re.findall(r"`([A-Z][A-Z_]{6,})[`=]", PAGE)) - {"WEB_CONCURRENCY"}
    asked: set[str] = set()

    class Watched(dict[str, str]):
        def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
            asked.add(name)
            return super().get(name, default)

    parse_settings(Watched(API_KEYS="made-up-key-of-this-test"))

    assert names
    assert names - asked == set()
