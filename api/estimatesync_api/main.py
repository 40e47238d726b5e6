"""The API as it is deployed: settings from the environment, syncs in Kubernetes. gunicorn loads `app` from here."""

import logging
import os

from estimatesync_contract.legacy_settings import accept_old_names
from estimatesync_contract.settings import SettingsError
from estimatesync_contract.unknown_settings import find_misspelt_settings

from estimatesync_api.adapters.kubernetes_store import KubernetesStore
from estimatesync_api.app import Asgi, create_app
from estimatesync_api.middleware import create_api_tracer
from estimatesync_api.settings import API_KEY, API_SETTINGS, parse_settings

logger = logging.getLogger(__name__)


def compose() -> Asgi:
    """Build the application; unusable settings end the program with a list of what is wrong."""
    old = accept_old_names(os.environ, (API_KEY.name,))
    for note in (*old.notes, *find_misspelt_settings(old.environment, [each.name for each in API_SETTINGS])):
        logger.warning("%s", note)
    try:
        settings = parse_settings(old.environment, faults=old.faults)
        store = KubernetesStore(
            kubeconfig=settings.kubeconfig,
            service_account=settings.service_account_directory,
            namespace=settings.namespace,
        )
        return create_app(settings, store, tracer=create_api_tracer(settings.tracing))
    except SettingsError as error:
        raise SystemExit(str(error)) from error


app = compose()
