"""Makes `python -m estimatesync_release` the command."""

import sys

from estimatesync_release.main import main

sys.exit(main())
