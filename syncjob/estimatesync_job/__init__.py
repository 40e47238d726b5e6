"""The sync program: pulls the estimates of a date range from Attic Tech into PostgreSQL, all or nothing, and ends.

A Kubernetes Job (or the one-machine mode) runs it as `python -m estimatesync_job`. Its environment is its only input;
its rows, its log on stdout, its result file and its exit code are its only output.
"""
