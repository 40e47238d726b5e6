"""`make node`, tried as a person would: only where `make test-node` has built the images, with root on Linux."""

import os

collect_ignore = [] if os.environ.get("ESTIMATESYNC_TEST_NODE_IMAGES") else ["test_make_node.py"]
