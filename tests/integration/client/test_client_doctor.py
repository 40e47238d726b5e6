"""What doctor tries itself: a real login, a real database, a real handshake; and every way in which these fail."""

import socket
import socketserver
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import psycopg
import pytest
from estimatesync_client.adapters.callback_probe import check_callbacks
from estimatesync_client.core.diagnoses import Verdict
from estimatesync_client.settings import parse_deployment
from estimatesync_processes.forked_process import run_program
from psycopg import sql
from sample_attic_tech import RunningSample, SampleConfig, build_records, running_sample
from sample_attic_tech.server import Response

SECRET = "made-up-secret-of-this-test"
HEALTHY: tuple[Any, ...] = (200, {"status": "ok"})
READY: tuple[Any, ...] = (200, {"status": "ready"})
PROBLEM = {"success": False, "message": "No.", "code": "api_key_wrong"}


@pytest.fixture
def sample() -> Iterator[RunningSample]:
    with running_sample(SampleConfig(records=build_records(9, 7, datetime.now(UTC)), password=SECRET)) as running:
        yield running


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


@pytest.fixture
def examine(client: Callable[..., Any], closed_port: int) -> Callable[..., Any]:
    """Examine a deployment whose server is away, and return the finding of one check."""

    def run(check: str, **environment: str) -> dict[str, str]:
        ended = client(f"http://127.0.0.1:{closed_port}").run("doctor", "-o", "json", **environment)
        assert ended.code == 10, ended.err
        assert SECRET not in ended.out + ended.err
        (finding,) = [found for found in ended.document["checks"] if found["check"] == check]
        return dict(finding)

    return run


@pytest.fixture
def login(sample: RunningSample) -> dict[str, str]:
    return {
        "ATTIC_TECH_URL": sample.url,
        "ATTIC_TECH_EMAIL": SampleConfig().email,
        "ATTIC_TECH_PASSWORD": SECRET,
    }


def test_a_login_is_tried_with_one_listing_of_one_record(
    examine: Callable[..., Any], login: dict[str, str], sample: RunningSample
) -> None:
    finding = examine("source login", **login)

    assert finding["cause"] == "127.0.0.1 accepts the login and lists 9 estimates"
    assert [(request.method, request.path) for request in sample.requests] == [
        ("POST", "/api/users/login"),
        ("GET", "/api/job-estimates"),
    ]


@pytest.mark.parametrize(
    ("status", "path", "said"),
    [
        pytest.param(403, "/api/users/login", "something in front of 127.0.0.1 answers in its place", id="challenge"),
        pytest.param(401, "/api/users/login", "without JSON (HTTP 401)", id="sign-in page"),
        pytest.param(403, "/api/job-estimates", "without JSON (HTTP 403)", id="challenge of a listing"),
        pytest.param(200, "/api/users/login", "is not Attic Tech's API (HTTP 200)", id="a page"),
        pytest.param(301, "/api/users/login", "is not Attic Tech's API (HTTP 301)", id="redirect"),
        pytest.param(503, "/api/job-estimates", "without JSON (HTTP 503)", id="away"),
    ],
)
def test_an_unusable_source_is_recognised_by_its_response(
    examine: Callable[..., Any], login: dict[str, str], sample: RunningSample, status: int, path: str, said: str
) -> None:
    answer = Response(status=status, body=b"<html></html>", headers={"Content-Type": "text/html"})
    sample.on_request = lambda request: answer if request.path == path else None

    finding = examine("source login", **login)

    assert finding["verdict"] == "fault"
    assert said in finding["cause"]


