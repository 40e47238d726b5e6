"""Lets `python -m estimatesync_chart` run main."""

from estimatesync_chart.main import main

main()
