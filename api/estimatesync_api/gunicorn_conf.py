"""How gunicorn serves the API: `gunicorn --config python:estimatesync_api.gunicorn_conf`.

Another composition, like the one-machine mode, uses the same file and names its own application on the command line.
https://gunicorn.org/reference/settings/
"""

import contextlib
import os
import resource
import shutil
import tempfile
from typing import Any, Protocol

from estimatesync_contract.settings import SettingsReader

from estimatesync_api.settings import read_server_settings

# The application, which is loaded before gunicorn listens, reports faults: these with all the others.
_settings = read_server_settings(SettingsReader(os.environ))

# Connections are files, and some systems allow a process only 1,024 of them unless it asks for more.
_OPEN_FILES = 65_536
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
_wanted = _OPEN_FILES if _hard == resource.RLIM_INFINITY else min(_hard, _OPEN_FILES)
if _soft != resource.RLIM_INFINITY and _soft < _wanted:
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (_wanted, _hard))

wsgi_app = "estimatesync_api.main:app"
bind = _settings.bind
workers = _settings.workers

# The native asyncio worker: a caller who waits for a sync costs a coroutine, and the worker's heartbeat goes on.
worker_class = "estimatesync_api.gunicorn_worker.DrainingWorker"
# The store is opened at startup; without it nothing can be served.
asgi_lifespan = "on"
# Loaded once, before the workers: faulty settings are reported once, and gunicorn ends.
preload_app = True

# Seconds without a heartbeat, not seconds for a request.
timeout = 30
# Below the 30 seconds that Kubernetes gives a pod to end. Callers who wait for a sync are answered 5 seconds earlier.
graceful_timeout = 25
# Longer than the idle connections of common proxies (60 s), which otherwise send a request into a closing connection.
keepalive = 75
# Seconds for a request to end after its caller left: enough for one call to the API server.
asgi_disconnect_grace_period = 3

# The heartbeat file must not wait for a disk.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - gunicorn makes its own file in it
# Several workers report one sum to Prometheus, through files; the client library reads this variable when it is loaded.
_METRICS = "PROMETHEUS_MULTIPROC_DIR"
_is_metrics_directory_ours = _METRICS not in os.environ and _settings.workers > 1
if _is_metrics_directory_ours:
    os.environ[_METRICS] = tempfile.mkdtemp(prefix="estimatesync-metrics-", dir=worker_tmp_dir)

# Workers are not managed from inside a container, and its root is read-only.
control_socket_disable = True

# The application writes its own access lines: with the sync and the key's name, without the query.
accesslog = None
logconfig_dict: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"level": "INFO", "handlers": ["stderr"]},
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": ["stderr"], "propagate": False}},
}


class _Worker(Protocol):
    pid: int


def child_exit(_server: object, worker: _Worker) -> None:
    """Close the books of a worker that has ended; gunicorn calls this in its main process."""
    if _METRICS in os.environ:
        from prometheus_client import multiprocess  # noqa: PLC0415 - only after its variable is set

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call] # has no types


def on_exit(_server: object) -> None:
    """Remove what was made here; gunicorn calls this at its end."""
    if _is_metrics_directory_ours:
        shutil.rmtree(os.environ[_METRICS], ignore_errors=True)