@pytest.mark.parametrize(
    ("status", "path", "body", "said"),
    [
        pytest.param(401, "/api/users/login", b"{}", "refuses the login: HTTP 401", id="login"),
        pytest.param(403, "/api/job-estimates", b"{}", "does not let it list estimates (HTTP 403)", id="listing"),
        pytest.param(200, "/api/users/login", b'{"user":{}}', "is not Attic Tech's API (HTTP 200 without a token)",
                     id="no token"),
        pytest.param(200, "/api/job-estimates", b'{"totalDocs":9,"docs":[{"branch":7,"user":null,"client":[5]}]}',
                     "shows their branch, client, property only as ids, or not at all", id="only ids"),
    ],
)  # fmt: skip
def test_what_attic_tech_itself_says_is_told_as_it_is(
    examine: Callable[..., Any], login: dict[str, str], sample: RunningSample, status: int, path: str, body: bytes,
    said: str,
) -> None:  # fmt: skip
    answer = Response(status=status, body=body, headers={"Content-Type": "application/json"})
    sample.on_request = lambda request: answer if request.path == path else None

    finding = examine("source login", **login)

    assert finding["verdict"] == "fault"
    assert said in finding["cause"]


def test_a_wrong_password_is_distinguished_from_an_unreachable_source(
    examine: Callable[..., Any], login: dict[str, str], closed_port: int
) -> None:
    wrong = examine("source login", **login | {"ATTIC_TECH_PASSWORD": "wrong"})
    away = examine("source login", **login | {"ATTIC_TECH_URL": f"http://127.0.0.1:{closed_port}"})

    assert "refuses the login: The email or password provided is incorrect" in wrong["cause"]
    assert wrong["cure"] == "Check ATTIC_TECH_EMAIL and ATTIC_TECH_PASSWORD"
    nowhere = {url: examine("source login", **login | {"ATTIC_TECH_URL": url}) for url in ("nowhere", "http://a..b")}
    assert {finding["cause"] for finding in nowhere.values()} == {"ATTIC_TECH_URL is not a URL"}
    assert away["cause"] == "nothing listens at 127.0.0.1"
    assert "ATTIC_TECH_URL" in away["cure"]


def run_sync(directory: Path, **environment: str) -> None:
    """Run the sync program as a job does."""
    own = {"SYNC_ID": "est-1", "SYNC_UID": str(uuid4()), "SYNC_START_DATE": "2025-01-01", "SYNC_END_DATE": "2025-10-16"}
    given = {"TERMINATION_MESSAGE_PATH": str(directory / "result"), "SYNC_RETRY_SECONDS": "0"}
    run_program([sys.executable, "-m", "estimatesync_job"], env=own | given | environment, timeout=60)


@pytest.mark.parametrize(
    ("change", "tries"),
    [
        pytest.param({}, 0, id="the-same"),
        pytest.param({"ATTIC_TECH_URL": "{url}/"}, 0, id="the-same-with-a-slash"),
        pytest.param({"ATTIC_TECH_PASSWORD": "nor-this-one"}, 1, id="another-password"),
        pytest.param({"ATTIC_TECH_EMAIL": "other@attic-tech.example"}, 1, id="another-account"),
        pytest.param({"SYNC_LOGIN_RETRY": "2025-10-16"}, 1, id="a-persons-word"),
        pytest.param({"DATABASE_URL": ""}, 1, id="no-database-to-ask"),
        pytest.param({"DATABASE_URL": "mysql://nowhere"}, 1, id="not-a-database"),
        pytest.param({"DATABASE_SCHEMA": "other"}, 1, id="other-tables"),
    ],
)
def test_credentials_that_a_sync_has_had_refused_are_not_tried_again(
    examine: Callable[..., Any], login: dict[str, str], sample: RunningSample, database_url: str, tmp_path: Path,
    change: dict[str, str], tries: int,
) -> None:  # fmt: skip
    wrong = login | {"ATTIC_TECH_PASSWORD": "not-this-one", "DATABASE_URL": database_url}
    run_sync(tmp_path, **wrong)
    sample.requests.clear()

    changed = {name: value.format(url=sample.url) for name, value in change.items()}
    finding = examine("source login", **wrong | changed)

    assert finding["verdict"] == "fault"
    assert sum(request.path == "/api/users/login" for request in sample.requests) == tries
    if not tries:
        assert finding["cause"].startswith("Login to Attic Tech failed: Invalid credentials, at 20")
        assert "a few wrong passwords lock the account" in finding["cause"]
        assert "SYNC_LOGIN_RETRY" in finding["cure"]


