"""An asyncio event loop whose time is simulated: a day passes as soon as nothing is left to do before it is over.

What is ready runs in the order in which it became so, and nothing comes from outside: the same program does the same
again, to the last step.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any


class SimulatedLoop(asyncio.BaseEventLoop):
    """asyncio's own loop, which asks a selector how long to wait: this one is the selector, and moves the time on."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = self
        self._now = 0.0
        self._deadline = 0.0
        self._is_over: Callable[[], bool] = bool
        self.failures: list[str] = []
        """What a callback or a task raised that nobody waits for."""
        self.set_exception_handler(self._note_failure)

    def run_until(self, is_over: Callable[[], bool], *, deadline: float) -> None:
        """Run until `is_over`, which is asked whenever time moves on, or nothing is left to do before the deadline."""
        self._is_over, self._deadline = is_over, deadline
        self.run_forever()

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> Sequence[object]:
        """Let time pass instead of waiting; `timeout` is None when nothing is planned."""
        if timeout == 0:
            return ()
        if timeout is None or self._now + timeout > self._deadline or self.failures or self._is_over():
            self.stop()
        else:
            self._now += timeout
        return ()

    def _process_events(self, event_list: Sequence[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps who would have to be woken up."""

    def _note_failure(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG002 - asyncio's
        error = context.get("exception")
        self.failures.append(f"{context.get('message')}: {error!r}" if error else str(context.get("message")))
