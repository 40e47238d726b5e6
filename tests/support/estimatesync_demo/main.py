"""Plays a demo and ends with exit code 0 only if everything that was observed agrees.

`python -m estimatesync_demo one-machine` is `make demo`, `python -m estimatesync_demo cluster` is `make demo-cluster`.
"""

import argparse
import importlib
import sys
import time
from typing import Final

from estimatesync_cluster.errors import ClusterError

_PLAYS: Final = {"one-machine": "estimatesync_demo.one_machine", "cluster": "estimatesync_demo.on_cluster"}


def main() -> None:
    """Play the demo that was asked for.

    Raises:
        SystemExit: With 1 and the reason, when something differs or did not start; with 0 otherwise.
    """
    parser = argparse.ArgumentParser(
        prog="python -m estimatesync_demo", description="Plays the main job on sample data."
    )
    parser.add_argument("stage", choices=sorted(_PLAYS))
    options = parser.parse_args()
    began = time.monotonic()
    # Only the chosen stage is imported: the other one's libraries would cost a second.
    play = importlib.import_module(_PLAYS[options.stage]).play
    try:
        agrees = play()
    except (RuntimeError, OSError, ClusterError) as error:
        sys.exit(f"\n✗ {error}")
    print(f"\nThat took {time.monotonic() - began:.0f} s.")
    sys.exit(0 if agrees else 1)
