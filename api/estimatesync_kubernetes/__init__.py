"""How API and operator talk to the API server of Kubernetes: one way to log in, to call, to watch and to fail.

It stands on the generated client for connections and credentials, and knows nothing of syncs.
"""
