"""Gives each pod of the test node an address of its own, so that two of them can listen on one port. Pure.

On Linux all of 127.0.0.0/8 is this machine. Elsewhere only 127.0.0.1 is, and pods share it and its ports.
"""

import hashlib
import sys

LOOPBACK = "127.0.0.1"


def compute_pod_address(uid: str, *, platform: str = sys.platform) -> str:
    """Compute a pod's address from its uid; never 127.0.x.x or 127.1.x.x, where other programs of this machine are."""
    if platform != "linux":
        return LOOPBACK
    first, second, third = hashlib.sha256(uid.encode()).digest()[:3]
    return f"127.{2 + first % 253}.{second}.{1 + third % 254}"
