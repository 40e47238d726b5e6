"""One machine: the API, the reconcile and the sync program without a cluster, on PostgreSQL and child processes.

`python -m estimatesync_local` starts everything; `make local` runs it. The parts are the ones that run in Kubernetes:
this package only implements the other side of their ports, and connects them.
"""
