"""People at work in Payload: they edit, create and delete estimates through REST, so many times a second."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from threading import Event, Lock
from typing import Final

from estimatesync_payload.client import Document, PayloadClient
from estimatesync_payload.content import ESTIMATES, SIDE_BY_SIDE

EDIT, CREATE, DELETE = "edit", "create", "delete"
_KINDS: Final = (EDIT,) * 8 + (CREATE, DELETE)
"""How often each kind of change is made, among ten: creations make up for deletions."""


@dataclass(kw_only=True)
class Work:
    """What has been done so far.

    Attributes:
        per_second: changes that are due each second.
        done: changes that Payload has confirmed.
        started, ended: by this machine's monotonic clock; None while they work.
    """

    per_second: float
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def achieved_per_second(self) -> float:
        """What they really did: a server that is busy confirms fewer changes than are due."""
        return self.done / ((self.ended or time.monotonic()) - self.started)


class _People:
    def __init__(
        self, client: PayloadClient, work: Work, *, related: dict[str, Sequence[int]], ids: Sequence[int], seed: int
    ) -> None:
        self._client: Final = client
        self._work: Final = work
        self._related: Final = related
        self._ids: Final = list(ids)
        self._rng: Final = Random(seed)  # noqa: S311  a script, not a secret
        self._lock: Final = Lock()
        self._next = 0
        self.stopping: Final = Event()

    def run(self) -> None:
        """Make one change after another when it is due, until told to stop."""
        while not self.stopping.is_set():
            with self._lock:
                self._next += 1
                due = self._work.started + self._next / self._work.per_second
            if self.stopping.wait(max(0.0, due - time.monotonic())):
                return
            self._change()
            with self._lock:
                self._work.done += 1

    def _change(self) -> None:
        with self._lock:
            kind, document = self._rng.choice(_KINDS), self._build_document()
            # Nobody else works on an estimate meanwhile.
            identity = self._ids.pop(self._rng.randrange(len(self._ids))) if kind != CREATE else 0
        if kind == CREATE:
            identity = self._client.create(ESTIMATES, document)["id"]
        elif kind == EDIT:
            self._client.edit(ESTIMATES, identity, document)
        else:
            self._client.delete(ESTIMATES, identity)
            return
        with self._lock:
            self._ids.append(identity)

    def _build_document(self) -> Document:
        cents = self._rng.randrange(4_000_000)
        return {
            "name": f"Version {self._rng.getrandbits(40)}",
            "status": self._rng.choice(("draft", "sent", "accepted", "declined")),
            "final_price": cents / 100,
            "tax_details": {"final_price_after_taxes": cents / 50},
            **{name: self._rng.choice(ids) for name, ids in self._related.items()},
        }


@contextmanager
def people_at_work(
    client: PayloadClient, *, per_second: float, ids: Sequence[int], related: dict[str, Sequence[int]], seed: int = 7
) -> Iterator[Work]:
    """Let people work for the time of the context.

    Args:
        client: for all of them.
        per_second: changes that are due each second, spread evenly.
        ids: of the estimates that they may edit and delete.
        related: for each relation, the ids that they choose from.
        seed: of their choices.

    Raises:
        httpx.HTTPError: on the way out, a change that Payload refused.
    """
    work = Work(per_second=per_second)
    people = _People(client, work, related=related, ids=ids, seed=seed)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        workers: list[Future[None]] = [pool.submit(people.run) for _ in range(SIDE_BY_SIDE)]
        try:
            yield work
        finally:
            people.stopping.set()
    work.ended = time.monotonic()
    for worker in workers:
        worker.result()
