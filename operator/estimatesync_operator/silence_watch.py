"""Looks now and then whether it is to be told that no sync has succeeded for long: no event brings that about.

Operator and one machine run it beside the work queue, which makes the pass that follows.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from estimatesync_operator.core.ports import BackendUnavailableError

_INTERVAL: Final = timedelta(minutes=1)
"""How late an alert may be."""

logger = logging.getLogger(__name__)


async def watch_silence(
    find_silent: Callable[[], Awaitable[str | None]],
    add: Callable[[str], None],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Enqueue the sync that is to get an alert, until cancelled.

    Args:
        find_silent: Names that sync, if there is one.
        add: Enqueues it.
        sleep: Waits so many seconds.
    """
    while True:
        try:
            if name := await find_silent():
                add(name)
        except BackendUnavailableError as error:
            logger.info("cannot look now how long no sync has succeeded: %s", error)
        except Exception:  # a defect in it must not end the service of all syncs, nor the looking
            logger.exception("looking how long no sync has succeeded failed")
        await sleep(_INTERVAL.total_seconds())