def test_a_sync_that_has_succeeded_since_is_newer_word_than_a_refusal(
    examine: Callable[..., Any], login: dict[str, str], sample: RunningSample, database_url: str, tmp_path: Path
) -> None:
    wrong = login | {"ATTIC_TECH_PASSWORD": "not-this-one", "DATABASE_URL": database_url}
    run_sync(tmp_path, **wrong)
    run_sync(tmp_path, **login, DATABASE_URL=database_url)
    sample.requests.clear()

    finding = examine("source login", **wrong)

    assert "refuses the login" in finding["cause"]
    assert len(sample.requests) == 1


def test_a_source_behind_a_private_authority_is_trusted_as_the_sync_program_trusts_it(
    examine: Callable[..., Any], act: Callable[..., Any], tls: ssl.SSLContext, trust: dict[str, str]
) -> None:
    source = act((200, {"token": "made-up"}), (200, {"docs": [], "totalDocs": 3}), context=tls)
    login = {"ATTIC_TECH_URL": source.url, "ATTIC_TECH_EMAIL": "a@b.example", "ATTIC_TECH_PASSWORD": SECRET}

    untrusted, trusted = examine("source login", **login), examine("source login", **login, **trust)

    assert "is not trusted" in untrusted["cause"]
    assert trusted["cause"] == "127.0.0.1 accepts the login and lists 3 estimates"


@pytest.mark.parametrize(
    ("email", "verdict", "said"),
    [
        pytest.param("a@b.example", "unknown", "accepts the login and lists 3 estimates; NO_PROXY", id="reached"),
        pytest.param("wrong", "fault", "refuses the login: No; NO_PROXY", id="refused"),
    ],
)
def test_exceptions_to_the_proxy_that_cannot_be_read_are_pointed_out(
    examine: Callable[..., Any], act: Callable[..., Any], email: str, verdict: str, said: str
) -> None:
    refusal = (
        [(401, {"errors": [{"message": "No."}]}, {"Content-Type": "application/json"})] if email == "wrong" else []
    )
    proxy = act(*refusal, (200, {"token": "made-up"}), (200, {"docs": [], "totalDocs": 3}))
    login = {"ATTIC_TECH_URL": "http://attic.test", "ATTIC_TECH_EMAIL": email, "ATTIC_TECH_PASSWORD": SECRET}

    finding = examine("source login", **login, HTTP_PROXY=proxy.url, NO_PROXY="*.local,169.254/16,<local>")

    assert finding["verdict"] == verdict
    assert said in finding["cause"]
    assert "entries 2 and 3" in finding["cause"]
    assert finding["cure"]


def test_settings_under_the_names_of_the_first_backend_are_tried_too(
    examine: Callable[..., Any], database_url: str
) -> None:
    parts = urlsplit(database_url)
    host = parse_qs(parts.query)["host"][0]

    finding = examine("database", DB_HOST=host, DB_USER=str(parts.username), DB_NAME=parts.path.lstrip("/"))

    assert finding["verdict"] == "ok"


def test_a_database_is_tried_by_a_connection_and_its_rights(examine: Callable[..., Any], database_url: str) -> None:
    role = "doctor_" + urlsplit(database_url).path.removeprefix("/")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        try:
            of_role = urlsplit(database_url)._replace(netloc=f"{role}@").geturl()
            owner, other = (examine("database", DATABASE_URL=url) for url in (database_url, of_role))
            connection.execute("CREATE SCHEMA botzilla")
            in_foreign_schema = examine("database", DATABASE_URL=of_role)
            connection.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA botzilla TO {}").format(sql.Identifier(role)))
            granted = examine("database", DATABASE_URL=of_role)
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {0}").format(sql.Identifier(role)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

    assert (owner["verdict"], other["verdict"]) == ("ok", "fault")
    assert f"{role} may not create it" in other["cause"]
    assert f"GRANT CREATE ON DATABASE {urlsplit(database_url).path[1:]} TO {role}" in other["cure"]
    assert f"{role} may not write to the schema botzilla" in in_foreign_schema["cause"]
    assert granted["verdict"] == "ok"


