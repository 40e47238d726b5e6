"""gunicorn's asyncio worker, which also notifies the application when it must end.

ASGI's own notice of shutdown comes only after the last connection has closed, which is too late for callers who wait
for a sync: they would be cut off without an answer. `gunicorn_conf.py` names this class.
"""

from typing import Final

from gunicorn.workers.gasgi import ASGIWorker

from estimatesync_api.waiter import CLOSE_WAITER

ANNOUNCING_SECONDS: Final = 1.0
"""In which each answer says that its connection closes, before any is closed.

gunicorn closes a kept connection after the answer that is under way on SIGTERM, and that answer may have
been written already without saying so: the caller's next request would run into it.
"""

ANSWER_SECONDS: Final = 5.0
"""Left of `graceful_timeout` for the answers themselves."""


class DrainingWorker(ASGIWorker):  # type: ignore[misc] # gunicorn has no types
    """Gives callers time to be answered before the process ends."""

    def handle_exit_signal(self) -> None:
        """Handle SIGTERM: take no new connections, and answer what is under way, finished or not."""
        self.loop.call_later(ANNOUNCING_SECONDS, super().handle_exit_signal)
        close = self.state.get(CLOSE_WAITER)
        if close is not None:
            close(max(0.0, self.cfg.graceful_timeout - ANSWER_SECONDS))
