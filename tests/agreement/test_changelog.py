"""The changelog's sections and fragments have the form that a release and its reader need."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
SECTIONS = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)


def test_a_section_is_a_version_with_its_day_and_only_the_newest_may_wait_for_it() -> None:
    form = re.compile(r"(\d+)\.(\d+)\.(\d+) \((\d{4}-\d{2}-\d{2}|unreleased)\)")

    sections = [form.fullmatch(each) for each in SECTIONS]
    versions = [tuple(int(number) for number in each.groups()[:3]) for each in sections if each]

    assert None not in sections
    assert versions == sorted(set(versions), reverse=True)
    assert [each[4] for each in sections[1:] if each and each[4] == "unreleased"] == []


def test_a_fragment_has_a_kind_that_the_release_knows_and_says_something() -> None:
    kinds = {
        each["directory"] for each in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]["type"]
    }
    fragments = [path for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md"]

    assert [path.name for path in fragments if path.suffix != ".md" or path.name.split(".")[-2] not in kinds] == []
    assert [path.name for path in fragments if len(path.read_text().split()) < 5] == []


def test_the_first_release_is_told_to_each_of_its_readers_in_two_screens() -> None:
    section = CHANGELOG.partition("## 1.0.0 ")[2].partition("\n## ")[0]

    assert re.findall(r"^### (.+)$", section, re.MULTILINE)[:4] == [
        "If you build scenarios in Make.com",
        "If you read the tables",
        "If you run it on one machine",
        "If you run the cluster",
    ]
    assert len(section.splitlines()) <= 120
