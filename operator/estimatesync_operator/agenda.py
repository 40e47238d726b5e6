"""What a reconcile pass asks for next."""

from datetime import timedelta

import msgspec


class Agenda(msgspec.Struct, frozen=True, kw_only=True):
    """Come back to this sync after a while (None: only when something happens), and look at these others now."""

    again_after: timedelta | None = None
    wake: tuple[str, ...] = ()


NOTHING_MORE = Agenda()
AT_ONCE = Agenda(again_after=timedelta(0))
