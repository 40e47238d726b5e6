"""One machine: the API, the reconcile and the sync program without a cluster, on PostgreSQL and child processes.

`estimatesync-server` starts everything, and `make local` is the same program in a checkout. The parts are the ones that
run in Kubernetes: this package only implements the other side of their ports, and connects them.
"""
