"""`python -m estimatesync_import`."""

import sys

from estimatesync_import.main import main

sys.exit(main())
