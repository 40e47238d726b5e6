"""What an error of PostgreSQL means is decided by its code, or by the stage, and never by the server's language."""

import pytest
from estimatesync_postgres.faults import (
    SILENCE,
    Fault,
    Kind,
    Refusal,
    decide_connection_fault,
    decide_work_fault,
    has_answered,
)
from estimatesync_postgres.refusals import parse_refusals

AT = 'connection failed: connection to server at "10.0.0.7", port 5432 failed: '
BAD = AT.replace("connection failed: ", "connection is bad: ")
SPOKE = f"{AT}FATAL:  "
SETTING, REFUSED, UNAVAILABLE = Kind.SETTING, Kind.REFUSED, Kind.UNAVAILABLE


def decide(text: str, *refusals: Refusal) -> Fault:
    return decide_connection_fault(text, refusals, variable="OLD_DATABASE_URL")


@pytest.mark.parametrize(
    ("sqlstate", "kind", "cure"),
    [
        pytest.param("57P01", UNAVAILABLE, "stopping", id="admin-shutdown"),
        pytest.param("57014", UNAVAILABLE, "in the way", id="statement-timeout"),
        pytest.param("53300", UNAVAILABLE, "no free connection", id="too-many-connections"),
        pytest.param("53100", UNAVAILABLE, "disk space", id="disk-full"),
        pytest.param("40P01", UNAVAILABLE, "in the way", id="deadlock"),
        pytest.param("55P03", UNAVAILABLE, "in the way", id="lock-timeout"),
        pytest.param("23505", UNAVAILABLE, "in the way", id="written-by-another"),
        pytest.param("08006", UNAVAILABLE, "connection broke", id="connection-failure"),
        pytest.param("25P03", UNAVAILABLE, "connection broke", id="idle-in-transaction"),
        pytest.param("28P01", REFUSED, "Correct DATABASE_URL", id="wrong-password"),
        pytest.param("3D000", REFUSED, "Create it", id="missing-database"),
        pytest.param("42501", REFUSED, "lacks a right", id="missing-right"),
        pytest.param("42703", REFUSED, "botzilla are not this program's", id="foreign-table"),
        pytest.param("25006", REFUSED, "primary server", id="read-only"),
        pytest.param("22003", REFUSED, "refuses the work", id="anything-else"),
    ],
)
def test_an_error_of_the_work_is_decided_by_its_code(sqlstate: str, kind: Kind, cure: str) -> None:
    fault = decide_work_fault(sqlstate, "was der Server sagt", schema="botzilla", variable="DATABASE_URL")

    assert fault.kind is kind
    assert cure in fault.text
    assert fault.text.endswith("(was der Server sagt)")


def test_a_quota_is_told_from_a_defect_of_the_server_by_the_routine() -> None:
    fault = decide_work_fault("XX000", "konnte nicht", routine="mdextend", schema="botzilla", variable="DATABASE_URL")

    assert fault.kind is UNAVAILABLE
    assert "lacks disk space" in fault.text


@pytest.mark.parametrize(
    ("sqlstate", "routine", "place", "cure"),
    [
        pytest.param("0A000", "call_bool_check_hook", None, "primary server", id="standby"),
        pytest.param("23505", "exec_stmt_raise", None, "a trigger of the tables in schema botzilla", id="raised"),
        pytest.param("23505", "_bt_check_unique", "audit", "a trigger of the tables", id="in-a-table-elsewhere"),
        pytest.param("42501", "ExecWithCheckOptions", None, "row-level security", id="policy"),
        pytest.param("P0001", "", None, "a trigger of the tables", id="its-own-class"),
        pytest.param("22P05", "", None, "ENCODING 'UTF8'", id="encoding"),
    ],
)
def test_what_others_have_put_there_is_told_by_routine_or_place(
    sqlstate: str, routine: str, place: str | None, cure: str
) -> None:
    fault = decide_work_fault(
        sqlstate, "nein", routine=routine, place=place, schema="botzilla", variable="DATABASE_URL"
    )

    assert fault.kind is REFUSED
    assert cure in fault.text


