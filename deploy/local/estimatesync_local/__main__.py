"""Makes `python -m estimatesync_local` the command."""

from estimatesync_local.main import main

main()
