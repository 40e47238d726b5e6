"""Lets `python -m estimatesync_payload` install what the tests run."""

from estimatesync_payload.main import main

raise SystemExit(main())
