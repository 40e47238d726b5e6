"""How the parts talk to PostgreSQL: one way to connect, what a session relies on, and what each error means.

It stands on psycopg and the contract, and knows neither tables nor syncs. Nothing that it raises repeats libpq's words
about a connection: these quote whatever libpq took for a host, a port or a name, which may be part of a password.
"""
