"""Why the server cannot start: one tree, whose messages say what to do. `main` prints them and exits.

StartError
├── AccountError         root, where it cannot work or become another account
├── PostgresError        the embedded PostgreSQL
├── ListenError          the address
├── DatabaseError        the database that DATABASE_URL names
├── AlreadyRunningError  another server has the directory, or the database
└── ApiStartError        the API process
"""


class StartError(Exception):
    """The server cannot start."""


class AccountError(StartError):
    """Started by root, the server can neither stay root nor become another account."""


class PostgresError(StartError):
    """The embedded PostgreSQL cannot be started or stopped."""


class ListenError(StartError):
    """The server cannot listen at the address."""


class DatabaseError(StartError):
    """The database cannot be used."""


class AlreadyRunningError(StartError):
    """Another server uses the same directory or database."""


class ApiStartError(StartError):
    """The API process does not become ready."""
