"""Values of the chart and addresses, as pure functions: what a person would write down for sample data."""

from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

IMAGES_ANNOTATION: Final = "estimatesync.botzilla.io/images"


def build_sample_values(
    *, source_url: str, email: str, password: str, database_url: str, callback_url: str, api_key: str
) -> dict[str, Any]:
    """Build the values for a sample Attic Tech, a database and a webhook of this machine; holds secrets."""
    return {
        "apiKeys": {"keys": {"make": api_key}},
        "credentials": {"email": email, "password": password, "databaseUrl": database_url},
        # The webhook is on this machine, and speaks no TLS.
        "callback": {"url": callback_url, "allowHttp": True, "allowPrivateTargets": True},
        "sync": {"atticTechUrl": source_url},
        "settings": {"environment": "node", "progressSeconds": 1},
    }


def build_image_values(images: str) -> dict[str, Any]:
    """Build the values that replace the pods when, and only when, the images have changed under their names."""
    annotations = {"podAnnotations": {IMAGES_ANNOTATION: images}}
    return {"api": annotations, "operator": annotations}


def build_pod_database_url(url: str, *, host: str, port: int) -> str:
    """Build the URL under which pods know a database that this machine knows by its socket (`?host=…`)."""
    parts = urlsplit(url)
    user = parts.username or parse_qs(parts.query)["user"][0]
    return f"postgresql://{user}@{host}:{port}{parts.path}"


def build_socket_path(url: str) -> str:
    """Build the path of the socket that a URL with `?host=…` means."""
    query = parse_qs(urlsplit(url).query)
    (directory,), (port,) = query["host"], query.get("port", ["5432"])
    return f"{directory}/.s.PGSQL.{port}"
