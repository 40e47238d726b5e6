"""The API's settings as people are told of them; `settings` and `gunicorn_conf` read them."""

from typing import Final

from estimatesync_contract.setting import FLAG, TIME_ZONE, Setting

API_SETTINGS: Final = (
    Setting(
        name="API_KEYS",
        meaning="What callers send as X-API-KEY: keys separated by commas or line breaks, each `name:key` or just the "
        "key, at least 16 characters; logs show the name. Make one with `openssl rand -hex 32`",
        is_secret=True,
    ),
    Setting(name="API_KEY", meaning="One more key, for a deployment that has a single one", is_secret=True),
    Setting(name="API_KEYS_FILE", meaning="A file of such keys, one a line; a change in it counts at once"),
    Setting(name="READ_ONLY_API_KEYS", meaning="Keys that may look and not touch", is_secret=True),
    Setting(name="READ_ONLY_API_KEYS_FILE", meaning="A file of such keys"),
    Setting(
        name="REQUESTS_PER_MINUTE",
        meaning="Requests that each key may send, to each worker process; 0: as many as come",
        default="1200",
        unit="per minute",
        low=0,
        high=1_000_000,
    ),
    Setting(
        name="TRUSTED_PROXIES",
        meaning="Networks of proxies whose `X-Forwarded-For` is believed, such as `10.0.0.0/8`, separated by commas",
    ),
    Setting(
        name="REPEATED_REQUESTS",
        meaning="A request without Idempotency-Key, for days that a sync is at work on: `join` it, or `start` another "
        "one",
        default="join",
        choices=("join", "start"),
    ),
    Setting(
        name="FOREGROUND_SECONDS",
        meaning="How long a caller may wait for the end of a sync before a 504; 0: as long as it takes",
        default="0",
        unit="seconds",
        low=0,
        high=86_400,
    ),
    Setting(name="STATUS_PAGE", meaning="Serve the status page at `/`", default="true", choices=FLAG),
    Setting(
        name="STATUS_PAGE_SESSION_HOURS",
        meaning="How long a person stays signed in there",
        default="8",
        unit="hours",
        low=1,
        high=720,
    ),
    TIME_ZONE,
    Setting(name="BIND", meaning="Address and port that are listened on", default="0.0.0.0:8080"),
    Setting(
        name="WEB_CONCURRENCY",
        meaning="Worker processes; one serves any number of callers who wait, more are only for more cores",
        default="1",
    ),
    Setting(
        name="NAMESPACE",
        meaning="The Kubernetes namespace in which syncs are created; the API's own unless told otherwise",
    ),
    Setting(
        name="KUBECONFIG",
        meaning="Credentials for the API server when the API runs outside of a cluster; the pod's service account "
        "unless told otherwise",
    ),
    Setting(
        name="SERVICE_ACCOUNT_DIRECTORY",
        meaning="Token, certificate and namespace of the pod's service account",
        default="/var/run/secrets/kubernetes.io/serviceaccount",
    ),
)
