"""Why a command of this package ends without having done anything.

MovingError
├── MappingError     the mapping file or the choice of the old table is not usable; a person corrects it
├── SettingsFault    the environment is not usable
└── DatabaseFault    one of the two databases refuses, or cannot answer

Every message is for a person, and never holds a secret or a value of a row.
"""

from typing import Final

import psycopg

_VALUE_FAULTS: Final = frozenset({"22", "23"})
"""Classes of codes whose texts repeat values: https://www.postgresql.org/docs/current/errcodes-appendix.html."""
_HINTS: Final = {
    "42501": "grant USAGE on the schema and SELECT on the tables that the mapping names",
    "55P03": "another session holds a lock: try again",
    "57014": "it was cancelled or took too long: try again",
    "25006": "it is read-only: name the primary server",
    "53": "it lacks disk space, memory or connections",
}


class MovingError(Exception):
    """Nothing was changed; the message says what to do."""


class MappingError(MovingError):
    """The mapping does not fit; the message lists every fault."""

    def __init__(self, faults: list[str]) -> None:
        """Join the faults into a message for a person."""
        super().__init__("The mapping cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))
        self.faults = faults


class DatabaseFault(MovingError):  # noqa: N818 - it may be the database's fault, or the network's
    """One of the databases refuses or cannot answer."""


def build_database_fault(error: psycopg.Error, *, variable: str) -> DatabaseFault:
    """Say which database it is by the variable that names it; a text without a code may hold a user's name, no more."""
    if error.sqlstate is None:
        return DatabaseFault(
            f"The database in {variable} cannot be reached, refuses the login, or broke the connection: "
            f"check that it runs, and the user, password, host and port in {variable}."
        )
    hint = _HINTS.get(error.sqlstate) or _HINTS.get(error.sqlstate[:2])
    text = error.diag.message_primary or "no text"
    if error.sqlstate[:2] in _VALUE_FAULTS:
        place = [name for name in (error.diag.table_name, error.diag.column_name, error.diag.constraint_name) if name]
        text = f"a value in it cannot be used, code {error.sqlstate}" + (f" ({', '.join(place)})" if place else "")
    return DatabaseFault(f"The database in {variable} refuses: {text}" + (f" ({hint})." if hint else "."))
