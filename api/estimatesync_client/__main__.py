"""`python -m estimatesync_client`; see main."""

import sys

from estimatesync_client.main import main

sys.exit(main())
