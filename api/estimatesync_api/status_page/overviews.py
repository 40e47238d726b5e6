"""How things are, for somebody who has just been woken: one word, one sentence, and where to look. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from estimatesync_contract.causes import OBSTACLES
from estimatesync_contract.estimate_sync import EstimateSync
from estimatesync_contract.status import CallbackState, Phase

from estimatesync_api.listing import find_phase
from estimatesync_api.status_page.causes import find_cause
from estimatesync_api.status_page.seen_syncs import SeenSync, see_sync
from estimatesync_api.status_page.tongue import Tongue


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The newest syncs in a nutshell."""

    tone: str
    title: str
    text: str
    work: str
    """What runs and what waits."""
    trouble: SeenSync | None
    """The sync to look at, if something is wrong."""
    last_good: SeenSync | None


def build_overview(newest: Sequence[EstimateSync], tongue: Tongue, *, now: datetime) -> Overview | None:
    """Sum up the newest syncs, which are given newest first; None when there are none."""
    if not newest:
        return None
    key, sync = _find_trouble(newest)
    cause = find_cause(sync, tongue) if sync else None
    good = next((each for each in newest if find_phase(each) is Phase.SUCCEEDED), None)
    busy = any(not each.is_finished for each in newest)
    return Overview(
        tone=("failed" if key == "failed" else "stalled") if sync else ("running" if busy else "succeeded"),
        title=tongue.say(f"list.now.{key}"),
        text=tongue.join([cause.happened, cause.cure]) if cause else "",
        work=_say_work(newest, tongue),
        trouble=see_sync(sync, tongue, now=now) if sync else None,
        last_good=see_sync(good, tongue, now=now) if good else None,
    )


def _find_trouble(newest: Sequence[EstimateSync]) -> tuple[str, EstimateSync | None]:
    """What is worst, first: an obstacle can be removed now; only the newest end counts, older ones are history."""
    stalled = next((each for each in newest if not each.is_finished and each.status.reason in OBSTACLES), None)
    if stalled:
        return "stalled", stalled
    judged = [each for each in newest if find_phase(each) in {Phase.SUCCEEDED, Phase.FAILED}]
    if judged and find_phase(judged[0]) is Phase.FAILED:
        return "failed", judged[0]
    if judged and judged[0].status.callback and judged[0].status.callback.state is CallbackState.FAILED:
        return "unheard", judged[0]
    return "well", None


def _say_work(newest: Sequence[EstimateSync], tongue: Tongue) -> str:
    running = sum(1 for each in newest if find_phase(each) is Phase.RUNNING)
    queued = sum(1 for each in newest if find_phase(each) is Phase.QUEUED)
    if not running + queued:
        return tongue.say("list.now.idle")
    return tongue.say("list.now.busy", running=tongue.say_number(running), queued=tongue.say_number(queued))
