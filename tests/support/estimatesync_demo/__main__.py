"""`python -m estimatesync_demo`; see main."""

from estimatesync_demo.main import main

main()
