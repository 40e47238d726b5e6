"""`python -m estimatesync_dashboard`."""

from estimatesync_dashboard.main import main

main()
