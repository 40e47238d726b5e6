"""Lets `python -m estimatesync_cluster` run main."""

import sys

from estimatesync_cluster.main import main

sys.exit(main())
