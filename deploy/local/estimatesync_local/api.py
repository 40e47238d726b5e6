"""The API as one machine serves it: the same application, with syncs in PostgreSQL. gunicorn calls `create`.

The supervisor builds its environment, and checks it before.
"""

import os
from pathlib import Path
from typing import Final

from estimatesync_api.app import Asgi, create_app
from estimatesync_api.middleware import create_api_tracer
from estimatesync_api.settings import parse_settings
from estimatesync_contract.job_environment import DATABASE_URL
from estimatesync_contract.settings import SettingsError

from estimatesync_local.adapters.sync_store import ApiStore, SyncTable

JOBS_DIRECTORY: Final = "JOBS_DIRECTORY"
SUPERVISOR_PIPE: Final = "SUPERVISOR_PIPE"
"""Names the descriptor of a pipe whose other end only the supervisor has."""


def create() -> Asgi:
    """Build the application; unusable settings end the program with the list of their faults."""
    store = ApiStore(SyncTable(os.environ[DATABASE_URL]), jobs_directory=Path(os.environ[JOBS_DIRECTORY]))
    try:
        settings = parse_settings(os.environ)
        return create_app(settings, store, tracer=create_api_tracer(settings.tracing))
    except SettingsError as error:
        raise SystemExit(str(error)) from error
