"""The command line for people: `estimatesync` starts syncs, follows them, and finds out what is wrong.

It knows the HTTP API and nothing behind it, so it works the same against a cluster and against one machine.
"""