@pytest.mark.parametrize("place", ["botzilla", "pg_catalog", "pg_temp_3"])
def test_a_taken_name_in_tables_of_a_sync_is_another_sessions(place: str) -> None:
    fault = decide_work_fault("23505", "nein", place=place, schema="botzilla", variable="DATABASE_URL")

    assert fault.kind is UNAVAILABLE


def test_a_connection_that_breaks_has_no_text_of_its_own() -> None:
    fault = decide_work_fault(None, "sending failed: db.internal", schema="botzilla", variable="DATABASE_URL")

    assert fault.kind is UNAVAILABLE
    assert fault.text == "the connection broke, or the server failed. See the log of the database server"
    assert "never answered" in SILENCE.text


@pytest.mark.parametrize(
    ("code", "routine", "kind", "cure"),
    [
        pytest.param("28P01", "auth_failed", REFUSED, "user or password", id="password"),
        pytest.param("28000", "ClientAuthentication", REFUSED, "pg_hba.conf", id="no-entry"),
        pytest.param("28000", "InitializeSessionUserId", REFUSED, "may not log in", id="no-user"),
        pytest.param("3D000", "InitPostgres", REFUSED, "does not exist. Create it", id="no-database"),
        pytest.param("42501", "CheckMyDatabase", REFUSED, "lacks a right", id="no-right-to-connect"),
        pytest.param("55000", "CheckMyDatabase", REFUSED, "accepts no connections", id="closed-database"),
        pytest.param("53300", "InitProcess", UNAVAILABLE, "no free connection", id="too-many"),
        pytest.param("57P03", "ProcessStartupPacket", UNAVAILABLE, "starting", id="starting"),
        pytest.param("42704", "set_config_option", SETTING, "parameter that OLD_DATABASE_URL passes", id="options"),
        pytest.param("22023", "set_config_option", SETTING, "passes on", id="bad-option"),
        pytest.param("99999", "", UNAVAILABLE, "does not let the connection through", id="unknown"),
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{SPOKE}Passwort-Authentifizierung für Benutzer »sync« fehlgeschlagen", id="German"),
        pytest.param(f"{SPOKE}la autentificación password falló para el usuario «sync»", id="Spanish"),
        pytest.param(f"{SPOKE}authentification par mot de passe échouée pour l'utilisateur  « sync »", id="French"),
        pytest.param(f'{AT}ВАЖНО:  пользователь "sync" не прошёл проверку подлинности', id="Russian"),
    ],
)
def test_a_refused_connection_is_decided_by_the_code_whatever_the_language(
    text: str, code: str, routine: str, kind: Kind, cure: str
) -> None:
    fault = decide(text, Refusal(sqlstate=code, routine=routine))

    assert has_answered(text)
    assert fault.kind is kind
    assert cure in fault.text
    assert "sync" not in fault.text


