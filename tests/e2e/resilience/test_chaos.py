"""Everything at once, for a while: operators and sync programs are killed at random moments while syncs run."""

import random
import time
from collections.abc import Callable
from typing import Any

SEED = 20251016
SYNCS = 6
RECORDS = 20
OPERATORS = 6
"""How many operators die at least."""
LIFE_SECONDS = (1.0, 7.0)
"""How long an operator is left alive; starting takes two seconds or more."""
SECONDS = 180.0


def test_nothing_is_lost_when_operators_and_sync_programs_are_killed_at_random(
    open_world: Any, promise: Any, kill_pods: Callable[[str], int]
) -> None:
    dice = random.Random(SEED)  # noqa: S311 - the same fate in each run, not a secret
    names = [f"sync-{number}" for number in range(SYNCS)]
    with open_world(MAX_ACTIVE_SYNCS="3") as world:
        world.slow_down(0.3)
        for name in names:
            world.create_sync(name, pageSize=2, concurrency=1, maxRetries=5)

        kills = wreak_havoc(world, names[::2], dice, kill_pods)
        world.start_operator()

        for name in names:
            world.wait_over(name)
        # Killed pods stay next to their successors; a callback may be repeated by each kill that follows it.
        lenient = promise(new=None, pods=6, may_lose=5, may_repeat=kills)
        assert {name: world.list_lasting_faults(name, lenient) for name in names} == {name: [] for name in names}
        assert sum(world.read_status(name)["results"]["newEstimates"] for name in names) == RECORDS


def wreak_havoc(world: Any, victims: list[str], dice: random.Random, kill_pods: Callable[[str], int]) -> int:
    """Kill operators again and again, and the sync program of each victim once; return how many operators died."""
    deadline = time.monotonic() + SECONDS
    kills = 0
    while victims or kills < OPERATORS:
        assert time.monotonic() < deadline, f"{victims} never ran: {world.describe()}"
        operator = world.launch_operator()
        death = time.monotonic() + dice.uniform(*LIFE_SECONDS)
        while time.monotonic() < death:
            killed = [name for name in victims if dice.random() < 0.2 and kill_pods(name)]
            victims = [name for name in victims if name not in killed]
            time.sleep(0.1)
        operator.kill()
        kills += 1
    return kills
