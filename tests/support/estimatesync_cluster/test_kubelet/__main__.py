"""Lets `python -m estimatesync_cluster.test_kubelet` run main."""

import sys

from estimatesync_cluster.test_kubelet.main import main

sys.exit(main())
