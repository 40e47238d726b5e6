"""Hears from PostgreSQL which syncs were added or changed, so that the reconciler need not ask all the time.

A lost notification only delays: the supervisor looks at everything now and then anyway, and whenever this connects.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import psycopg

_LISTEN: Final = "LISTEN estimatesync_local"
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


async def listen(database_url: str, *, on_name: Callable[[str], None], on_connect: Callable[[], None]) -> None:
    """Listen until cancelled, through any number of broken connections.

    Args:
        database_url: Where the syncs are.
        on_name: Called with the name of each sync that was added, changed or removed.
        on_connect: Called when listening begins, also anew: what happened before went unheard.
    """
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
                await connection.execute(_LISTEN)
                pause = _FIRST_PAUSE_SECONDS
                on_connect()
                async for notification in connection.notifies():
                    on_name(notification.payload)
        except psycopg.Error as error:
            logger.warning("cannot hear of new syncs, which delays them: %s", error)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
