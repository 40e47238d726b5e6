"""The product on a real node of this machine: what `make node` leaves running.

Its parts are the chart, installed by Helm, an address of the API, and, unless a person brings values of their own,
sample data to sync. The node itself is the business of estimatesync_cluster.
"""
