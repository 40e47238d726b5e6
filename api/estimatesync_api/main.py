"""The API as it is deployed: settings from the environment, syncs in Kubernetes. gunicorn loads `app` from here."""

import os

from estimatesync_contract.environment_reader import SettingsError

from estimatesync_api.app import Asgi, create_app
from estimatesync_api.kubernetes_store import KubernetesStore
from estimatesync_api.settings import parse_settings


def compose() -> Asgi:
    """Join the parts; settings that cannot be used end the program with the list of their faults."""
    try:
        settings = parse_settings(os.environ)
        store = KubernetesStore(
            kubeconfig=settings.kubeconfig,
            service_account=settings.service_account_directory,
            namespace=settings.namespace,
        )
        return create_app(settings, store)
    except SettingsError as error:
        raise SystemExit(str(error)) from error


app = compose()
