"""The picture of the dashboard shows this dashboard: when a panel is added, removed or moved, it is drawn again."""

import json
import re
from html import unescape
from pathlib import Path

ROOT = Path(__file__).parents[2]
PICTURE = (ROOT / "docs" / "images" / "dashboard.svg").read_text()
PANELS = json.loads((ROOT / "charts" / "estimatesync" / "files" / "dashboard.json").read_text())["panels"]


def test_every_panel_is_drawn_in_its_order() -> None:
    drawn = [unescape(title) for title in re.findall(r'font-weight: 600">([^<]+)<', PICTURE)]

    assert drawn == [panel["title"] for panel in PANELS], "run `make dashboard` and commit the picture"


def test_every_panel_shows_something() -> None:
    empty = [part.split("<", 1)[0] for part in PICTURE.split('font-weight: 600">')[1:] if not shows_something(part)]

    assert empty == []


def shows_something(panel: str) -> bool:
    return "<polyline" in panel or "font-size: 40px" in panel


def test_the_picture_says_what_it_is() -> None:
    assert "not by Grafana" in PICTURE
