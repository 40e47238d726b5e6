"""What can be wrong, as `doctor` and the error messages say it: one table of diagnoses, each with its cure.

In a text `{setting}` is the variable to look at, `{host}` the server that was asked, and other `{…}` details of one
case.
"""

from enum import Enum, StrEnum
from typing import Any, Final

import msgspec


class Verdict(StrEnum):
    """What a check found; the sign is what a terminal shows."""

    OK = "ok"
    FAULT = "fault"
    UNKNOWN = "unknown"

    @property
    def sign(self) -> str:
        """One character."""
        return {"ok": "✔", "fault": "✘", "unknown": "?"}[self.value]


class Check(StrEnum):
    """What is looked at, in this order; each depends at most on those before it."""

    SERVER = "server"
    KEY = "API key"
    CLUSTER = "cluster"
    SOURCE = "source login"
    DATABASE = "database"
    CALLBACK = "callback"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check has found."""

    check: Check
    verdict: Verdict
    cause: str
    cure: str


_OK, _FAULT, _UNKNOWN = Verdict.OK, Verdict.FAULT, Verdict.UNKNOWN
_SEEN_FAILING: Final = "{detail}, {age} ago in {sync_id}"


class Diagnosis(Enum):
    """Verdict, what happened, and what to do about it."""

    # Any connection. The server, Attic Tech and the webhook fail in the same ways.
    NAME_UNKNOWN = (
        _FAULT,
        "the name {host} cannot be resolved",
        "Check {setting}, and the network or VPN of this machine",
    )
    NOTHING_LISTENS = (
        _FAULT,
        "nothing listens at {host}",
        "Check host and port in {setting}, and that the service runs",
    )
    OUT_OF_REACH = (
        _FAULT,
        "{host} could not be reached in time",
        "Check {setting}, and what lies between: firewall, VPN, proxy",
    )
    NO_ANSWER = (_FAULT, "{host} did not answer in time", "Try again; if that lasts, look at the log of the service")
    UNTRUSTED = (
        _FAULT,
        "the certificate of {host} is not trusted ({detail})",
        "Correct the certificate, or let SSL_CERT_FILE name your own authority",
    )
    NO_TLS = (_FAULT, "{host} does not speak TLS", "Check the port in {setting}; without TLS it begins with http://")
    NO_HTTP = (
        _FAULT,
        "{host} closed the connection without an answer",
        "Check the port in {setting}, and whether it must begin with https://",
    )
    BROKEN = (_FAULT, "the connection to {host} failed ({detail})", "Check {setting} and the network, then try again")

    # The server.
    SERVER_ANSWERS = (_OK, "{host} answers after {milliseconds} ms", "")
    SERVER_UNENCRYPTED = (
        _UNKNOWN,
        "{host} answers, but without TLS: the key can be read on the way",
        "Put a proxy with TLS in front of it, and let {setting} begin with https://",
    )
    URL_UNUSABLE = (_FAULT, "{detail}", "Write {setting} like https://example.com")
    REDIRECTED = (
        _FAULT,
        "{host} redirects to {detail}",
        "Set {setting} to where it leads; the key is never sent on",
    )
    STRANGER = (
        _FAULT,
        "something else than EstimateSync answers at {host} ({detail})",
        "Check {setting}: host, port, and path if a proxy adds one",
    )
    BUSY = (_FAULT, "the server cannot answer now: {detail}", "Try again{later}; `estimatesync doctor` may tell why")
    DEFECT = (_FAULT, "the server met a defect of its own: {detail}", "Look at the log of the API")

    # The key.
    KEY_ACCEPTED = (_OK, "accepted, also to start and to cancel syncs", "")
    KEY_READ_ONLY = (
        _OK,
        "accepted, but only to look",
        "To start, cancel or redeliver, use a key that is not read-only",
    )
    KEY_UNUSABLE = (_FAULT, "{detail}", "Set {setting} to one of the API's keys; on one machine: $(cat .local/api-key)")
    KEY_REFUSED = (
        _FAULT,
        "refused: {detail}",
        "Compare {setting} with API_KEYS of the deployment; on one machine with .local/api-key",
    )

    # Where syncs are kept.
    STORE_READY = (_OK, "a sync could be stored now", "")
    STORE_AWAY = (
        _FAULT,
        "no sync can be stored now: {detail}",
        "Check the API server, the CustomResourceDefinition, the rights and quotas; on one machine PostgreSQL",
    )

    # What syncs have seen, by their reason. The first words of a cure are those of docs/causes.md.
    SEEN_WORKING = (_OK, "worked {age} ago, in {sync_id}", "")
    LOGIN_FAILED = (
        _FAULT,
        _SEEN_FAILING,
        "Check ATTIC_TECH_EMAIL and ATTIC_TECH_PASSWORD where syncs read them: their Secret, or .env",
    )
    SOURCE_UNAVAILABLE = (
        _FAULT,
        _SEEN_FAILING,
        "Check ATTIC_TECH_URL and the network, then start a new sync",
    )
    SOURCE_INVALID = (
        _FAULT,
        _SEEN_FAILING,
        "Check ATTIC_TECH_URL",
    )
    DATABASE_UNAVAILABLE = (
        _FAULT,
        _SEEN_FAILING,
        "Check DATABASE_URL and the server, then start a new sync",
    )
    DATABASE_REFUSED = (
        _FAULT,
        _SEEN_FAILING,
        "Check the login, its rights and the schema",
    )
    SECRET_MISSING = (
        _FAULT,
        _SEEN_FAILING,
        "Create it and the sync goes on",
    )
    CONFIGURATION_INVALID = (
        _FAULT,
        _SEEN_FAILING,
        "The log names each of them: estimatesync logs {sync_id}",
    )
    NO_EVIDENCE = (
        _UNKNOWN,
        "no recent sync has got far enough to tell",
        "Run one: estimatesync start --wait; or let doctor try the settings itself: --env-file .env",
    )
    NOT_TRIED = (_UNKNOWN, "not tried: {detail}", "")
    CONTRADICTED = (
        _UNKNOWN,
        "{tried}; but syncs say: {seen}",
        "If that was before a correction, start a sync; if not, give syncs the settings that were tried here",
    )

    # Attic Tech, asked from here.
    SOURCE_READY = (_OK, "{host} accepts the login and lists {count} estimates", "")
    SOURCE_DENIES_LOGIN = (
        _FAULT,
        "{host} refuses the login: {detail}",
        "Check ATTIC_TECH_EMAIL and ATTIC_TECH_PASSWORD",
    )
    SOURCE_DENIES_LIST = (
        _FAULT,
        "{host} accepts the login but does not let it list estimates (HTTP {detail})",
        "Give the account of ATTIC_TECH_EMAIL access to job-estimates",
    )
    SOURCE_STRANGE = (_FAULT, "{host} answers with something else than Attic Tech's API ({detail})", "Check {setting}")

    # PostgreSQL, asked from here.
    DATABASE_READY = (_OK, "{detail}", "")
    DATABASE_URL_UNUSABLE = (
        _FAULT,
        "DATABASE_URL is not a connection URL",
        "Write postgresql://user:password@host/name",
    )
    DATABASE_AWAY = (_FAULT, "no connection: {detail}", "Check DATABASE_URL and the server")
    DATABASE_READ_ONLY = (_FAULT, "the database is read-only", "Let DATABASE_URL name the primary server")
    DATABASE_CANNOT_CREATE = (
        _FAULT,
        "there is no schema {schema}, and {user} may not create it",
        "GRANT CREATE ON DATABASE {database} TO {user}, or create the schema for it",
    )
    DATABASE_CANNOT_WRITE = (
        _FAULT,
        "{user} may not work in the schema {schema}",
        "GRANT USAGE, CREATE ON SCHEMA {schema} TO {user}",
    )
    NO_DRIVER = (
        _UNKNOWN,
        "DATABASE_URL is set, but the driver is not installed",
        "pip install 'estimatesync[sync]', to let doctor try it",
    )

    # The webhook, seen from here and by the operator.
    TARGET_READY = (_OK, "{host} is a public address and speaks TLS; nothing was posted", "")
    TARGET_READY_HERE = (_OK, "{host} can be reached; nothing was posted", "")
    TARGET_UNUSABLE = (_FAULT, "{setting} {detail}", "Copy the webhook's address from Make.com again")
    TARGET_PRIVATE = (
        _FAULT,
        "{host} leads to {detail}, which is not public: callbacks to it are refused",
        "Use a public address, or set CALLBACK_ALLOW_PRIVATE_TARGETS=true",
    )
    DELIVERED = (_OK, "delivered {age} ago, for {sync_id}", "")
    CALLBACK_GONE = (
        _FAULT,
        "the webhook is gone (HTTP 410), {age} ago for {sync_id}",
        "Make a new webhook, set MAKE_SYNC_CALLBACK_WEBHOOK_URL, then: estimatesync redeliver {sync_id}",
    )
    CALLBACK_FAILED = (
        _FAULT,
        "given up {age} ago for {sync_id}: {detail}",
        "Correct what it says, then: estimatesync redeliver {sync_id}",
    )
    CALLBACK_RETRYING = (
        _FAULT,
        "not delivered yet after {attempts} for {sync_id}: {detail}",
        "Correct what it says; it is tried again by itself",
    )
    CALLBACK_DISABLED = (
        _UNKNOWN,
        "none is configured: nobody is told how a sync ended",
        "Set MAKE_SYNC_CALLBACK_WEBHOOK_URL if Make.com shall be told",
    )

    def __init__(self, verdict: Verdict, happened: str, cure: str) -> None:
        self.verdict = verdict
        self.happened = happened
        self.cure = cure


def build_finding(check: Check, diagnosis: Diagnosis, **details: Any) -> Finding:  # noqa: ANN401 - whatever can be shown
    """Fill in a row of the table."""
    return Finding(
        check=check,
        verdict=diagnosis.verdict,
        cause=diagnosis.happened.format(**details),
        cure=diagnosis.cure.format(**details),
    )
