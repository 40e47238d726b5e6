"""Holds a container to its memory limit as well as a process's parent can: by looking at it, again and again.

Called by container_runner.py. A kernel's cgroup reacts at the very page; here a container may be over for a moment.
Only on Linux, which alone has /proc.
"""

import asyncio
import math
import re
from collections.abc import Iterator
from pathlib import Path

from estimatesync_cluster.test_kubelet.manifests import Container

QUANTITY = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
DECIMAL: dict[str, float] = {"m": 10**-3, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
BINARY: dict[str, float] = {f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", start=1)}
MULTIPLIERS = {**DECIMAL, **BINARY}
LOOK_SECONDS = 0.1
NEVER_SECONDS = 86400.0
PROCESSES = Path("/proc")


async def wait_until_over_limit(container: Container, *, leash: int) -> None:
    """Return once everything on the leash has, together, more in memory than the container may have."""
    text = container.resources.limits.get("memory")
    limit = parse_quantity(text) if text else math.inf
    while read_resident_bytes(leash) <= limit:  # noqa: ASYNC110  nothing tells us when memory grows
        await asyncio.sleep(LOOK_SECONDS if text else NEVER_SECONDS)


def parse_quantity(text: str) -> float:
    """Parse a Kubernetes quantity such as `250m`, `1.5` or `64Mi`; ValueError when it is none."""
    match = QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"not a quantity: {text}")
    return float(match[1]) * MULTIPLIERS.get(match[2], 1)


def read_resident_bytes(leash: int) -> int:
    """Read how much memory the descendants of the leash have; pages that they share count for each."""
    return sum(_read_resident(pid) for pid in _iterate_descendants(leash))


def _iterate_descendants(pid: int) -> Iterator[int]:
    try:
        children = (PROCESSES / str(pid) / "task" / str(pid) / "children").read_text().split()
    except OSError:
        return
    for child in map(int, children):
        yield child
        yield from _iterate_descendants(child)


def _read_resident(pid: int) -> int:
    try:
        lines = (PROCESSES / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
