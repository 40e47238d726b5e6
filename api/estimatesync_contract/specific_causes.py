"""What a reason means in the single case, with the one cure that fits: the finer rows below the table of causes.

`status.cause` names a row. The sync program, the status page in each language, the API, `doctor` and docs/causes.md use
it. What happened completes a sentence, such as `PostgreSQL is not available: …`; Attic Tech or the database is "it".
"""

from collections.abc import Mapping
from enum import Enum, unique
from typing import Final

from estimatesync_contract.causes import CAUSES
from estimatesync_contract.connection_faults import ConnectionFault
from estimatesync_contract.job_environment import DATABASE_URL

_SEE_TLS: Final = "Check the port in ATTIC_TECH_URL, and whether the URL must begin with http:// or https://"
_CORRECT_SOURCE: Final = "Correct ATTIC_TECH_URL"
_CORRECT_DATABASE: Final = "Correct {variable}"


@unique
class SpecificCause(Enum):
    """What happened, what to do, and what happened without its details; `{variable}` has the URL of the database."""

    # The connection to Attic Tech.
    SOURCE_NAME_UNKNOWN = (
        ConnectionFault.NAME_UNKNOWN.with_host,
        "Check the host in ATTIC_TECH_URL, and the DNS where syncs run",
        ConnectionFault.NAME_UNKNOWN.without_host,
    )
    SOURCE_NOT_LISTENING = (
        ConnectionFault.NOTHING_LISTENS.with_host,
        "Check host and port in ATTIC_TECH_URL, and that Attic Tech is running",
        ConnectionFault.NOTHING_LISTENS.without_host,
    )
    SOURCE_OUT_OF_REACH = (
        ConnectionFault.OUT_OF_REACH.with_host,
        "Check host and port in ATTIC_TECH_URL, and any firewall, network policy or proxy between syncs and Attic Tech",
        ConnectionFault.OUT_OF_REACH.without_host,
    )
    SOURCE_TOO_SLOW = (
        ConnectionFault.NO_ANSWER.with_host,
        "See why Attic Tech is slow; asking for fewer estimates a page (pageSize) may help",
        ConnectionFault.NO_ANSWER.without_host,
    )
    SOURCE_CERTIFICATE_EXPIRED = (
        ConnectionFault.CERTIFICATE_EXPIRED.with_host,
        "Have the certificate renewed; if it is valid, correct the clock where syncs run",
        "its certificate is not valid now",
    )
    SOURCE_CERTIFICATE_MISNAMED = (
        ConnectionFault.MISNAMED.with_host,
        "Correct the host in ATTIC_TECH_URL, or the certificate",
        ConnectionFault.MISNAMED.without_host,
    )
    SOURCE_CERTIFICATE_UNTRUSTED = (
        ConnectionFault.UNTRUSTED.with_host,
        "Trust its authority: network.caConfigMap in the chart, SSL_CERT_FILE elsewhere",
        "its certificate is not trusted",
    )
    SOURCE_WITHOUT_TLS = (ConnectionFault.NO_TLS.with_host, _SEE_TLS, "it does not speak TLS")
    SOURCE_RESETS = (
        ConnectionFault.RESET.with_host,
        "See what stands in front of Attic Tech, and whether the URL in ATTIC_TECH_URL must begin with https://",
        ConnectionFault.RESET.without_host,
    )
    SOURCE_WITHOUT_HTTP = (
        ConnectionFault.NO_HTTP.with_host,
        _SEE_TLS,
        "it closed the connection without an answer",
    )
    SOURCE_CONNECTION_FAILED = (
        ConnectionFault.BROKEN.with_host,
        "Check ATTIC_TECH_URL and the network",
        "the connection to it failed",
    )
    PROXY_AWAY = (
        "the proxy in front of it cannot be used: {why}",
        "Check HTTPS_PROXY or HTTP_PROXY where syncs run, and that the proxy is running",
        "the proxy in front of it cannot be reached",
    )
    PROXY_REFUSES = (
        ConnectionFault.PROXY_REFUSES.with_host,
        "Let the proxy connect to Attic Tech, or correct user and password in HTTPS_PROXY or HTTP_PROXY",
        "the proxy in front of it refuses the connection",
    )

    # What Attic Tech answers, or what stands in front of it.
    SOURCE_BUSY = (
        "it takes no more requests now (HTTP 429)",
        "Wait, or have its limit raised; syncs of fewer days at once, or with a lower concurrency, ask for less",
    )
    SOURCE_FAILING = (
        "it answers with an error (HTTP {status})",
        "See the log of Attic Tech, then start a new sync",
        "it answers with an error",
    )
    SOURCE_SHIELDED = (
        "something in front of it answers in its place, without JSON",
        "Let syncs pass the firewall, bot check or sign-in page in front of Attic Tech, or correct ATTIC_TECH_URL",
    )
    SOURCE_CUT_SHORT = (
        "the answer is cut short or malformed JSON",
        "See what stands in front of Attic Tech, and its log",
    )
    SOURCE_REDIRECTS = ("it redirects to another address", "Set ATTIC_TECH_URL to that address")
    SOURCE_NOT_FOUND = ("there is no Attic Tech API at this address", _CORRECT_SOURCE)
    SOURCE_LATE = (
        "by the time it may be asked again the sync must have ended",
        "Raise timeoutSeconds, or sync again later",
    )
    LIST_REFUSED = (
        "it accepts the login, and does not let it list estimates",
        "Give the account of ATTIC_TECH_EMAIL access to job-estimates",
    )
    REQUEST_REFUSED = (
        "it refuses the request (HTTP {status})",
        "See what it answers, in the log of the sync, and the log of Attic Tech; its API may have changed",
        "it refuses the request",
    )
    LIST_NOT_CONTINUED = (
        "it does not continue a listing below an id",
        "Let job-estimates be filtered by where[id][less_than]: see the hooks and access rules of Attic Tech there",
    )
    TOKEN_REFUSED = (
        "it accepts the login, and refuses the token that it has given out",
        (
            "Let what stands in front of Attic Tech pass the header Authorization on, and all servers of Attic Tech"
            " have the same secret"
        ),
    )
    TOKENS_EXPIRE = (
        "each token had expired before it was used, or was refused",
        "See what else logs in as ATTIC_TECH_EMAIL",
    )
    TOKEN_MISSING = ("its answer to the login holds no token", "Check ATTIC_TECH_URL, and what answers in front of it")
    TOKEN_IN_COOKIE = (
        "it gives its token only as a cookie",
        "Let the login's answer contain it, too: in Payload, without auth.removeTokenFromResponses",
    )
    ACCOUNT_LOCKED = (
        "it has locked the account after wrong passwords",
        "Wait until the lock ends, or unlock the account of ATTIC_TECH_EMAIL in Attic Tech; check ATTIC_TECH_PASSWORD",
    )
    CREDENTIALS_REFUSED_BEFORE = (
        "it has refused these credentials before, and they are not tried again",
        "Correct ATTIC_TECH_EMAIL or ATTIC_TECH_PASSWORD; if both are right, change SYNC_LOGIN_RETRY, to any text",
    )
    ANSWER_TOO_LARGE = (
        "it sent an answer that is too large",
        "Ask for fewer estimates a page (pageSize), or raise SYNC_MAX_PAGE_MEGABYTES and the memory",
    )

    ANSWER_REPACKED = (
        "it packs its answers in a way that was not asked for",
        "Let what stands in front of Attic Tech respect the header Accept-Encoding",
    )

    # The connection to the database.
    DATABASE_UNREACHABLE = ("it cannot be reached", "Check that it runs, and the host and port in {variable}")
    DATABASE_NAME_UNKNOWN = ("its host has no address", "Check the host in {variable}, and the DNS")
    DATABASE_PASSWORD_WRONG = ("it refuses the user or password", _CORRECT_DATABASE)
    DATABASE_MISSING = (
        "the database in {variable} does not exist",
        "Create it, or correct {variable}",
    )
    DATABASE_USER_UNKNOWN = (
        "the user in {variable} does not exist or may not log in",
        "Create it, grant LOGIN, or correct {variable}",
    )
    DATABASE_HOST_NOT_ADMITTED = (
        "it does not admit this user from this host, or only with TLS",
        "Correct pg_hba.conf or sslmode",
    )
    DATABASE_CLOSED = (
        "the database in {variable} accepts no connections",
        "Let it (ALTER DATABASE … ALLOW_CONNECTIONS)",
    )
    DATABASE_CERTIFICATE_UNTRUSTED = (
        "its certificate is not from an authority that is trusted here, or one of the two has expired",
        "Trust that authority as it is now: network.caConfigMap in the chart, sslrootcert in {variable} elsewhere",
    )
    DATABASE_CERTIFICATE_MISNAMED = (
        "its certificate is for another host name",
        "Correct the host in {variable}, or the certificate",
    )
    DATABASE_AUTHORITY_MISSING = (
        "the file of authorities to check its certificate against is missing",
        "Correct sslrootcert in {variable} (sslrootcert=system: the system's own)",
    )
    NOT_POSTGRESQL = ("what answers there is not PostgreSQL", "Correct host and port in {variable}")
    DATABASE_TLS_FAILED = ("TLS with it fails", "Correct sslmode and the certificates that {variable} names")
    DATABASE_STATE_OTHER = (
        "no server in {variable} has the state that target_session_attrs asks for",
        "Name a server that has, or correct target_session_attrs in {variable}",
    )
    DATABASE_PARAMETER_REFUSED = ("it refuses a parameter that {variable} passes on, such as options", "Correct it")
    DATABASE_PARAMETER_UNUSABLE = (
        "{parameters} cannot be used as it is",
        _CORRECT_DATABASE,
        "a parameter in {variable} cannot be used as it is",
    )
    DATABASE_URL_UNUSABLE = (
        "{variable} is not a connection URL that can be used",
        "Write it as postgresql://user:password@host:5432/name",
    )
    DATABASE_NOT_LET_THROUGH = (
        "it answers, but does not let the connection through",
        "Check user, password and database in {variable}",
    )
    DATABASE_BUSY = ("it has no free connection", "End idle sessions, or raise max_connections or the pool's size")
    DATABASE_STOPPING = ("it is starting, stopping or recovering", "Wait until it accepts connections")
    DATABASE_BROKE = ("the connection broke, or the server failed", "See the log of the database server")
    DATABASE_TOO_SLOW = (
        "it does not answer in time",
        "See whether its server is overloaded, and what its sessions wait for",
    )
    DATABASE_SILENT = (
        "it took the work and never answered",
        "See what the server is waiting for",
    )

    # A pooler in front of it.
    POOLER_TENANT_UNKNOWN = (
        "its pooler knows no such user, project or database",
        (
            "Write the user in {variable} as the pooler wants it, often with the project's name after a dot, and"
            " its host and port"
        ),
    )
    POOLER_LOGIN_FAILED = (
        "its pooler cannot log in to the server behind it",
        "Correct the pooler's settings",
    )
    POOLER_EXHAUSTED = (
        "its pooler has no connection to the server behind it, or none that is free",
        "See whether that server runs, and the pooler's log and pool size",
    )
    POOLER_CLOSED = (
        "its pooler lets nobody in to the database in {variable} at present",
        "Enable or resume it there",
    )
    POOLER_LIMIT = (
        "its pooler has ended the connection after a time that is shorter than a sync",
        "Raise its query_timeout, idle_transaction_timeout or client_idle_timeout",
    )
    POOLER_OF_STATEMENTS = ("its pooler has no transactions", "Give it pool_mode = transaction or session")
    POOLER_CONSOLE = (
        "{variable} leads to the console of a pooler, not to a database",
        "Name the database of the estimates",
    )

    # The work in the database.
    RIGHT_MISSING = ("the user in {variable} lacks a right", "Grant it")
    SCHEMA_FOREIGN = (
        "the tables in schema {schema} are not this program's",
        "Choose another DATABASE_SCHEMA",
        "the tables in its schema are not this program's",
    )
    POLICY_REFUSES = (
        "a policy of row-level security, or a view's check, refuses a row",
        "Give the user in {variable} a policy FOR ALL USING (true), or BYPASSRLS",
    )
    TRIGGER_REFUSES = (
        "a trigger of the tables in schema {schema} refuses",
        "Correct or remove it",
        "a trigger of its tables refuses",
    )
    ENCODING_LACKS_TEXT = (
        "the encoding of the database cannot hold a text",
        "Move to a database with ENCODING 'UTF8' TEMPLATE template0",
    )
    ENCODING_INCOMPLETE = (
        "the encoding of the database, {encoding}, cannot hold every text, and no new tables are made in it",
        "Create one with ENCODING 'UTF8' TEMPLATE template0, and name it in {variable}",
        "the encoding of the database cannot hold every text, and no new tables are made in it",
    )
    DATABASE_REFUSES_WORK = ("it refuses the work", "See what it says, and the log of its server")
    DATABASE_READ_ONLY = ("it is read-only", "Let {variable} name the primary server")
    DATABASE_CONTENDED = (
        "another session was in the way",
        "See which session holds the tables (pg_stat_activity)",
    )
    DATABASE_FULL = ("it lacks disk space or memory", "Give its server more, or free some")
    VIEW_IN_PLACE = (
        "{table} in schema {schema} is a view, not a table",
        "Rename it, or choose another DATABASE_SCHEMA",
        "where a table should be there is a view",
    )
    ROWS_HIDDEN = (
        "row-level security may hide rows of {table} in schema {schema} from the user in {variable}",
        "Give this user a policy FOR ALL USING (true), or BYPASSRLS",
        "row-level security may hide rows from the user in {variable}",
    )
    ROWS_KEPT_OUT = (
        (
            "{count} of the estimates or names are not in the tables as they were written: a trigger, a rule or a view"
            " in schema {schema} keeps them out"
        ),
        "Remove it",
        "rows are not in the tables as they were written: a trigger, a rule or a view keeps them out",
    )

    # The API server, where syncs are kept on a cluster.
    API_SERVER_UNREACHABLE = (
        "the API server does not answer",
        "Check that it runs, and the network and the network policies between it and the API of EstimateSync",
    )
    API_SERVER_REFUSES = (
        "the API server refuses",
        (
            "Check the CustomResourceDefinition, the rights of the API's service account and the quotas of the"
            " namespace; the log of the API quotes what it says"
        ),
    )
    API_SERVER_BUSY = (
        "the API server cannot take it now",
        "Wait a little; if it lasts, see the log and the load of the API server",
    )
    SYNC_UNSTORABLE = (
        "the cluster refuses what a sync looks like",
        (
            "Apply the CustomResourceDefinition of this version, and check the admission webhooks and policies; the log"
            " of the API quotes what they say"
        ),
    )
    LIST_OUTDATED = (
        "the list of syncs is not known now, because the watch on the API server is cut",
        "Check the network between the API server and the API of EstimateSync, and the rights of its service account",
    )

    def __init__(self, happened: str, cure: str, general: str = "") -> None:
        self._happened = happened
        self._cure = cure
        self._general = general

    @property
    def code(self) -> str:
        """As a status has it, such as `SchemaForeign`."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    @property
    def summary(self) -> str:
        """What happened, as it can be said without the details."""
        return (self._general or self._happened).format(variable=DATABASE_URL)

    @property
    def cure(self) -> str:
        """What to do where a sync has met it."""
        return self.format_cure()

    def format_happened(self, **details: object) -> str:
        """Say what happened, with the details of the single case."""
        return self._happened.format(**{"variable": DATABASE_URL, **details})

    def format_cure(self, *, variable: str = DATABASE_URL) -> str:
        """Say what to do, where another variable has the URL of the database."""
        return self._cure.format(variable=variable)


_IN_ORDER: Final = tuple(SpecificCause)
SOURCE_CAUSES: Final = frozenset(_IN_ORDER[: _IN_ORDER.index(SpecificCause.DATABASE_UNREACHABLE)])
"""All that are about Attic Tech."""
CLUSTER_CAUSES: Final = frozenset(_IN_ORDER[_IN_ORDER.index(SpecificCause.API_SERVER_UNREACHABLE) :])
"""All that are about where syncs are kept on a cluster; the rest is about the database."""

_BY_CODE: Final[Mapping[str, SpecificCause]] = {each.code: each for each in SpecificCause}
_CURES: Final[Mapping[str, str]] = {cause.reason: cause.cure for cause in CAUSES}


def find_specific_cause(code: str | None) -> SpecificCause | None:
    """Find a row by its code; None for one that only another version knows."""
    return _BY_CODE.get(code or "")


def find_cure(reason: str | None, code: str | None) -> str:
    """Say what to do: exactly where the single case is known, else by its reason; blank where nothing is to be done."""
    specific = find_specific_cause(code)
    return specific.cure if specific else _CURES.get(reason or "", "")
