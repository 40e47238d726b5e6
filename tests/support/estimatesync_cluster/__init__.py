"""A real Kubernetes control plane on one machine, for tests, demonstrations and the developer's loop.

Nothing that ships imports this package: it serves a checkout. See tests/support/README.md.
"""
