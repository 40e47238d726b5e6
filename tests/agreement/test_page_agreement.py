"""The page knows the cause of every reason; its pictures and its settings are those of its document."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path

from estimatesync_api.settings import REQUEST_SETTINGS
from estimatesync_api.status_page.core.localization import LANGUAGES
from estimatesync_contract.causes import CAUSES
from estimatesync_contract.specific_causes import SpecificCause
from estimatesync_demo.page_pictures import ALL, MAX_BYTES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "page.md").read_text()


def test_every_reason_has_its_cause_in_every_other_language() -> None:
    """English is the contract's own; the page must not have a second version of it."""
    file = tomllib.loads(files("estimatesync_api.status_page").joinpath("translations.toml").read_text("utf-8"))
    causes = {code: texts for code, texts in file["cause"].items() if code != "unknown"}
    rows = {cause.reason.value: cause for cause in CAUSES} | {cause.code: cause for cause in SpecificCause}

    assert set(causes) == set(rows)
    for code, cause in rows.items():
        happened, cure = causes[code]["happened"], causes[code]["cure"]
        assert set(happened) == set(cure) == set(LANGUAGES[1:])
        assert all(happened.values())
        assert [bool(text) for text in cure.values()] == [bool(cause.cure)] * len(cure)
        assert "{" not in cause.summary + cause.cure + "".join([*happened.values(), *cure.values()])


def test_every_picture_is_taken_shown_and_light() -> None:
    shown = re.findall(r"!\[[^\]]{20,}\]\(images/(page-[\w-]+\.png)\)", PAGE)

    assert {f"page-{picture.name}.png" for picture in ALL} == set(shown)
    assert [name for name in shown if (DOCS / "images" / name).stat().st_size > MAX_BYTES] == []


def test_every_setting_of_the_page_is_one() -> None:
    names = set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE))

    assert names - {*(each.name for each in REQUEST_SETTINGS), "TIME_ZONE"} == set()
