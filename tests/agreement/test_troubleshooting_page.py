"""What the pages for trouble and for a deploy quote is what the product says: codes, reasons, sentences, settings."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from estimatesync_api.core.problems import Problem
from estimatesync_client.command_line import app
from estimatesync_client.settings import CLIENT_SETTINGS
from estimatesync_contract.causes import BLOCKERS, Reason
from estimatesync_local.settings import LOCAL_SETTINGS
from estimatesync_operator.callback.policy import CLOSED_DELAY, CLOSED_DURATION, RETRY_DELAYS
from estimatesync_operator.settings import OPERATOR_SETTINGS

ROOT = Path(__file__).parents[2]
NAMES = ("troubleshooting.md", "checklist.md")
PAGES = [
    pytest.param(ROOT / "docs" / folder / name, id=f"{folder or 'en'}-{name}")
    for folder in ("", "es")
    for name in NAMES
]
TROUBLE = PAGES[::2]
MACHINE_SETTINGS = [each for settings in LOCAL_SETTINGS.values() for each in settings]


def read_code(*folders: str) -> str:
    return "\n".join(path.read_text() for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))


def find_rows(page: Path, heading: int) -> list[str]:
    """The rows of the table in one section, by its number."""
    section = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)[heading]
    return re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[2:]


@pytest.mark.parametrize("page", TROUBLE)
def test_every_code_of_the_api_has_its_status(page: Path) -> None:
    existing = {(problem.status.value, problem.code) for problem in Problem}

    rows = re.findall(r"^\| (\d{3}) (`[^|]+`) \|", page.read_text(), re.MULTILINE)
    quoted = {(int(status), code) for status, codes in rows for code in re.findall(r"`([a-z_]+)`", codes)}

    assert len(quoted) > 8
    assert quoted <= existing


@pytest.mark.parametrize("page", TROUBLE)
def test_every_way_to_fail_is_quoted_in_the_words_of_the_code(page: Path) -> None:
    rows = [row.split(" | ") for row in find_rows(page, 5)]
    shared = ("api/estimatesync_contract", "api/estimatesync_postgres")
    said = read_code(*shared, "syncjob/estimatesync_job", "operator/estimatesync_operator")
    said = re.sub(r'"\n\s+f?"', "", said)

    reasons = {reason for row in rows for reason in re.findall(r"`(\w+)`", row[1])}
    assert reasons <= {reason.value for reason in Reason}
    assert len(rows) > 10
    for quoted in (sentence for row in rows for sentence in re.findall(r"`([^`]+)`", row[0])):
        assert quoted in said, quoted


@pytest.mark.parametrize("page", TROUBLE)
def test_every_blocker_is_on_the_page(page: Path) -> None:
    running = [row.split(" | ")[0] for row in find_rows(page, 4) if row.startswith("`running`, `")]

    named = {reason for cell in running for reason in re.findall(r"`([A-Z]\w+)`", cell)}

    assert named == set(BLOCKERS)


@pytest.mark.parametrize("page", TROUBLE)
def test_what_is_said_about_a_callback_is_quoted_word_for_word(page: Path) -> None:
    said = read_code("operator/estimatesync_operator", "api/estimatesync_contract").lower()

    quoted = [text for row in find_rows(page, 6) for text in re.findall(r"`([^`]+)`", row.split(" | ")[0])]

    assert len(quoted) > 12
    assert [text for text in quoted if text.lower() not in said] == []


@pytest.mark.parametrize("page", TROUBLE)
def test_what_one_machine_says_at_its_start_is_quoted_word_for_word(page: Path) -> None:
    said = read_code("deploy/local", "api/estimatesync_contract")

    quoted = [text for row in find_rows(page, 12) for text in re.findall(r"`([^`]+)`", row.split(" | ")[0])]

    assert len(quoted) >= 3
    assert [text for text in quoted if text not in said] == []


@pytest.mark.parametrize("page", PAGES)
def test_settings_and_values_on_the_pages_exist(page: Path) -> None:
    text = page.read_text()
    known = {each.name for each in (*MACHINE_SETTINGS, *OPERATOR_SETTINGS, *CLIENT_SETTINGS)}
    values = yaml.safe_load((ROOT / "charts/estimatesync/values.yaml").read_text())

    settings = set(re.findall(r"`([A-Z][A-Z]+_[A-Z_]+)", text))
    dotted = re.findall(r"`((?:settings|sync|networkPolicy|network|callback|api|operator)\.[A-Za-z.]+)`", text)

    assert settings - known == set()
    for name in dotted:
        place = values
        for step in name.split("."):
            assert step in place, name
            place = place[step]


@pytest.mark.parametrize("page", PAGES)
def test_commands_on_the_pages_exist(page: Path) -> None:
    text = page.read_text()
    known = {str(command.name or command.callback.__name__) for command in app.registered_commands if command.callback}

    used = set(re.findall(r"(?:^\$ |`)estimatesync (\w+)", text, re.MULTILINE))
    tasks = set(re.findall(r"`make ([a-z-]+)`", text))

    assert used
    assert used <= known
    assert tasks <= set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", TROUBLE)
def test_the_page_knows_how_long_a_callback_is_tried(page: Path) -> None:
    hours = sum(delay.total_seconds() for delay in RETRY_DELAYS) // 3600

    assert len(re.findall(rf"\b{hours:.0f} (?:hours|horas)", page.read_text())) == 1


@pytest.mark.parametrize("page", TROUBLE)
@pytest.mark.parametrize("heading", [6, 9], ids=["no callback", "the scenario is off"])
def test_the_page_knows_how_long_a_closed_webhook_is_tried(page: Path, heading: int) -> None:
    section = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)[heading]

    hours, day = CLOSED_DELAY / timedelta(hours=1), CLOSED_DURATION // timedelta(days=1)

    assert (hours, day) == (1, 1)
    assert re.search(r"every hour for a day|cada hora durante un día", " ".join(section.split()))