@pytest.mark.parametrize(
    ("statements", "verdict", "said"),
    [
        pytest.param((), "ok", "may write to the schema botzilla", id="as a sync left it"),
        pytest.param(
            ("ALTER TABLE botzilla.estimate ENABLE ROW LEVEL SECURITY",),
            "fault",
            "row-level security may hide rows of the schema botzilla from doctor: estimate",
            id="row security",
        ),
        pytest.param(
            ("CREATE VIEW botzilla.branch AS SELECT 1 AS id",),
            "fault",
            "where a sync needs tables, there are views: branch",
            id="a view",
        ),
        pytest.param(("ALTER DATABASE {} SET default_transaction_read_only = on",), "ok", "may write", id="a default"),
    ],
)
def test_what_stands_between_a_sync_and_its_tables_is_found(
    examine: Callable[..., Any], database_url: str, statements: tuple[str, ...], verdict: str, said: str
) -> None:
    name = urlsplit(database_url).path[1:]
    role = f"doctor_{name}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        connection.execute("CREATE SCHEMA botzilla; CREATE TABLE botzilla.estimate (id integer)")
        connection.execute(f"GRANT USAGE ON SCHEMA botzilla TO {role}".encode())
        connection.execute(f"GRANT ALL ON botzilla.estimate TO {role}".encode())
        for statement in statements:
            connection.execute(statement.format(name).encode())
        try:
            finding = examine("database", DATABASE_URL=urlsplit(database_url)._replace(netloc=f"{role}@").geturl())
        finally:
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())

    assert finding["verdict"] == verdict
    assert said in finding["cause"].replace(role, "doctor")


class RefusingDatabase(socketserver.ThreadingTCPServer):
    """Refuses every password, and counts the logins."""

    daemon_threads = True
    logins = 0


class RefusedSession(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        (length,) = struct.unpack("!i", self.rfile.read(4))
        self.rfile.read(length - 4)
        assert isinstance(self.server, RefusingDatabase)
        self.server.logins += 1
        fields = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0Rauth_failed\0\0"
        self.wfile.write(b"E" + struct.pack("!i", len(fields) + 4) + fields)


def test_a_password_that_the_database_refuses_is_tried_once_and_once_more_to_learn_why(
    examine: Callable[..., Any], login: dict[str, str]
) -> None:
    with RefusingDatabase(("127.0.0.1", 0), RefusedSession) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"postgresql://me:{SECRET}@127.0.0.1:{server.server_address[1]}/x?sslmode=disable&gssencmode=disable"
        try:
            finding = examine("database", DATABASE_URL=url, **login)
        finally:
            server.shutdown()

    assert "refuses the user or password" in finding["cause"] + finding["cure"]
    assert server.logins == 2


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param(f"postgresql://me:{SECRET}@127.0.0.1:1/x", "no connection: it cannot be reached", id="away"),
        pytest.param(f"postgresql://me:{SECRET}@[half/x", "cannot be used: its host is not readable", id="no URL"),
        pytest.param(f"postgresql://me:{SECRET}@x@127.0.0.1:1/x", "user or password holds an @", id="an @"),
        pytest.param("postgresql:///no_such_database?host=HOST", "in DATABASE_URL does not exist", id="missing"),
    ],
)
def test_an_unusable_database_is_reported_without_its_url(
    examine: Callable[..., Any], postgres_url: str, url: str, said: str
) -> None:
    host = psycopg.conninfo.conninfo_to_dict(postgres_url)["host"]

    finding = examine("database", DATABASE_URL=url.replace("HOST", f"{host}&user=postgres"))

    assert finding["verdict"] == "fault"
    assert said in finding["cause"]


