"""Lets `python -m estimatesync_docs` write the reference."""

from estimatesync_docs.main import main

main()
