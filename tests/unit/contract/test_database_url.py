"""A connection URL that libpq cannot use is refused before libpq could quote it: the part is named, its value never."""

from pathlib import Path

import pytest
from estimatesync_contract.database_url import (
    LIBPQ_PARAMETERS,
    add_parameters,
    check_database_url,
    check_parameters,
)
from estimatesync_contract.settings import SettingsError
from estimatesync_import.settings import parse_settings as parse_import_settings
from estimatesync_job.core.errors import ConfigurationError
from estimatesync_job.settings import parse_settings as parse_job_settings
from estimatesync_local.settings import parse_settings as parse_local_settings
from psycopg import pq

SECRETS = ("Hunter2", "Tr0ub4dor")
"""Every value of the tables that stands for a part of a password."""
ENCODE = "write @ as %40, / as %2F, ? as %3F, # as %23 and % as %25"

UNUSABLE = [
    pytest.param("postgresql://sync:Hunter2%Tr0ub4dor@db/x", "its password holds a % that no two hex", id="%"),
    pytest.param("postgresql://sync:Hunter2%2@db/x", "its password holds a %", id="half-a-%"),
    pytest.param("postgresql://sync:Hunter2%00Tr0ub4dor@db/x", "its password holds a %", id="%00"),
    pytest.param("postgresql://sy%nc:Hunter2@db/x", "its user holds a %", id="%-in-user"),
    pytest.param("postgresql://sync:Hunter2@db/x%zz", "its database holds a %", id="%-in-database"),
    pytest.param("postgresql://sync:Hunter2 Tr0ub4dor@db/x", "its password holds a blank", id="blank"),
    pytest.param("postgresql://db/x?host=/a b", "parameter 1 after the ? is not", id="blank-in-parameter"),
    pytest.param("postgresql://sync:Hunter2@Tr0ub4dor@db:5432/x", "its user or password holds an @", id="@"),
    pytest.param("postgresql://me@Hunter2:Tr0ub4dor@db/x", "its user or password holds an @", id="@-in-user"),
    pytest.param("postgresql://sync:Hunter2@Tr0ub4dor/Hunter2@db/x", "holds a /", id="@-and-/"),
    pytest.param("postgresql://sync:Hunter2/Tr0ub4dor@db/x", "its user or password holds a /", id="/"),
    pytest.param("postgresql://sync:2345/Tr0ub4dor@db/x", "its user or password holds a /", id="/-behind-digits"),
    pytest.param("postgresql://sync:Hunter2/?Tr0ub4dor@db/x", "holds a / and a ?", id="/-and-?"),
    pytest.param("postgresql://sync:Hunter2/a?b=Tr0ub4dor@db/x", "holds a / and a ?", id="/-and-a-parameter"),
    pytest.param("postgresql://sync:12/a?Tr0ub4dor@db/x", "parameter 1 after the ? is not", id="digits-/-and-?"),
    pytest.param("postgresql://sync:12/a?Hunter2=Tr0ub4dor@db/x", "parameter 1 after the ? is none", id="name"),
    pytest.param("postgresql://sync:Hunter2/Tr0ub4dor", "its port must be a number from 1 to 65535", id="no-host"),
    pytest.param("postgresql://[Hunter2:Tr0ub4dor/x", "its host is not readable", id="bracket"),
    pytest.param("postgresql://sync:Hunter2@[::1/x", "its host is not readable", id="half-an-address"),
    pytest.param("postgresql://sync:Hunter2@db:65536/x", "its port must be", id="port-too-large"),
    pytest.param("postgresql://sync:Hunter2@db:0/x", "its port must be", id="port-0"),
    pytest.param("postgresql://sync:Hunter2@a..b/x", "a host that can have no address", id="two-dots"),
    pytest.param(f"postgresql://sync:Hunter2@{'a' * 64}/x", "a host that can have no address", id="long-label"),
    pytest.param("postgresql://sync:Hunter2@db/x?host=a..b", "a host that can have no address", id="host-two-dots"),
    pytest.param("postgresql://sync:Hunter2@db/x?port=Tr0ub4dor", "port must be", id="port-parameter"),
    pytest.param("postgresql://sync:Hunter2@db/x?sslmode=require&&", "parameter 2 after the ? is not", id="two-&"),
    pytest.param("postgresql://sync:Hunter2@db/x?&", "parameter 1 after the ? is not", id="only-&"),
    pytest.param("postgresql://sync:Hunter2@db/x?Tr0ub4dor", "parameter 1 after the ? is not", id="no-="),
    pytest.param("postgresql://sync:Hunter2@db/x?sslmode=Tr0ub4dor", "sslmode must be one of disable", id="sslmode"),
    pytest.param("postgresql://sync:Hunter2@db/x?sslmode=no-verify", "node-postgres's word for require", id="pg"),
    pytest.param("postgresql://sync:Hunter2@db/x?target_session_attrs=rw", "must be one of any", id="state"),
    pytest.param("postgresql://sync:Hunter2@db/x?connect_timeout=Tr0ub4dor", "must be a whole number", id="number"),
    pytest.param("postgresql://sync:Hunter2@db/x?sslmode=require&sslrootcert=system", "needs sslmode=v", id="system"),
    pytest.param("postgresql://sync:Hunter2@db/x?schema=Tr0ub4dor", "schema is Prisma's", id="prisma-schema"),
    pytest.param("postgresql://sync:Hunter2@db/x?schema=public", "set DATABASE_SCHEMA instead", id="schema-cure"),
    pytest.param("postgresql://sync:Hunter2@db/x?pgbouncer=true", "pgbouncer is Prisma's", id="prisma-pooler"),
    pytest.param("postgresql://sync:Hunter2@db/x?currentSchema=a", "currentSchema is JDBC's", id="jdbc"),
    pytest.param("postgresql://sync:Hunter2@db/x?ssl=Tr0ub4dor", "ssl is node-postgres's", id="node-postgres"),
    pytest.param("postgresql://sync:Hunter2@db/x?search_path=a", "search_path is pgx's", id="pgx"),
    pytest.param("postgresql://sync:Hunter2@db/x?command_timeout=5", "command_timeout is asyncpg's", id="asyncpg"),
    pytest.param("postgresql://sync:Hunter2@db/x?sslmod=require", "(is sslmode meant?)", id="mistyped"),
    pytest.param("postgresql://sync:Hunter2@db/x?Tr0ub4dor=1", "parameter 1 after the ? is none", id="unknown"),
    pytest.param("jdbc:postgresql://db/x?user=sync&password=Hunter2", "without jdbc: before it", id="jdbc-scheme"),
    pytest.param("postgresql+asyncpg://sync:Hunter2@db/x", "the name of a driver", id="sqlalchemy-scheme"),
    pytest.param("'postgresql://sync:Hunter2@db/x'", "must start with postgresql://", id="quotes"),
]
USABLE = [
    pytest.param("postgresql://sync:Hunter2@db:5432/x", id="plain"),
    pytest.param("postgres://sync@db/x", id="short-scheme"),
    pytest.param("postgresql://", id="all-by-default"),
    pytest.param("postgresql://sync:p%40%2F%3F%23%25w@db/x", id="encoded"),
    pytest.param("postgresql://sync:p#w?x:y&z=@db/x", id="what-libpq-takes-as-it-is"),
    pytest.param("postgresql:///x?host=/var/run/a%20b&user=me@corp", id="socket"),
    pytest.param("postgresql://%2Fvar%2Frun/x", id="socket-as-host"),
    pytest.param("postgresql://[::1]:5432/x?application_name=a%26b", id="ipv6"),
    pytest.param("postgresql://a:1,b:2,c/x?target_session_attrs=primary", id="three-hosts"),
    pytest.param("postgresql://sync@db/x@y", id="@-in-database"),
    pytest.param("postgresql://db/x?sslmode=require&", id="&-at-the-end"),
    pytest.param("postgresql://db/x?", id="?-at-the-end"),
    pytest.param("postgresql://db/x?ssl=true", id="the-one-spelling-of-jdbc"),
    pytest.param("postgresql://db/x?options=-c%20datestyle%3DGerman&sslmode=verify-full&sslrootcert=system", id="all"),
    pytest.param("postgresql://bücher.example/x", id="international-name"),
    pytest.param("postgresql:///x?service=mine&port=5432,5433&host=a,b", id="service"),
]


