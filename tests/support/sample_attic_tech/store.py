"""The sample's collection: the only mutable state behind a listing.

The server reads it; tests and mutation hooks insert, update and delete between two requests, from any thread.
"""

from collections.abc import Iterable, Mapping, Sequence
from threading import RLock
from typing import Any

from sample_attic_tech import paging
from sample_attic_tech.conditions import Where
from sample_attic_tech.relations import Record


class RecordStore:
    """Records by id, in the order of insertion; every method is atomic."""

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        """Store copies of the records.

        Raises:
            ValueError: when two records share an id.
        """
        self._lock = RLock()
        self._records: dict[int, Record] = {}
        for record in records:
            self.insert(record)

    def __len__(self) -> int:
        """Count the records."""
        with self._lock:
            return len(self._records)

    def insert(self, record: Mapping[str, Any]) -> None:
        """Add a record.

        Raises:
            ValueError: when the id is taken.
        """
        with self._lock:
            if record["id"] in self._records:
                raise ValueError(f"There is already a record with id {record['id']}.")
            self._records[record["id"]] = dict(record)

    def update(self, record_id: int, changes: Mapping[str, Any]) -> Record:
        """Replace fields of a record and return it; the caller sets `updatedAt`, as Payload would to its own clock.

        Raises:
            KeyError: when no record has this id.
            ValueError: when the changes name another id.
        """
        with self._lock:
            if changes.get("id", record_id) != record_id:
                raise ValueError("An id never changes.")
            self._records[record_id] = self._records[record_id] | dict(changes)
            return dict(self._records[record_id])

    def delete(self, record_id: int) -> None:
        """Remove a record.

        Raises:
            KeyError: when no record has this id.
        """
        with self._lock:
            del self._records[record_id]

    def read(self, record_id: int) -> Record:
        """Return a copy of a record.

        Raises:
            KeyError: when no record has this id.
        """
        with self._lock:
            return dict(self._records[record_id])

    def read_all(self) -> list[Record]:
        """Return the records as they are now; later changes replace records and leave these alone."""
        with self._lock:
            return list(self._records.values())

    def query(
        self,
        *,
        where: Where | None = None,
        sort: Sequence[str] = paging.DEFAULT_SORT,
        limit: int = paging.DEFAULT_LIMIT,
        page: int = 1,
    ) -> paging.Page:
        """Build one page of the records as they are now; see `paging.query`."""
        return paging.query(self.read_all(), where=where, sort=sort, limit=limit, page=page)