@pytest.mark.parametrize(
    ("code", "said", "kind", "cure"),
    [
        pytest.param("XX000", "Tenant or user not found", REFUSED, "often with the project's name", id="supavisor"),
        pytest.param("08P01", "no such database: x", REFUSED, "its pooler knows no such", id="pgbouncer-database"),
        pytest.param("08P01", "no such user: x", REFUSED, "its pooler knows no such", id="pgbouncer-user"),
        pytest.param("08P01", "SASL authentication failed", REFUSED, "user or password", id="pgbouncer-password"),
        pytest.param("08P01", "server login failed: x", REFUSED, "the pooler's settings", id="pgbouncer-server"),
        pytest.param("08P01", "unsupported startup parameter: options", SETTING, "such as options", id="options"),
        pytest.param("08P01", "no more connections allowed (max_client_conn)", UNAVAILABLE, "no free", id="full"),
        pytest.param("08P01", "query_wait_timeout", UNAVAILABLE, "or none that is free", id="waited"),
        pytest.param("08P01", 'database "x" does not exist', REFUSED, "Create it", id="missing-behind-it"),
        pytest.param("08P01", 'role "x" does not exist', REFUSED, "the pooler's settings", id="user-behind-it"),
        pytest.param("08P01", 'database "x" is not currently accepting connections', REFUSED, "Let it", id="closed"),
        pytest.param(
            "08P01",
            'password authentication failed for user "x"',
            REFUSED,
            "the pooler's settings",
            id="password-behind-it",
        ),
        pytest.param(
            "08P01",
            "server login has been failing, cached error: connect failed (server_login_retry)",
            UNAVAILABLE,
            "whether that server runs",
            id="server-away",
        ),
        pytest.param(
            "08P01",
            "server login has been failing, try again later (server_login_retry)",
            UNAVAILABLE,
            "the pooler's settings",
            id="for-whatever-cause",
        ),
        pytest.param("08P01", "login rejected", REFUSED, "does not admit this user", id="pgbouncer-hba"),
        pytest.param("08P01", 'database "x" is disabled', UNAVAILABLE, "Enable or resume", id="disabled"),
        pytest.param("08P01", "failed: FATAL:  not allowed", REFUSED, "the console of a pooler", id="console"),
        pytest.param("XX000", "Max client connections reached", UNAVAILABLE, "failed", id="supavisor-full"),
        pytest.param("XX000", "anything else", UNAVAILABLE, "the server failed", id="anything-else"),
    ],
)
def test_a_pooler_whose_code_says_little_is_decided_by_its_words(code: str, said: str, kind: Kind, cure: str) -> None:
    fault = decide(f"{SPOKE}{said}", Refusal(sqlstate=code))

    assert fault.kind is kind
    assert cure in fault.text


@pytest.mark.parametrize(
    ("said", "cure"),
    [
        pytest.param('password authentication failed for user "x"', "user or password", id="password"),
        pytest.param('role "x" does not exist', "may not log in", id="user"),
        pytest.param('database "x" does not exist', "Create it", id="database"),
        pytest.param('database "x" is not currently accepting connections', "ALLOW_CONNECTIONS", id="closed"),
    ],
)
def test_a_server_whose_code_cannot_be_read_is_not_taken_for_a_pooler(said: str, cure: str) -> None:
    fault = decide_connection_fault(f"connection to server failed: FATAL:  {said}", variable="DATABASE_URL")

    assert fault.kind is REFUSED
    assert cure in fault.text
    assert "pooler" not in fault.text


@pytest.mark.parametrize(
    ("said", "kind", "cure"),
    [
        pytest.param("query_wait_timeout", UNAVAILABLE, "or none that is free", id="waited"),
        pytest.param("query timeout", UNAVAILABLE, "Raise its query_timeout", id="slow-statement"),
        pytest.param("idle transaction timeout", UNAVAILABLE, "idle_transaction_timeout", id="idle-transaction"),
        pytest.param("client_idle_timeout", UNAVAILABLE, "client_idle_timeout", id="idle-client"),
        pytest.param(
            "transaction blocks not allowed in statement pooling mode", REFUSED, "pool_mode = transaction", id="mode"
        ),
        pytest.param("invalid command 'BEGIN', use SHOW HELP;", REFUSED, "the console of a pooler", id="console"),
        pytest.param('database "x" does not exist', REFUSED, "Create it", id="missing-behind-it"),
        pytest.param("server conn crashed?", UNAVAILABLE, "the connection broke", id="anything-else"),
    ],
)
def test_a_pooler_says_what_it_lacks_once_there_is_work(said: str, kind: Kind, cure: str) -> None:
    fault = decide_work_fault("08P01", said, schema="botzilla", variable="DATABASE_URL")
    of_a_server = decide_work_fault("08P01", said, routine="SocketBackend", schema="botzilla", variable="DATABASE_URL")

    assert fault.kind is kind
    assert cure in fault.text
    assert of_a_server.text.startswith("the connection broke")


