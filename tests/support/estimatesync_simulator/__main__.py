"""Lets `python -m estimatesync_simulator` run main."""

from estimatesync_simulator.main import main

main()
