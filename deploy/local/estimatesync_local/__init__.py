"""One machine: the API, the reconcile and the sync program without a cluster, on PostgreSQL and child processes.

`python -m estimatesync_local` starts everything; `make local` is that command. The parts are the same ones that run in
Kubernetes: this package only provides the other side of their ports, and joins them.
"""
