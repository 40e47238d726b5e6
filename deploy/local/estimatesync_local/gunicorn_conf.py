"""How gunicorn serves the API on one machine: as in a cluster, and it ends with the supervisor, however that ends.

Loaded by `gunicorn --config python:estimatesync_local.gunicorn_conf`, which takes this module's names for settings.
"""

import os
import signal
import threading

from estimatesync_api.gunicorn_conf import *  # noqa: F403 - gunicorn's way to build one configuration on another

from estimatesync_local.api import SUPERVISOR_PIPE

wsgi_app = "estimatesync_local.api:create()"

# Its lines about its own workers say nothing to whoever runs one machine; what goes wrong is still logged.
logconfig_dict["loggers"]["gunicorn.error"]["level"] = "WARNING"  # noqa: F405 - of the configuration above

# The supervisor ends the syncs next, so waiting for one any longer is pointless.
graceful_timeout = 3


def when_ready(_server: object) -> None:
    """Watch the supervisor; gunicorn calls this in its main process, before there are workers."""
    pipe = int(os.environ[SUPERVISOR_PIPE])
    threading.Thread(target=_end_with_supervisor, args=(pipe,), daemon=True).start()


def _end_with_supervisor(pipe: int) -> None:
    # Nothing is ever written: reading ends when the only writer, the supervisor, has ended.
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)
