"""Why a command of the import ends without having done anything.

MovingError
├── MappingError     the mapping file or the choice of the old table is not usable; a person corrects it
└── DatabaseFault    one of the two databases refuses, or cannot answer

Every message says what to do, and never holds a secret or a value of a row.
"""


class MovingError(Exception):
    """Nothing was changed; the message says what to do."""


class MappingError(MovingError):
    """The mapping does not fit; the message lists every fault."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("The mapping cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))
        self.faults = faults


class DatabaseFault(MovingError):  # noqa: N818 - it may be the database's fault, or the network's
    """One of the databases refuses or cannot answer."""
