"""Lets `python -m estimatesync_make` run main."""

from estimatesync_make.main import main

main()