@pytest.mark.parametrize(
    ("text", "kind", "cure"),
    [
        pytest.param(f"{AT}Connection refused", UNAVAILABLE, "host and port in OLD_DATABASE_URL", id="refused"),
        pytest.param("failed to resolve host 'database': [Errno -2]", UNAVAILABLE, "has no address", id="dns"),
        pytest.param("connection timeout expired", UNAVAILABLE, "cannot be reached", id="timeout"),
        pytest.param(f"{AT}server closed the connection unexpectedly", UNAVAILABLE, "broke", id="broken"),
        pytest.param(f"{AT}session is read-only", UNAVAILABLE, "target_session_attrs", id="no-primary"),
        pytest.param(f"{AT}received invalid response to SSL negotiation: H", UNAVAILABLE, "not PostgreSQL", id="web"),
        pytest.param(f"{AT}fe_sendauth: no password supplied", REFUSED, "user or password", id="no-password"),
        pytest.param(f"{AT}server does not support SSL, but SSL was required", REFUSED, "sslmode", id="no-tls"),
        pytest.param(f"{AT}SSL error: certificate verify failed", REFUSED, "caConfigMap", id="authority"),
        pytest.param(f'{AT}root certificate file "/x" does not exist', REFUSED, "sslrootcert", id="no-file"),
        pytest.param(f'{AT}server certificate for "a" does not match host name "b"', REFUSED, "host name", id="name"),
        pytest.param(f'{AT}could not read certificate file "/x"', REFUSED, "the certificates that", id="client"),
        pytest.param(f"{BAD}Connection refused", UNAVAILABLE, "host and port", id="refused-at-once"),
        pytest.param('connection is bad: invalid sslmode value: "no-verify"', SETTING, "sslmode cannot", id="sslmode"),
        pytest.param('connection is bad: invalid port number: "70000"', SETTING, "port cannot be used", id="port"),
        pytest.param('connection is bad: definition of service "x" not found', SETTING, "service cannot", id="service"),
        pytest.param(
            'connection is bad: invalid target_session_attrs value: "x"', SETTING, "target_session_attrs", id="state"
        ),
        pytest.param(
            'connection is bad: weak sslmode "require" may not be used with sslrootcert=system',
            SETTING,
            "sslmode or sslrootcert cannot be used as it is. Correct OLD_DATABASE_URL",
            id="sslrootcert",
        ),
        pytest.param(
            f'{AT}invalid integer value "x" for connection option "keepalives"', SETTING, "keepalives can", id="number"
        ),
        pytest.param("connection is bad: what no one knows", SETTING, "a parameter cannot be used", id="unknown"),
        pytest.param(f"{SPOKE}Passwort falsch", UNAVAILABLE, "Check user, password and database", id="no-code"),
    ],
)  # fmt: skip
def test_where_no_code_can_be_read_the_stage_decides(text: str, kind: Kind, cure: str) -> None:
    fault = decide(text)

    assert fault.kind is kind
    assert cure in fault.text
    assert not [secret for secret in ("10.0.0.7", "70000", "database'", "/x", '"x"') if secret in fault.text]


def test_of_several_servers_one_that_may_soon_be_available_decides() -> None:
    refusals = [Refusal(sqlstate="3D000"), Refusal(sqlstate="57P03")]

    assert decide(SPOKE, *refusals).kind is UNAVAILABLE
    assert decide(SPOKE, *refusals[:1]).kind is REFUSED


def test_codes_are_read_from_what_libpq_traces() -> None:
    trace = (
        "F\t8\tSSLRequest\t 1234 5679\nB\t1\tSSLResponse\t N\n"
        'B\t94\tErrorResponse\t S "ВАЖНО" V "FATAL" C "28P01" M "»u« C "00000" \nfalsch" F "auth.c" L "1" '
        'R "auth_failed" \\x00\n'
        'B\t20\tErrorResponse\t S "FATAL" C "08P01" M "no such user: x" \\x00\n'
    )

    assert parse_refusals(trace) == (
        Refusal(sqlstate="28P01", routine="auth_failed"),
        Refusal(sqlstate="08P01"),
    )
    assert parse_refusals("") == ()
