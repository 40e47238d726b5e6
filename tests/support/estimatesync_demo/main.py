"""Plays a demo and ends with exit code 0 only if everything that was observed agrees.

`python -m estimatesync_demo one-machine` is `make demo`, `python -m estimatesync_demo cluster` is `make demo-cluster`.
"""

import argparse
import importlib
import sys
import time
from typing import Final

from estimatesync_client.core.formatting import format_duration
from estimatesync_cluster.errors import ClusterError

_PLAYS: Final = {"one-machine": "estimatesync_demo.one_machine", "cluster": "estimatesync_demo.on_cluster"}
_NEXT: Final = {
    "one-machine": """
Next, with a server that stays, in three terminals:
  make sample     serves this Attic Tech
  make webhook    takes the callbacks
  make local      serves EstimateSync, with a page for your browser
docs/tutorial.md has the settings for it, and each step. With a login of your own: cp .env.example .env""",
    "cluster": """
Next:
  make cluster    starts such a cluster that stays; docs/tutorial.md installs the chart there
  make node       does the same with real containers (root on Linux)
On your own cluster: docs/install.md""",
}


def main() -> None:
    """Play the demo that was asked for.

    Raises:
        SystemExit: With 1 and the reason, when something differs or did not start; with 0 otherwise.
    """
    parser = argparse.ArgumentParser(
        prog="python -m estimatesync_demo", description="Plays the main job on sample data."
    )
    parser.add_argument("stage", choices=sorted(_PLAYS))
    parser.add_argument("--began", type=float, default=time.time(), help="when it began, if that was earlier")
    options = parser.parse_args()
    # Only the chosen stage is imported: the other one's libraries would cost a second.
    play = importlib.import_module(_PLAYS[options.stage]).play
    try:
        agrees = play()
    except (RuntimeError, OSError, ClusterError) as error:
        sys.exit(f"\n✗ {error}")
    print(f"\nThat took {format_duration(time.time() - options.began)}, from the start of the command.")
    if not agrees:
        sys.exit(1)
    print(_NEXT[options.stage])
