"""Describes the machine of a run, for comparison."""

import os
import platform
from pathlib import Path


def read_machine(server: str) -> str:
    """Read processor, memory, versions (`server` names one) and how busy it has been, as one sentence."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    *_, load = os.getloadavg()
    return (
        f"{os.cpu_count()} × {_read_processor()}, {memory:.0f} GB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {server}, "
        f"load average {load:.1f} in the last 15 minutes"
    )


def _read_processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
