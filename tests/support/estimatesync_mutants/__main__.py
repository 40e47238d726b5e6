"""Lets `python -m estimatesync_mutants` run main."""

from estimatesync_mutants.main import main

main()
