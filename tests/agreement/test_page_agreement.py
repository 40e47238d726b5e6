"""The page tells people the causes of the operator, and understands what the operator says of the line."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from estimatesync_api.settings import REQUEST_SETTINGS
from estimatesync_api.status_page.core.detail_view import say_wait
from estimatesync_api.status_page.core.localization import CATALOGUE, Tongue
from estimatesync_contract.causes import CAUSES, Cause
from estimatesync_contract.estimate_sync import EstimateSync, Metadata
from estimatesync_contract.status import EstimateSyncStatus, Phase
from estimatesync_demo.page_pictures import ALL, MOST_BYTES
from estimatesync_operator.core.queue_order import compute_turn

ENGLISH = CATALOGUE["en"]
DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "page.md").read_text()


@pytest.mark.parametrize("cause", [pytest.param(cause, id=cause.reason) for cause in CAUSES])
def test_the_causes_are_those_of_the_operator(cause: Cause) -> None:
    """What only the single case knows is left to the operator's own message, which stands beside it."""
    assert ENGLISH[f"cause.{cause.reason}.cure"] == cause.cure
    if "{" not in cause.happened:
        assert ENGLISH[f"cause.{cause.reason}.happened"] == cause.happened


def test_there_is_no_cause_that_the_operator_does_not_know() -> None:
    known = {key.split(".")[1] for key in ENGLISH if re.fullmatch(r"cause\.[A-Z].*", key)}

    assert known == {cause.reason.value for cause in CAUSES}


@pytest.mark.parametrize(
    ("ahead", "running", "said"),
    [
        pytest.param(0, 1, "Puesto 1 en la cola. En curso ahora: est-running-0.", id="next"),
        pytest.param(4, 0, "Puesto 5 en la cola.", id="nobody runs"),
        pytest.param(150, 1, "Puesto 100 en la cola, o posterior.", id="far behind"),
    ],
)
def test_the_words_of_the_line_are_understood(ahead: int, running: int, said: str) -> None:
    sync = build("est-x", 500, None)
    others = [*build_many("est-running", running, Phase.RUNNING), *build_many("est-ahead", ahead, Phase.QUEUED)]
    turn = compute_turn(sync, others, max_active=1)
    waiting = EstimateSync(metadata=sync.metadata, status=EstimateSyncStatus(phase=Phase.QUEUED, message=turn.message))

    wait = say_wait(waiting, Tongue(language="es", time_zone=ZoneInfo("UTC")))

    assert wait == said


def test_every_picture_is_taken_shown_and_light() -> None:
    shown = re.findall(r"!\[[^\]]{20,}\]\(images/(page-[\w-]+\.png)\)", PAGE)

    assert {f"page-{picture.name}.png" for picture in ALL} == set(shown)
    assert [name for name in shown if (DOCS / "images" / name).stat().st_size > MOST_BYTES] == []


def test_every_setting_of_the_page_is_one() -> None:
    names = set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE))

    assert names - {*(each.name for each in REQUEST_SETTINGS), "TIME_ZONE"} == set()


def build(name: str, second: int, phase: Phase | None) -> EstimateSync:
    created_at = datetime.fromtimestamp(1_760_000_000 + second, UTC)
    metadata = Metadata(name=name, uid=name, creation_timestamp=created_at)
    return EstimateSync(metadata=metadata, status=EstimateSyncStatus(phase=phase))


def build_many(name: str, count: int, phase: Phase) -> Iterable[EstimateSync]:
    return [build(f"{name}-{number}", number, phase) for number in range(count)]
