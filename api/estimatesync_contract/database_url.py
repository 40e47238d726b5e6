"""Whether DATABASE_URL can be used, decided before libpq sees it: libpq's own words would quote what it stumbles over.

What libpq reads: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS. It looks for the end
of the password at the first `@` or `/`, so that one that holds such a character becomes, in part, a host, a port or a
name, which every error about a connection repeats. A fault therefore names the part and how to write it, and never its
value: of what was written it quotes only words that are in the tables below.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import chain
from typing import Final
from urllib.parse import unquote

import msgspec

_WRITTEN: Final = "write @ as %40, / as %2F, ? as %3F, # as %23 and % as %25"
_WRITTEN_THERE: Final = "write = as %3D, & as %26, % as %25 and a blank as %20"
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_HOST: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:/?,\[]*)(?::(?P<port>[^/?,]*))?")
_PORT_MAX: Final = 65_535
_LABEL_MAX: Final = 63

ONLY_IN_THE_URL: Final = frozenset({
    *("host", "hostaddr", "port", "dbname", "user", "password", "passfile", "service"),
    *("sslpassword", "sslkeylogfile", "scram_client_key", "scram_server_key", "oauth_client_id", "oauth_client_secret"),
})  # fmt: skip
"""What must not be among the parameters that are added to a URL: where the database is, who asks, and secrets."""

LIBPQ_PARAMETERS: Final = frozenset({
    *("service", "user", "password", "passfile", "channel_binding", "connect_timeout", "dbname", "host", "hostaddr"),
    *("port", "client_encoding", "options", "application_name", "fallback_application_name", "keepalives"),
    *("keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "sslmode", "sslnegotiation"),
    *("sslcompression", "sslcert", "sslkey", "sslcertmode", "sslpassword", "sslrootcert", "sslcrl", "sslcrldir"),
    *("sslsni", "requirepeer", "require_auth", "min_protocol_version", "max_protocol_version"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "gssencmode", "krbsrvname", "gsslib", "gssdelegation"),
    *("replication", "target_session_attrs", "load_balance_hosts", "scram_client_key", "scram_server_key"),
    *("oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope", "sslkeylogfile"),
})  # fmt: skip
"""What may follow the `?`; a test compares it with the libpq that is installed."""

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "sslnegotiation": ("postgres", "direct"),
    "sslcertmode": ("disable", "allow", "require"),
    "load_balance_hosts": ("disable", "random"),
}
_NUMBERS: Final = (
    *("connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    "tcp_user_timeout",
)
_STRICT: Final = "verify-full"

_REMOVE: Final = "remove it"
_SCHEMA: Final = "set DATABASE_SCHEMA instead"
_ENCODING: Final = "remove it: a sync always speaks UTF-8"
_TLS: Final = "write sslmode=require, or sslmode=verify-full to check the certificate"
_FOREIGN: Final[Mapping[str, tuple[str, str]]] = {
    "schema": ("Prisma's", _SCHEMA),
    "pgbouncer": ("Prisma's", "remove it: a sync works behind PgBouncer as it is"),
    **dict.fromkeys(("connection_limit", "pool_timeout", "socket_timeout", "single_use_connections"),
                    ("Prisma's", _REMOVE)),
    "statement_cache_size": ("Prisma's and asyncpg's", _REMOVE),
    **dict.fromkeys(("sslaccept", "sslidentity"), ("Prisma's", _TLS)),
    "currentSchema": ("JDBC's", _SCHEMA),
    **dict.fromkeys(("prepareThreshold", "ApplicationName", "reWriteBatchedInserts", "stringtype", "socketTimeout",
                     "loginTimeout", "tcpKeepAlive", "loggerLevel"), ("JDBC's", _REMOVE)),
    "connectTimeout": ("JDBC's", "write connect_timeout"),
    "targetServerType": ("JDBC's", "write target_session_attrs"),
    **dict.fromkeys(("sslfactory", "sslMode"), ("JDBC's", _TLS)),
    "ssl": ("node-postgres's", _TLS),
    "uselibpqcompat": ("node-postgres's", _REMOVE),
    "search_path": ("pgx's", _SCHEMA),
    **dict.fromkeys(("pool_max_conns", "pool_min_conns", "pool_max_conn_lifetime", "default_query_exec_mode",
                     "statement_cache_capacity"), ("pgx's", _REMOVE)),
    "binary_parameters": ("lib/pq's", _REMOVE),
    **dict.fromkeys(("prepared_statement_cache_size", "async_fallback", "command_timeout", "server_settings"),
                    ("asyncpg's", _REMOVE)),
    **dict.fromkeys(("pool", "pool_size", "prepared_statements", "checkout_timeout"), ("Rails'", _REMOVE)),
    **dict.fromkeys(("encoding", "charset"), ("another driver's", _ENCODING)),
    "supa": ("Supabase's integration's", _REMOVE),
    "conn_max_age": ("Django's", _REMOVE),
}  # fmt: skip
"""Parameters of other drivers: whose each is, and what to do."""


class _Parts(msgspec.Struct, frozen=True, kw_only=True):
    """A URL as libpq takes it apart, nothing decoded."""

    user: str
    password: str
    hosts: str
    name: str
    parameters: str
    has_login: bool


def check_database_url(text: str) -> str:
    """Return the URL as it is, if libpq can use it.

    Raises:
        ValueError: It cannot; the message completes `NAME …`, lists every fault, and repeats no value.
    """
    if not text.startswith(("postgresql://", "postgres://")):
        scheme = text.partition("://")[0]
        is_of_a_driver = re.fullmatch(r"jdbc:postgresql|postgres(ql)?\+[a-z0-9]+", scheme)
        also = ", without jdbc: before it or the name of a driver in it" if is_of_a_driver else ""
        raise ValueError(f"must start with postgresql://{also}")
    parts = _split(text.partition("://")[2])
    faults = list(_find_login_faults(parts)) or list(
        chain(_find_writing_faults(parts), _find_host_faults(parts), _find_parameter_faults(parts))
    )
    if faults:
        raise ValueError(f"cannot be used: {'; '.join(faults)}")
    return text


def check_parameters(text: str) -> str:
    """Return parameters as they are, if they may be added to a URL: `sslmode=verify-full&sslrootcert=system`.

    Raises:
        ValueError: They may not; the message completes `NAME …` and repeats no value.
    """
    faults = list(_find_parameter_faults(_split(f"?{text}")))
    faults += [f"{name} belongs in the URL" for name in _list_names(text) if name in ONLY_IN_THE_URL]
    if faults:
        raise ValueError(f"cannot be used: {'; '.join(faults)}")
    return text


def add_parameters(url: str, parameters: str) -> str:
    """Add parameters, both checked, to a URL; they take the place of its own of the same names.

    Raises:
        ValueError: They cannot be used together; the message completes `NAME …` and repeats no value.
    """
    if not parameters:
        return url
    # Not from the first `?` on, which may be one of the password.
    own = _split(url.partition("://")[2]).parameters
    place = url.removesuffix(own).removesuffix("?")
    added = set(_list_names(parameters))
    kept = [pair for pair in own.split("&") if pair and unquote(pair.partition("=")[0]) not in added]
    return check_database_url(f"{place}?{'&'.join([*kept, parameters])}")


def _list_names(parameters: str) -> list[str]:
    return [unquote(pair.partition("=")[0]) for pair in parameters.split("&") if pair]


def _split(rest: str) -> _Parts:
    login, at, after = rest.partition("@")
    if not at or "/" in login:
        login, after, at = "", rest, ""
    user, _, password = login.partition(":")
    place, _, parameters = after.partition("?")
    hosts, _, name = place.partition("/")
    return _Parts(user=user, password=password, hosts=hosts, name=name, parameters=parameters, has_login=bool(at))


def _find_login_faults(parts: _Parts) -> Iterator[str]:
    """Find what shows that the user or the password holds a character with a meaning; other parts are then unknown."""
    if "@" in parts.hosts:
        yield f"its user or password holds an @: {_WRITTEN}"
    elif "@" in parts.name and (not parts.has_login or "/" in parts.name):
        yield f"its user or password holds a /, or the name of its database an @: {_WRITTEN}"
    elif "@" in parts.parameters and not parts.has_login and not _has_ports(parts.hosts):
        yield f"its user or password holds a / and a ?: {_WRITTEN}"


def _has_ports(hosts: str) -> bool:
    found = [_HOST.fullmatch(place) for place in hosts.split(",")]
    return all(each and (not each["port"] or is_port(each["port"])) for each in found)


def _find_writing_faults(parts: _Parts) -> Iterator[str]:
    texts = {
        "user": parts.user,
        "password": parts.password,
        "host": parts.hosts,
        "database": parts.name,
    }
    for name, text in texts.items():
        if _BAD_PERCENT.search(text):
            yield f"its {name} holds a % that no two hexadecimal digits follow: {_WRITTEN}"
        if " " in text.strip(" "):
            yield f"its {name} holds a blank: write it as %20"


def _find_host_faults(parts: _Parts) -> Iterator[str]:
    for place in parts.hosts.split(","):
        found = _HOST.fullmatch(place)
        if found is None:
            yield f"its host is not readable; an IPv6 address stands in brackets, and in a password {_WRITTEN}"
            return
        if (port := found["port"]) and not is_port(port):
            yield f"its port must be a number from 1 to {_PORT_MAX}; if a password holds a / or an @, {_WRITTEN}"
        if not is_possible_host(unquote(found["host"].strip("[]"))):
            yield "it names a host that can have no address"


def is_port(text: str) -> bool:
    """Return whether a text is the number of a port."""
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) <= _PORT_MAX


def is_possible_host(host: str) -> bool:
    """Return whether a host could have an address; a path to a socket, and no host at all, need none."""
    if not host or host.startswith(("/", "@")) or ":" in host:
        return True
    try:
        labels = host.encode("idna").removesuffix(b".").split(b".")
    except UnicodeError:
        return False
    return all(0 < len(label) <= _LABEL_MAX for label in labels)


def _find_parameter_faults(parts: _Parts) -> Iterator[str]:
    values: dict[str, str] = {}
    pairs = parts.parameters.split("&") if parts.parameters else []
    if len(pairs) > 1 and not pairs[-1]:
        # libpq takes one & at the end.
        pairs.pop()
    for number, pair in enumerate(pairs, start=1):
        name, equals, value = pair.partition("=")
        if not equals or "=" in value or " " in value.strip(" ") or _BAD_PERCENT.search(pair):
            yield f"parameter {number} after the ? is not a name, one = and a value: {_WRITTEN_THERE}"
            continue
        name, value = unquote(name), unquote(value)
        values[name] = value
        yield from _find_name_fault(number, name, value)
    yield from _find_value_faults(values)


def _find_name_fault(number: int, name: str, value: str) -> Iterator[str]:
    # libpq reads this one spelling, which is JDBC's.
    if name in LIBPQ_PARAMETERS or (name == "ssl" and value == "true"):
        return
    if name in _FOREIGN:
        whose, cure = _FOREIGN[name]
        yield f"{name} is {whose}, and PostgreSQL's own library does not know it: {cure}"
        return
    close = get_close_matches(name, LIBPQ_PARAMETERS, n=1, cutoff=0.8)
    meant = f" (is {close[0]} meant?)" if close else ""
    yield f"parameter {number} after the ? is none that PostgreSQL's own library knows{meant}"


def _find_value_faults(values: Mapping[str, str]) -> Iterator[str]:
    for name, choices in _CHOICES.items():
        if (value := values.get(name)) and value not in choices:
            meant = ": no-verify is node-postgres's word for require" if value == "no-verify" else ""
            yield f"{name} must be one of {', '.join(choices)}{meant}"
    for name in _NUMBERS:
        if (value := values.get(name)) and not re.fullmatch(r"\s*[+-]?[0-9]{1,9}\s*", value):
            yield f"{name} must be a whole number"
    if any(port and not is_port(port) for port in values.get("port", "").split(",")):
        yield f"port must be a number from 1 to {_PORT_MAX}"
    if not all(is_possible_host(host) for host in values.get("host", "").split(",")):
        yield "it names a host that can have no address"
    if values.get("sslrootcert") == "system" and values.get("sslmode", _STRICT) != _STRICT:
        yield f"sslrootcert=system needs sslmode={_STRICT}"
    if values.get("sslnegotiation") == "direct" and values.get("sslmode") not in {"require", "verify-ca", _STRICT}:
        yield "sslnegotiation=direct needs sslmode=require or stricter"