def explain(url: str) -> str:
    try:
        check_database_url(url)
    except ValueError as fault:
        return str(fault)
    raise AssertionError(f"it was accepted: {url}")


@pytest.mark.parametrize(("url", "said"), UNUSABLE)
def test_a_url_that_cannot_be_used_is_explained_without_its_values(url: str, said: str) -> None:
    text = explain(url)

    assert said in text
    assert not [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize("url", USABLE)
def test_what_libpq_can_use_is_passed_on_as_it_is(url: str) -> None:
    assert pq.Conninfo.parse(url.encode())
    assert check_database_url(url) == url


@pytest.mark.parametrize("url", [case.values[0] for case in UNUSABLE if "%" in case.values[0]])
def test_how_to_write_a_password_is_said(url: str) -> None:
    assert ENCODE in explain(url)


def test_every_fault_is_listed() -> None:
    with pytest.raises(ValueError, match=r"its password .*; its port .*; schema is Prisma's.*; sslmode must be"):
        check_database_url("postgresql://sync:Hunter2%@db:x/x?schema=a&sslmode=b")


def test_the_parameters_are_those_of_the_libpq_that_is_installed() -> None:
    assert {option.keyword.decode() for option in pq.Conninfo.get_defaults()} == LIBPQ_PARAMETERS


@pytest.mark.parametrize(("url", "said"), UNUSABLE)
def test_no_part_repeats_a_value_of_a_url_that_it_refuses(url: str, said: str) -> None:
    given = {"ATTIC_TECH_EMAIL": "a@b.example", "ATTIC_TECH_PASSWORD": "made-up", "DATABASE_URL": url}

    told = []
    with pytest.raises(ConfigurationError) as job:
        parse_job_settings(given)
    told.append(str(job.value))
    with pytest.raises(SettingsError) as local:
        parse_local_settings(given, current_directory=Path("/made-up"))
    told.append(str(local.value))
    with pytest.raises(SettingsError) as moving:
        parse_import_settings({"DATABASE_URL": "postgresql://db/x", "OLD_DATABASE_URL": url})
    told.append(str(moving.value))

    assert [said for text in told if said in text] == [said] * len(told)
    assert not [secret for secret in SECRETS for text in told if secret in text]


@pytest.mark.parametrize(
    ("url", "parameters", "expected"),
    [
        pytest.param("postgresql://u:p@h/d", "", "postgresql://u:p@h/d", id="none"),
        pytest.param(
            "postgresql://u:p@h/d?", "sslmode=require", "postgresql://u:p@h/d?sslmode=require", id="the first"
        ),
        pytest.param(
            "postgresql://u:p%3F@h/d?sslmode=disable&application_name=a",
            "sslmode=verify-full&sslrootcert=system",
            "postgresql://u:p%3F@h/d?application_name=a&sslmode=verify-full&sslrootcert=system",
            id="in the place of its own",
        ),
        pytest.param(
            "postgresql://u?:p?x=1&y@h/d?sslmode=disable",
            "sslmode=verify-full",
            "postgresql://u?:p?x=1&y@h/d?sslmode=verify-full",
            id="to a login that holds a question mark",
        ),
    ],
)
def test_parameters_are_added_to_a_url(url: str, parameters: str, expected: str) -> None:
    assert add_parameters(url, check_parameters(parameters) if parameters else "") == expected


@pytest.mark.parametrize("url", USABLE)
def test_parameters_that_are_added_are_what_libpq_reads_in_addition(url: str) -> None:
    added = {b"application_name": b"added", b"connect_timeout": b"7"}

    result = add_parameters(url, "application_name=added&connect_timeout=7")

    before, after = (read_options(each) for each in (url, result))
    assert after == before | added


def read_options(url: str) -> dict[bytes, bytes | None]:
    """What libpq takes a URL for."""
    return {option.keyword: option.val for option in pq.Conninfo.parse(url.encode())}


def test_parameters_that_contradict_a_url_are_refused() -> None:
    with pytest.raises(ValueError, match="sslrootcert=system needs sslmode=verify-full"):
        add_parameters("postgresql://h/d?sslmode=require", "sslrootcert=system")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        pytest.param("sslmode", "parameter 1 after the \\? is not a name, one =", id="half a parameter"),
        pytest.param("sslmode=strict", "sslmode must be one of", id="no choice"),
        pytest.param("currentSchema=x", "currentSchema is JDBC's", id="another driver's"),
        pytest.param("host=made-up.test", "host belongs in the URL", id="another place"),
        pytest.param("connect_timeout=5&password=made-up", "password belongs in the URL", id="a secret"),
        pytest.param("scram_client_key=made-up", "scram_client_key belongs in the URL", id="a key that logs in"),
        pytest.param("scram_server_key=made-up", "scram_server_key belongs in the URL", id="a server's key"),
    ],
)
def test_parameters_that_cannot_be_added_are_explained_without_their_values(parameters: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        check_parameters(parameters)

    assert "made-up" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        pytest.param("", "postgresql://h/d?sslmode=verify-full", id="in the same database"),
        pytest.param("postgresql://h/d", "postgresql://h/d?sslmode=verify-full", id="in the same, named twice"),
        pytest.param("postgresql://other/d", "postgresql://other/d", id="in another, with parameters of its own"),
    ],
)
def test_parameters_beside_the_url_bind_an_import_too(old: str, expected: str) -> None:
    databases = parse_import_settings(
        {"DATABASE_URL": "postgresql://h/d", "DATABASE_PARAMETERS": "sslmode=verify-full", "OLD_DATABASE_URL": old}
    )

    assert (databases.url, databases.old_url) == ("postgresql://h/d?sslmode=verify-full", expected)