@pytest.mark.parametrize(
    ("url", "environment", "verdict", "said"),
    [
        pytest.param("PORT/hook", {}, "fault", "which is not public", id="private"),
        pytest.param("PORT/hook", {"CALLBACK_ALLOW_PRIVATE_TARGETS": "true"}, "ok", "can be reached", id="allowed"),
        pytest.param("http://x/", {}, "fault", "starts with http://", id="no TLS"),
        pytest.param("https://x.invalid/", {}, "fault", "x.invalid cannot be resolved", id="no name"),
        pytest.param("https://a..b/", {}, "fault", "has no readable host", id="no name at all"),
    ],
)
def test_a_webhook_is_reached_and_never_posted_to(
    examine: Callable[..., Any],
    act: Callable[..., Any],
    tls: ssl.SSLContext,
    trust: dict[str, str],
    url: str,
    environment: dict[str, str],
    verdict: str,
    said: str,
) -> None:
    hook = act((200, b"Accepted"), context=tls)

    target = f"{url.replace('PORT', hook.url)}?{SECRET}"
    finding = examine("callback", MAKE_SYNC_CALLBACK_WEBHOOK_URL=target, **environment, **trust)

    assert finding["verdict"] == verdict
    assert said in finding["cause"]
    assert hook.asked == []


def test_a_webhook_with_an_untrusted_certificate_is_a_fault(
    examine: Callable[..., Any], act: Callable[..., Any], tls: ssl.SSLContext
) -> None:
    hook = act((200, b"Accepted"), context=tls)

    allowed = {"CALLBACK_ALLOW_PRIVATE_TARGETS": "true"}
    finding = examine("callback", MAKE_SYNC_CALLBACK_WEBHOOK_URL=f"{hook.url}/{SECRET}", **allowed)

    assert "certificate of 127.0.0.1 is not trusted" in finding["cause"]


