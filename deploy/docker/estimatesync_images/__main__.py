"""Makes `python -m estimatesync_images` the command."""

import sys

from estimatesync_images.main import main

sys.exit(main())
