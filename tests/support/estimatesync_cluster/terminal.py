"""What the programs of this directory have in common with a terminal: a line for the person, and how they are ended.

`main` here and the one of `estimatesync_node` call it, and `cluster` while it finds or builds what is missing.
"""

import sys
from types import FrameType
from typing import NoReturn


def interrupt(_: int, __: FrameType | None) -> NoReturn:
    """End as Ctrl-C does: a signal handler, so that what was started is stopped on the way out."""
    raise KeyboardInterrupt


def report(line: str) -> None:
    """Print a line for the person; stdout belongs to what a shell evaluates."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
