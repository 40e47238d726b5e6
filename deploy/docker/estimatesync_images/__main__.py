"""Lets `python -m estimatesync_images` run main."""

import sys

from estimatesync_images.main import main

sys.exit(main())
