"""Lets `python -m estimatesync_node` run main."""

import sys

from estimatesync_node.main import main

sys.exit(main())
