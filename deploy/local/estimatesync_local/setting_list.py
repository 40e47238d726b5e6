"""One machine's settings as people are told of them, in the order of `.env.example`, which is made from this list.

What the parts have in a cluster means the same here, and is described there; what differs is said here.
"""

from typing import Final

import msgspec
from estimatesync_api.setting_list import API_SETTINGS
from estimatesync_contract.setting import (
    ATTIC_TECH_EMAIL,
    ATTIC_TECH_PASSWORD,
    ATTIC_TECH_URL,
    DATABASE_SCHEMA,
    DATABASE_URL,
    DATABASE_WAIT_SECONDS,
    SYNC_MAX_SKIPPED_PERCENT,
    TIME_ZONE,
    Setting,
)
from estimatesync_operator.setting_list import CALLBACK_SETTINGS, PROGRAM_SETTINGS, RECONCILER_SETTINGS
from estimatesync_tracing.setting_list import TRACING_SETTINGS

_BY_NAME: Final = {each.name: each for each in (*API_SETTINGS, *RECONCILER_SETTINGS, *PROGRAM_SETTINGS)}
_ONLY_IN_A_CLUSTER: Final = ("NAMESPACE", "KUBECONFIG", "SERVICE_ACCOUNT_DIRECTORY", "CALLBACK_ALLOWED_SECRETS")
_ELSEWHERE: Final = ("API_KEYS", "BIND", TIME_ZONE.name)

LOCAL_SETTINGS: Final = {
    "Attic Tech": (
        ATTIC_TECH_EMAIL,
        msgspec.structs.replace(
            ATTIC_TECH_PASSWORD,
            meaning="Its password. Keep the quotes in `.env`: without them, # and spaces would end it",
        ),
        ATTIC_TECH_URL,
    ),
    "Database": (
        msgspec.structs.replace(
            DATABASE_URL,
            meaning="`postgresql://user:password@host:5432/database`; without it, a PostgreSQL of its own is started "
            "in LOCAL_DIRECTORY",
            is_required=False,
        ),
        DATABASE_SCHEMA,
        DATABASE_WAIT_SECONDS,
    ),
    "API": (
        Setting(
            name="BIND",
            meaning="Where callers reach it. 0.0.0.0:8080 lets other machines in; put a proxy with TLS in front of it",
            default="127.0.0.1:8080",
        ),
        msgspec.structs.replace(
            _BY_NAME["API_KEYS"],
            meaning=f"{_BY_NAME['API_KEYS'].meaning}. Without any, one is made and kept in LOCAL_DIRECTORY/api-key",
        ),
        *(each for each in API_SETTINGS if each.name not in (*_ONLY_IN_A_CLUSTER, *_ELSEWHERE)),
    ),
    "Callback": tuple(each for each in CALLBACK_SETTINGS if each.name not in _ONLY_IN_A_CLUSTER),
    "Syncs": (
        *RECONCILER_SETTINGS,
        Setting(
            name="RETRY_SECONDS",
            meaning="Time before a run that failed is repeated; doubles with each failure, up to 6 minutes",
            default="10",
            unit="seconds",
            low=1,
            high=360,
        ),
        SYNC_MAX_SKIPPED_PERCENT,
        _BY_NAME["SYNC_LOG_FORMAT"],
    ),
    "Traces": TRACING_SETTINGS,
    "This machine": (
        Setting(
            name="LOCAL_DIRECTORY",
            meaning="Where everything is kept: jobs and their logs, PostgreSQL, the key. A relative path starts where "
            "the server is started",
            default=".local",
        ),
    ),
}
"""By heading."""
