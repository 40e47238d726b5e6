"""In which order the addresses of a webhook's name are tried, and how long each.

Only one of them gets the request of an attempt, so what it made of the request decides who is first at the next: an
address that answers stays first, and one that failed is tried again only after all others.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

import msgspec
from estimatesync_contract.callback_url import Address, CallbackTarget

from estimatesync_operator.callback.settings import CallbackSettings

_MAX_TARGETS: Final = 1000
_MAX_FAILED: Final = 32

_ANSWER_SECONDS: Final = 5.0
"""Left for an answer, however many addresses are dead."""


class Tried(msgspec.Struct, frozen=True):
    """What the attempts so far say of a target's addresses; what a connection could not reach is not among them."""

    reached: Address | None = None
    """The one that answered last, if none has failed since."""
    failed: tuple[Address, ...] = ()
    """Those that connected and then failed, the newest last."""


class AddressMemory:
    """Remembers for each host and port how its addresses did; only for as long as the process lives."""

    def __init__(self) -> None:
        self._tried: dict[tuple[str, int], Tried] = {}

    def order(self, target: CallbackTarget, addresses: Sequence[Address]) -> tuple[Address, ...]:
        """Order the addresses of a target for an attempt."""
        return order_addresses(addresses, tried=self._tried.get((target.host, target.port), Tried()))

    def note_answer(self, target: CallbackTarget, address: Address) -> None:
        """Try this one first from now on: dead ones before it cost their time once."""
        self._store(target, Tried(reached=address))

    def note_failure(self, target: CallbackTarget, address: Address) -> None:
        """Try this one last from now on."""
        before = self._tried.get((target.host, target.port), Tried())
        others = tuple(each for each in before.failed if each != address)
        self._store(target, Tried(failed=(*others, address)[-_MAX_FAILED:]))

    def _store(self, target: CallbackTarget, tried: Tried) -> None:
        self._tried[target.host, target.port] = tried
        if len(self._tried) > _MAX_TARGETS:
            del self._tried[next(iter(self._tried))]


def order_addresses(addresses: Sequence[Address], *, tried: Tried) -> tuple[Address, ...]:
    """Order addresses: the one that answered last, those that did not fail, and those that did, the newest last.

    Otherwise the two families are tried in turn, and the resolver's order is kept within a family: a network without a
    way out by one family costs one try, not all.
    """
    first = addresses[0].version if addresses else 0
    families = ([each for each in addresses if (each.version == first) is own] for own in (True, False))
    in_turn = [each for pair in zip_longest(*families) for each in pair if each is not None]
    return tuple(sorted(in_turn, key=lambda each: _rank(each, tried)))


def _rank(address: Address, tried: Tried) -> int:
    if address == tried.reached:
        return -1
    return tried.failed.index(address) + 1 if address in tried.failed else 0


def compute_connect_seconds(remaining: float, *, left: int, settings: CallbackSettings) -> float:
    """Compute how long to wait for one of `left` addresses, so that all can be tried and the last can still answer."""
    reserve = 0.0 if left == 1 else min(_ANSWER_SECONDS, settings.total_seconds / 2)
    return min(settings.connect_seconds, max(remaining - reserve, 0.0) / left)
