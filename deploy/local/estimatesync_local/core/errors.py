"""Why the server cannot start: one tree, whose messages tell a person what to do. `main` prints them and ends.

StartError
├── PostgresError        the embedded PostgreSQL
├── ListenError          the address
├── DatabaseError        the database that DATABASE_URL names
├── AlreadyRunningError  another server has the directory, or the database
└── ApiError             the API process
"""


class StartError(Exception):
    """The server cannot start."""


class PostgresError(StartError):
    """The embedded PostgreSQL cannot be started, or stopped."""


class ListenError(StartError):
    """Nobody can listen at the address."""


class DatabaseError(StartError):
    """The database cannot be used."""


class AlreadyRunningError(StartError):
    """Another server is at work where this one would be."""


class ApiError(StartError):
    """The API does not become ready."""
