"""A simulated world for the operator: thousands of histories of faults, kills and people a minute, each from one seed.

The operator's program is the real one, down to its HTTP calls; the API server, the job controller, nodes, receivers,
people and time are played. A history that breaks a promise is shrunk until it reads like a short log.
"""
