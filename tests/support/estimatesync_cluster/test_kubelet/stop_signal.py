"""The wish that a pod's containers end: asked once, and sooner when it is asked again with less patience."""

import asyncio
from contextlib import suppress


class StopSignal:
    """Shared by the containers of one pod; lives in one event loop."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self._asked = asyncio.Event()
        self._hurried = asyncio.Event()
        self._kill_at = float("inf")

    @property
    def is_asked(self) -> bool:
        """Tell whether the containers should end."""
        return self._asked.is_set()

    def ask(self, *, grace: float) -> None:
        """Ask the containers to end by themselves within `grace` seconds."""
        kill_at = asyncio.get_running_loop().time() + grace
        if kill_at < self._kill_at:
            self._kill_at = kill_at
            self._hurried.set()
        self._asked.set()

    async def wait_until_asked(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109  bounds a wait for others
        """Wait, at most `timeout` seconds; true when the containers should end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._asked.wait(), timeout)
        return self.is_asked

    async def wait_until_patience_ends(self) -> None:
        """Wait, once asked, until the grace is over, be it shortened meanwhile."""
        loop = asyncio.get_running_loop()
        while (left := self._kill_at - loop.time()) > 0:
            self._hurried.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurried.wait(), left)
