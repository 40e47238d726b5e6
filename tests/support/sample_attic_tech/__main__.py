"""Lets `python -m sample_attic_tech` run the sample."""

from sample_attic_tech.main import main

main()
