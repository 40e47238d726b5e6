"""Lets `python -m estimatesync_demo` run main."""

from estimatesync_demo.main import main

main()
