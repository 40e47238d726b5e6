"""What Kubernetes gives every pod to reach the API server: its address, and the files of the service account.

https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api
"""

from collections.abc import Mapping
from typing import Final

SERVICE_ACCOUNT_DIRECTORY: Final = "/var/run/secrets/kubernetes.io/serviceaccount"

_HOST: Final = "KUBERNETES_SERVICE_HOST"
_PORT: Final = "KUBERNETES_SERVICE_PORT"


def build_server_url(environ: Mapping[str, str]) -> str | None:
    """Build the API server's address from the variables that every pod has; None outside a cluster.

    The name kubernetes.default.svc would depend on the cluster's name service.
    """
    host, port = environ.get(_HOST), environ.get(_PORT) or "443"
    if not host:
        return None
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
