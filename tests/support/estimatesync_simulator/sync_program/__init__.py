"""A simulated world for the sync program: a source that never rests, a database that fails, and pods that die.

The program is the real one from its HTTP requests up to the transaction; Attic Tech, PostgreSQL, Kubernetes' retries
and time are played. Like the operator's, each course of events comes from one seed.
"""
