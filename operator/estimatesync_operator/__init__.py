"""The operator: turns each EstimateSync into one job, follows it, and delivers the outcome.

The decisions are pure functions around one `reconcile`; kopf is one shell around it, the one-machine mode another.
"""
