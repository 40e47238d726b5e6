"""What a person reads once the server is ready: where it is, what to try, where things are kept, how to stop it."""

import shlex
from urllib.parse import urlsplit

from estimatesync_contract.names import START_PATH

from estimatesync_local.supervisor import Ready


def format_banner(ready: Ready, *, callback_url: str | None, schema: str) -> str:
    """Write the banner; `schema` is where the estimates are.

    It shows no key, and of the webhook only the host: the rest of its URL is a secret.
    """
    places, database_url = ready.places, ready.embedded_database_url
    key_file = shlex.quote(str(places.api_key))
    key = f"$(cat {key_file})" if ready.is_key_made else "one of your API_KEYS"
    page = {"Look at it": f"{ready.url}/ in a browser, with the key"} if ready.has_status_page else {}
    lines = {
        **page,
        "Try it": f'curl -X POST {ready.url}{START_PATH} -H "X-API-KEY: {key}"',
        "Key": f"in {places.api_key}, made for you" if ready.is_key_made else "from API_KEYS or API_KEY",
        "Data": f"PostgreSQL in {places.postgres}" if database_url else "in the database of DATABASE_URL",
        "Rows": _format_look(database_url, schema),
        "Sync logs": f"{places.jobs}/*/runs/*/log",
        "Callback": _format_callback(callback_url),
        "Stop": "Ctrl-C; syncs that are running begin again at the next start",
    }
    rows = [f"  {name:<10} {text}" for name, text in lines.items()]
    return "\n".join(["", f"EstimateSync is ready at {ready.url}", "", *rows, ""])


def _format_look(embedded_database_url: str | None, schema: str) -> str:
    """A command for a person's own shell; it is never run from here."""
    url = shlex.quote(embedded_database_url) if embedded_database_url else '"$DATABASE_URL"'
    return " ".join(["psql", url, "-c", shlex.quote(f'TABLE "{schema}".estimate LIMIT 5')])


def _format_callback(url: str | None) -> str:
    if url is None:
        return "none; set MAKE_SYNC_CALLBACK_WEBHOOK_URL to be told how each sync ended"
    return f"posted to {urlsplit(url).hostname}"