def test_settings_are_read_from_a_file_as_one_machine_reads_them(
    client: Callable[..., Any], closed_port: int, login: dict[str, str], tmp_path: Path
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("".join(f"{name}='{value}'\n" for name, value in login.items()))

    ended = client(f"http://127.0.0.1:{closed_port}").run("doctor", "--env-file", str(env_file))

    assert "✔  source login  127.0.0.1 accepts the login" in ended.out


@pytest.mark.parametrize(
    ("replies", "check", "verdict", "said"),
    [
        pytest.param([(200, b"<html>")], "server", "fault", "is not an EstimateSync API", id="another server"),
        pytest.param(
            [(301, b"", {"Location": "https://b.example/x"})],
            "server",
            "fault",
            "redirects to https://b.example",
            id="redirect",
        ),
        pytest.param([HEALTHY, READY, (403, PROBLEM)], "API key", "fault", "refused: No", id="wrong key"),
        pytest.param(
            [HEALTHY, READY, (429, {**PROBLEM, "code": "too_many_wrong_keys"})],
            "API key",
            "fault",
            "refused",
            id="guesses",
        ),
        pytest.param([HEALTHY, READY, (200, {}), (403, PROBLEM)], "API key", "ok", "read-only", id="read-only key"),
        pytest.param([HEALTHY, READY, (None,)], "API key", "fault", "without an answer", id="hangs up"),
        pytest.param(
            [HEALTHY, (503, {**PROBLEM, "message": "Away."})],
            "storage",
            "fault",
            "no sync can be stored now: Away",
            id="no store",
        ),
        pytest.param(
            [HEALTHY, (404, b"default backend - 404")],
            "storage",
            "unknown",
            "does not publish /readyz",
            id="readiness is not published",
        ),
        pytest.param(
            [HEALTHY, (200, b"<html>Welcome!</html>")],
            "storage",
            "unknown",
            "does not publish /readyz",
            id="another site answers for readiness",
        ),
        pytest.param(
            [HEALTHY, (302, b"", {"Location": "/welcome"})],
            "storage",
            "unknown",
            "does not publish /readyz",
            id="another site redirects readiness",
        ),
        pytest.param(
            [HEALTHY, (200, {"status": "ready"})],
            "storage",
            "ok",
            "a sync could be stored now",
            id="ready",
        ),
    ],
)
def test_what_the_server_answers_is_judged(
    act: Callable[..., Any], client: Callable[..., Any], replies: list[Any], check: str, verdict: str, said: str
) -> None:
    server = act(*replies)

    document = client(server.url).run("doctor", "-o", "json").document

    (finding,) = [found for found in document["checks"] if found["check"] == check]
    assert finding["verdict"] == verdict
    assert said in finding["cause"]


def test_a_storage_that_does_not_answer_is_told_once_with_its_cure(
    act: Callable[..., Any], client: Callable[..., Any]
) -> None:
    said = "The database cannot be used now: it cannot be reached. Send the request again a little later."
    away = (503, {"success": False, "message": said, "code": "unavailable", "cure": "Check that it runs"})
    server = act(HEALTHY, away)

    checks = client(server.url).run("doctor", "-o", "json").document["checks"]

    _, storage, *others = checks
    assert (storage["check"], storage["cause"], storage["cure"]) == (
        "storage",
        "no sync can be stored now: The database cannot be used now: it cannot be reached",
        "Check that it runs",
    )
    assert {found["cause"] for found in others} == {"not asked, because the storage of syncs has to answer first"}


def test_a_key_that_can_be_read_on_the_way_is_pointed_out(act: Callable[..., Any], client: Callable[..., Any]) -> None:
    server = act(HEALTHY, (200, {}))

    # This leads to this machine too, but not by a loopback address.
    document = client(server.url.replace("127.0.0.1", "0.0.0.0")).run("doctor", "-o", "json").document  # noqa: S104

    assert document["checks"][0]["verdict"] == "unknown"
    assert "without TLS: the key can be read" in document["checks"][0]["cause"]


def test_every_check_has_a_line_and_every_fault_a_cure_when_nothing_is_set(
    client: Callable[..., Any], closed_port: int
) -> None:
    ended = client(f"http://127.0.0.1:{closed_port}", ESTIMATESYNC_API_KEY="").run("doctor", "--output=json")

    checks = ended.document["checks"]
    assert [found["check"] for found in checks] == [
        *("server", "storage", "API key", "source login", "database", "callback", "last success"),
    ]
    assert all(found["cure"] for found in checks if found["verdict"] == "fault")
    assert ended.document["success"] is False


def test_a_file_of_settings_in_another_encoding_is_named_with_a_cure(
    client: Callable[..., Any], closed_port: int, tmp_path: Path
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_bytes("ATTIC_TECH_PASSWORD=schlüssel".encode("latin-1"))

    ended = client(f"http://127.0.0.1:{closed_port}").run("doctor", "--env-file", str(env_file))

    assert ended.code == 2
    assert "not UTF-8" in " ".join(ended.err.split())
    assert "iconv" in ended.err
    assert "schl" not in ended.err


def test_a_webhook_with_a_name_is_tried_after_the_one_of_all_syncs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as webhook:
        url = f"http://127.0.0.1:{webhook.getsockname()[1]}/hook"
        allowed = {"CALLBACK_ALLOW_HTTP": "true", "CALLBACK_ALLOW_PRIVATE_TARGETS": "true"}
        targets = {"CALLBACK_TARGETS": f"crm={url},billing=https://192.0.2.1/"}

        well, faulty = (
            check_callbacks(parse_deployment({"MAKE_SYNC_CALLBACK_WEBHOOK_URL": url, **allowed, **more}).callbacks)
            for more in ({}, targets)
        )

    assert (well.verdict, well.cause) == (Verdict.OK, "127.0.0.1 can be reached; nothing was posted")
    assert faulty.verdict is Verdict.FAULT
    assert "CALLBACK_TARGETS (billing)" in faulty.cure
