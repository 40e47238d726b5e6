"""What can be wrong, as `doctor` and the error messages say it: one table of diagnoses, each with its cure.

In a text, `{setting}` is the variable to check and `{host}` the server that was asked; other `{…}` are details of the
single case.
"""

from enum import Enum, StrEnum
from typing import Any, Final

import msgspec
from estimatesync_contract.connection_faults import ConnectionFault

KEY_PLACE: Final = "api-key in the server's directory, which is .local in a checkout"
"""Where one machine keeps the key that it has generated."""


class Verdict(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    FAULT = "fault"
    UNKNOWN = "unknown"

    @property
    def sign(self) -> str:
        """One character for a terminal."""
        return {"ok": "✔", "fault": "✘", "unknown": "?"}[self.value]


class Check(StrEnum):
    """What `doctor` checks, in this order; each check depends at most on those before it."""

    SERVER = "server"
    STORAGE = "storage"
    KEY = "API key"
    SOURCE = "source login"
    DATABASE = "database"
    CALLBACK = "callback"
    SUCCESS = "last success"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check has found; the fields are those of `doctor --output json`."""

    check: Check
    verdict: Verdict
    cause: str
    cure: str


_OK, _FAULT, _UNKNOWN = Verdict.OK, Verdict.FAULT, Verdict.UNKNOWN


class Diagnosis(Enum):
    """Verdict, what happened, and what to do about it."""

    # Any connection: the server, Attic Tech and the webhook fail in the same ways.
    NAME_UNKNOWN = (
        _FAULT,
        ConnectionFault.NAME_UNKNOWN.with_host,
        "Check {setting}, and the network or VPN of this machine",
    )
    NOTHING_LISTENS = (
        _FAULT,
        ConnectionFault.NOTHING_LISTENS.with_host,
        "Check host and port in {setting}, and that the service is running",
    )
    OUT_OF_REACH = (
        _FAULT,
        ConnectionFault.OUT_OF_REACH.with_host,
        "Check {setting}, and any firewall, VPN or proxy in between",
    )
    NO_ANSWER = (
        _FAULT,
        ConnectionFault.NO_ANSWER.with_host,
        "Try again; if it keeps happening, check the service's log",
    )
    CERTIFICATE_EXPIRED = (
        _FAULT,
        ConnectionFault.CERTIFICATE_EXPIRED.with_host,
        "Have the certificate renewed; if it is valid, correct the clock of this machine",
    )
    MISNAMED = (
        _FAULT,
        ConnectionFault.MISNAMED.with_host,
        "Correct the host in {setting}, or the certificate",
    )
    UNTRUSTED = (
        _FAULT,
        ConnectionFault.UNTRUSTED.with_host,
        "Fix the certificate, or set SSL_CERT_FILE to a file with your own certificate authority",
    )
    NO_TLS = (
        _FAULT,
        ConnectionFault.NO_TLS.with_host,
        "Check the port in {setting}; without TLS, the URL begins with http://",
    )
    RESET = (
        _FAULT,
        ConnectionFault.RESET.with_host,
        "Check {setting}, and what stands in between; then try again",
    )
    NO_HTTP = (
        _FAULT,
        ConnectionFault.NO_HTTP.with_host,
        "Check the port in {setting}, and whether the URL must begin with https://",
    )
    PROXY_REFUSES = (
        _FAULT,
        ConnectionFault.PROXY_REFUSES.with_host,
        "Let the proxy connect there, or correct user and password in HTTPS_PROXY or HTTP_PROXY",
    )
    BROKEN = (_FAULT, ConnectionFault.BROKEN.with_host, "Check {setting} and the network, then try again")

    # The server.
    SERVER_ANSWERS = (_OK, "{host} answered in {milliseconds} ms", "")
    SERVER_UNENCRYPTED = (
        _UNKNOWN,
        "{host} answers, but without TLS: the key can be read on the network",
        "Put a TLS proxy in front of it, and let {setting} begin with https://",
    )
    URL_UNUSABLE = (_FAULT, "{detail}", "Set {setting} to a URL such as https://example.com")
    REDIRECTED = (
        _FAULT,
        "{host} redirects to {detail}",
        "Set {setting} to that address; the key is never sent to the target of a redirect",
    )
    NOT_ESTIMATESYNC = (
        _FAULT,
        "what answers at {host} is not an EstimateSync API ({detail})",
        "Check {setting}: host, port, and path if a proxy adds one",
    )
    BUSY = (_FAULT, "the server cannot answer now: {detail}", "Try again{later}; `estimatesync doctor` may show why")
    INTERNAL_ERROR = (_FAULT, "the server met an internal error: {detail}", "Check the log of the API")

    # The key.
    KEY_ACCEPTED = (_OK, "accepted, also to start and cancel syncs", "")
    KEY_READ_ONLY = (
        _OK,
        "accepted, but read-only",
        "To start, cancel or redeliver, use a key that is not read-only",
    )
    KEY_UNUSABLE = (_FAULT, "{detail}", f"Set {{setting}} to one of the API's keys; on one machine: {KEY_PLACE}")
    KEY_REFUSED = (
        _FAULT,
        "refused: {detail}",
        f"Compare {{setting}} with API_KEYS of the deployment; on one machine with {KEY_PLACE}",
    )

    # Where syncs are kept.
    STORE_READY = (_OK, "a sync could be stored now", "")
    READINESS_NOT_PUBLISHED = (
        _UNKNOWN,
        "not known from here: this address does not publish /readyz",
        "Ask the API without the proxy, on Kubernetes through kubectl port-forward to its Service; or start a sync",
    )
    STORE_UNAVAILABLE = (
        _FAULT,
        "no sync can be stored now: {detail}",
        "{cure}",
    )

    # What recent syncs show. How to cure a failed one is in the contract's table of causes.
    SEEN_WORKING = (_OK, "worked {age} ago, in {sync_id}", "")
    SEEN_SHOWING_LESS = (
        _OK,
        "worked {age} ago, in {sync_id}; of some estimates, Attic Tech does not show {fields}",
        "Unless what they refer to has been deleted, let the account of ATTIC_TECH_EMAIL read it",
    )
    SEEN_FAILING = (_FAULT, "{detail}, {age} ago in {sync_id}", "{cure}")
    NO_EVIDENCE = (
        _UNKNOWN,
        "its settings are not known here, and no recent sync got far enough to tell",
        "Start one: estimatesync start --wait; or give doctor the settings to try: --env-file .env",
    )
    NOT_TRIED = (_UNKNOWN, "not asked, because {detail}", "")
    CONTRADICTED = (
        _UNKNOWN,
        "{tried}; but syncs say: {seen}",
        "If you have fixed something since, start a sync; if not, give syncs the settings that were tried here",
    )

    # Attic Tech, asked from here.
    PROXY_UNUSABLE = (_FAULT, "{detail}", "Correct that variable where the sync program runs, and here")
    SOURCE_READY = (_OK, "{host} accepts the login and lists {count} estimates", "")
    SOURCE_DENIES_LOGIN = (
        _FAULT,
        "{host} refuses the login: {detail}",
        "Check ATTIC_TECH_EMAIL and ATTIC_TECH_PASSWORD",
    )
    SOURCE_REFUSED_BEFORE = (
        _FAULT,
        "{detail}, at {moment} of a sync; not tried again, because a few wrong passwords lock the account",
        "Correct ATTIC_TECH_EMAIL or ATTIC_TECH_PASSWORD; if both are right, change SYNC_LOGIN_RETRY, to any text",
    )
    SOURCE_DENIES_LIST = (
        _FAULT,
        "{host} accepts the login but does not let it list estimates (HTTP {detail})",
        "Give the account of ATTIC_TECH_EMAIL access to job-estimates",
    )
    SOURCE_SHOWS_LESS = (
        _FAULT,
        "{host} lists estimates but shows their {fields} only as ids, or not at all",
        "Let the account of ATTIC_TECH_EMAIL read what these fields lead to",
    )
    SOURCE_SHIELDED = (
        _FAULT,
        "something in front of {host} answers in its place, without JSON ({detail})",
        "Let this machine, and where syncs run, pass the firewall, bot check or sign-in page; or check {setting}",
    )
    NOT_ATTIC_TECH = (_FAULT, "what answers at {host} is not Attic Tech's API ({detail})", "Check {setting}")

    # PostgreSQL, asked from here.
    DATABASE_READY = (_OK, "{detail}", "")
    DATABASE_URL_UNUSABLE = (
        _FAULT,
        "DATABASE_URL {detail}",
        "Set it to a URL such as postgresql://user:password@host/name",
    )
    DATABASE_UNAVAILABLE = (_FAULT, "no connection: {detail}", "{cure}")
    DATABASE_READ_ONLY = (_FAULT, "the database is read-only", "Set DATABASE_URL to the primary server")
    DATABASE_ENCODING = (
        _UNKNOWN,
        "the encoding of {database}, {encoding}, cannot hold every text: estimates with other characters are skipped",
        "Move to a database with ENCODING 'UTF8' TEMPLATE template0",
    )
    DATABASE_ENCODING_REFUSED = (
        _FAULT,
        "the encoding of {database}, {encoding}, cannot hold every text, and no new tables are made in it",
        "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and name it in DATABASE_URL",
    )
    DATABASE_VIEW = (
        _FAULT,
        "in the schema {schema}, where a sync needs tables, there are views: {views}",
        "Rename them, or choose another DATABASE_SCHEMA",
    )
    DATABASE_HIDES_ROWS = (
        _FAULT,
        "row-level security may hide rows of the schema {schema} from {user}: {hidden}",
        "Give {user} a policy FOR ALL USING (true), or ALTER ROLE {user} BYPASSRLS",
    )
    DATABASE_CANNOT_CREATE = (
        _FAULT,
        "there is no schema {schema}, and {user} may not create it",
        "GRANT CREATE ON DATABASE {database} TO {user}, or create the schema for it",
    )
    DATABASE_CANNOT_WRITE = (
        _FAULT,
        "{user} may not write to the schema {schema}",
        "GRANT USAGE, CREATE ON SCHEMA {schema} TO {user}",
    )
    NO_DRIVER = (
        _UNKNOWN,
        "DATABASE_URL is set, but the driver is not installed",
        "Install it to let doctor try: pip install 'estimatesync[sync]'",
    )

    # The webhook, tried from here, and as the operator found it.
    TARGET_READY = (_OK, "{host} is a public address and speaks TLS; nothing was posted", "")
    TARGET_READY_HERE = (_OK, "{host} can be reached; nothing was posted", "")
    TARGET_UNUSABLE = (_FAULT, "{detail}", "Copy the webhook's address from Make.com into {setting} again")
    TARGET_PRIVATE = (
        _FAULT,
        "{host} leads to {address}, which is not public: it {detail}",
        "The operator sends no callbacks there: check {setting}, or set CALLBACK_ALLOW_PRIVATE_TARGETS=true",
    )
    TARGET_REFUSED = (
        _FAULT,
        "{host} leads to {address}, which is not public: it {detail}",
        "The operator sends no callbacks there: set {setting} to a webhook with a public address",
    )
    DELIVERED = (_OK, "delivered {age} ago, for {sync_id}", "")
    CALLBACK_GONE = (
        _FAULT,
        "the webhook is gone (HTTP 410), {age} ago for {sync_id}",
        "Create a new webhook, set MAKE_SYNC_CALLBACK_WEBHOOK_URL, then: estimatesync redeliver {sync_id}",
    )
    CALLBACK_FAILED = (
        _FAULT,
        "not delivered for {sync_id}, and not tried any more since {age} ago: {detail}",
        "Fix what it says, then: estimatesync redeliver {sync_id}",
    )
    CALLBACK_RETRYING = (
        _FAULT,
        "not delivered yet after {attempts} for {sync_id}: {detail}",
        "Fix what it says; it is retried automatically",
    )
    CALLBACK_DISABLED = (
        _UNKNOWN,
        "none is configured: syncs end without a callback",
        (
            "If Make.com should get one, set callback.existingSecret and run helm upgrade, or set "
            "MAKE_SYNC_CALLBACK_WEBHOOK_URL in .env and start again"
        ),
    )

    # Whether there has been silence.
    SUCCEEDED_LATELY = (_OK, "{age} ago, in {sync_id}", "")
    SUCCEEDED_LONG_AGO = (
        _FAULT,
        "{age} ago, in {sync_id}: what is stored is as old as that",
        "Check that the scenario in Make.com, or the schedule, is switched on; what came since: estimatesync list",
    )
    NEVER_SUCCEEDED = (_UNKNOWN, "no sync has succeeded yet", "Start one: estimatesync start --wait")
    NOT_SUCCEEDED_FOR_LONG = (
        _FAULT,
        "no sync has succeeded since {sync_id} was requested, {age} ago",
        "Look why: estimatesync list; then start one: estimatesync start --wait",
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
