"""Started by root: what other accounts may write is no way to root, and root is given up where there is an owner.

Needs root on Linux. The attacks are those of the account that PostgreSQL runs as, and of one that has nothing to do
with it.
"""

import logging
import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from estimatesync_demo.server_process import ServerProcess, build_sample_settings
from estimatesync_local.adapters.accounts import Account, can_run, give_up_root
from estimatesync_local.adapters.file_lock import locked
from estimatesync_local.adapters.postgres import EmbeddedPostgres
from estimatesync_local.adapters.postgres_folder import find_programs
from estimatesync_local.core.errors import AccountError, PostgresError

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root on Linux can start as root and become others"
)
NOBODY = Account(
    name="nobody", user=pwd.getpwnam("nobody").pw_uid, group=pwd.getpwnam("nobody").pw_gid, home="/nonexistent"
)
SECRET = "made-up-secret-of-root"
ELSEWHERE = Path("/var/lib/estimatesync")


def read_mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def describe(path: Path) -> dict[str, tuple[int, int, int]]:
    """Owner, mode and size of everything there, itself included: what an attack would change."""
    return {
        str(each.relative_to(path)): (each.lstat().st_uid, each.lstat().st_mode, each.lstat().st_size)
        for each in (path, *path.rglob("*"))
    }


def run_as(account: Account, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
        user=account.user,
        group=account.group,
        extra_groups=[],
    )


def read_account(place: Path) -> Account:
    """Whom the data belongs to."""
    entry = pwd.getpwuid((place / "data").stat().st_uid)
    return Account(name=entry.pw_name, user=entry.pw_uid, group=entry.pw_gid, home=entry.pw_dir)


def ask(server: EmbeddedPostgres, question: str) -> str:
    with psycopg.connect(server.url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return str(row[0])


@pytest.fixture
def place(open_directory: Path) -> Path:
    return open_directory / ".local" / "postgres"


@pytest.fixture
def stopped_postgres(place: Path, lay_postgres: Callable[[Path], EmbeddedPostgres]) -> Iterator[EmbeddedPostgres]:
    server = lay_postgres(place)
    yield server
    server.stop()


@pytest.fixture
def postgres(stopped_postgres: EmbeddedPostgres) -> EmbeddedPostgres:
    stopped_postgres.start()
    return stopped_postgres


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A directory of root's, with a secret, that must stay as it is."""
    directory = tmp_path / "victim"
    directory.mkdir(mode=0o700)
    (directory / "empty").mkdir()
    secret = directory / "secret"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    return directory


def link_socket(place: Path, victim: Path) -> None:
    (place / "socket").rename(place / "moved")
    (place / "socket").symlink_to(victim)


def link_socket_to_nothing(place: Path, victim: Path) -> None:
    link_socket(place, victim / "empty")


def link_socket_and_lock(place: Path, victim: Path) -> None:
    link_socket(place, victim)
    (place / "lock").unlink()
    (place / "lock").symlink_to(victim / "made-by-root")


def link_lock(place: Path, victim: Path) -> None:
    (place / "lock").unlink()
    (place / "lock").symlink_to(victim / "secret")


def name_lock_twice(place: Path, victim: Path) -> None:
    (place / "lock").unlink()
    (place / "lock").hardlink_to(victim / "secret")


def pipe_lock(place: Path, _: Path) -> None:
    (place / "lock").unlink()
    os.mkfifo(place / "lock")


def link_log(place: Path, victim: Path) -> None:
    (place / "log").unlink()
    (place / "log").symlink_to(victim / "secret")


def name_log_twice(place: Path, victim: Path) -> None:
    (place / "log").unlink()
    (place / "log").hardlink_to(victim / "secret")


def link_draft(place: Path, victim: Path) -> None:
    (place / "data").rename(place / "kept")
    (place / "data.new").symlink_to(victim)


def link_data(place: Path, victim: Path) -> None:
    (place / "data").rename(place / "kept")
    (place / "data").symlink_to(victim)


def link_rules(place: Path, victim: Path) -> None:
    for name in ("hba.conf", "hba.conf.new", "ident.conf", "programs"):
        (place / name).unlink(missing_ok=True)
        (place / name).symlink_to(victim / "secret")


def link_process_id(place: Path, victim: Path) -> None:
    (place / "data" / "postmaster.pid").symlink_to(victim / "secret")


def link_socket_lock(place: Path, victim: Path) -> None:
    (place / "socket" / ".s.PGSQL.5432.lock").symlink_to(victim / "secret")


@pytest.mark.parametrize("is_broken", [False, True], ids=["it starts", "it does not start"])
@pytest.mark.parametrize(
    "attack",
    [
        link_socket,
        link_socket_to_nothing,
        link_socket_and_lock,
        link_lock,
        name_lock_twice,
        pipe_lock,
        link_log,
        name_log_twice,
        link_draft,
        link_data,
        link_rules,
        link_process_id,
        link_socket_lock,
    ],
)
def test_the_account_of_postgresql_does_not_become_root(
    stopped_postgres: EmbeddedPostgres,
    place: Path,
    victim: Path,
    attack: Callable[[Path, Path], None],
    is_broken: bool,  # noqa: FBT001 - a parameter of the table
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An earlier version gave the whole directory to the account, which then prepared it."""
    account = read_account(place)
    if is_broken:
        (place / "data" / "postgresql.conf").write_text("no_such_setting = 1\n")
    attack(place, victim)
    os.chown(place, account.user, account.group)
    place.chmod(0o700)
    before = describe(victim)

    error = ""
    try:
        EmbeddedPostgres(place).start()
    except PostgresError as raised:
        error = str(raised)

    assert describe(victim) == before
    assert SECRET not in error
    assert SECRET not in caplog.text
    assert place.lstat().st_uid == 0
    if attack is not link_data and (attack is link_draft or not is_broken):
        assert error == ""
        assert ask(stopped_postgres, "SELECT 1") == "1"


def test_the_account_of_postgresql_can_change_nothing_but_what_it_was_given(
    postgres: EmbeddedPostgres, place: Path
) -> None:
    account = read_account(place)

    moved = run_as(account, "/bin/mv", f"{place}/socket", f"{place}/elsewhere")
    linked = run_as(account, "/bin/ln", "-s", "/etc", f"{place}/link")
    read = run_as(account, "/bin/cat", f"{place}/lock", f"{place}/log")
    held = run_as(account, "/usr/bin/flock", "-s", "-n", f"{place}/lock", "/bin/true")

    assert account.name != "root"
    assert all(each.returncode != 0 for each in (moved, linked, read, held))
    assert read.stdout == ""
    assert ask(postgres, "SELECT 1") == "1"


def test_other_accounts_cannot_connect_even_where_they_reach_the_socket(postgres: EmbeddedPostgres) -> None:
    socket = Path(ask(postgres, "SHOW unix_socket_directories").strip('"'))
    socket.chmod(0o755)
    read_end, write_end = os.pipe()

    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY.group)
        os.setuid(NOBODY.user)
        try:
            psycopg.connect(postgres.url)
            os.write(write_end, b"connected")
        except psycopg.Error as error:
            os.write(write_end, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write_end)
    answer = os.read(read_end, 4096).decode()
    os.close(read_end)

    assert 'Peer authentication failed for user "estimatesync"' in answer


def test_a_running_server_of_an_earlier_version_is_adopted(postgres: EmbeddedPostgres, place: Path) -> None:
    """It goes on in a directory that is root's again."""
    account = read_account(place)
    before = (place / "data" / "postmaster.pid").read_text()
    os.chown(place, account.user, account.group)
    place.chmod(0o700)
    (place / "lock").chmod(0o644)

    EmbeddedPostgres(place).start()

    assert (place / "data" / "postmaster.pid").read_text() == before
    assert (place.lstat().st_uid, read_mode(place)) == (0, 0o711)
    assert read_mode(place / "lock") == 0o600
    assert ask(postgres, "SELECT 1") == "1"


@pytest.fixture
def closed_directory(tmp_path: Path) -> Iterator[Path]:
    """A home of root's; what is kept outside of it is removed."""
    was_there = ELSEWHERE.exists()
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    yield home
    link = home / ".local" / "postgres"
    if link.is_symlink():
        EmbeddedPostgres(link).stop()
        shutil.rmtree(link.resolve())
    if not was_there and ELSEWHERE.exists():
        ELSEWHERE.rmdir()


def test_a_closed_home_stays_closed(closed_directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = {path: read_mode(path) for path in (closed_directory, *closed_directory.parents)}
    place = closed_directory / ".local" / "postgres"
    server = EmbeddedPostgres(place)

    server.start()

    assert {path: read_mode(path) for path in before} == before
    assert ask(server, "SELECT 1") == "1"
    assert place.resolve().is_relative_to(ELSEWHERE)
    assert f"its data is kept in {place.resolve()}" in caplog.text
    server.stop()
    again = EmbeddedPostgres(place)
    again.start()
    assert ask(again, "SELECT 1") == "1"


def test_programs_that_the_account_cannot_run_are_copied_not_opened(
    open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation under a strict umask, or in a closed home."""
    closed = open_directory / "site"
    package = find_programs().parents[1]
    for part in package.parent.glob(f"{package.name}*"):
        shutil.copytree(part, closed / part.name, symlinks=True)
    closed.chmod(0o700)
    monkeypatch.syspath_prepend(str(closed))
    # What another test has imported would be found where it was.
    monkeypatch.delitem(sys.modules, package.name, raising=False)
    place = open_directory / ".local" / "postgres"
    server = EmbeddedPostgres(place)

    server.start()

    assert ask(server, "SELECT 1") == "1"
    assert next(place.glob("programs/*/*/bin/postgres")).stat().st_uid == 0
    assert read_mode(closed) == 0o700
    server.stop()


def build_environment() -> dict[str, str]:
    return {
        **build_sample_settings(source_url="http://127.0.0.1:1", callback_url="http://127.0.0.1:1/hook"),
        "ATTIC_TECH_PASSWORD": SECRET,
    }


@pytest.fixture(scope="module")
def reachable_python() -> Iterator[Path]:
    """A Python of this version, with this environment's packages, that any account can run."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [Path(sys.executable).resolve(), Path("/usr/bin") / version]
    python = next((each for each in candidates if can_run(NOBODY, str(each), "-c", "")), None)
    packages = Path(psycopg.__file__).parents[1]
    if python is None or not can_run(NOBODY, "/bin/ls", str(packages / "psycopg")):
        pytest.skip(f"no {version} with these packages that account nobody can run")
    place = Path(f"/opt/estimatesync-test-{os.getpid()}")
    place.mkdir(mode=0o755)
    try:
        subprocess.run([python, "-m", "venv", "--without-pip", place / "venv"], check=True, timeout=60)
        roots = place / "venv" / "lib" / version / "site-packages" / "roots.pth"
        roots.write_text(f"import site; site.addsitedir({str(packages)!r})\n")
        yield place / "venv" / "bin" / "python"
    finally:
        shutil.rmtree(place)


@pytest.fixture
def server(open_directory: Path, reachable_python: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(open_directory, build_environment(), python=reachable_python)
    yield server
    server.end()
    run_as_owner = EmbeddedPostgres(open_directory / ".local" / "postgres")
    if (open_directory / ".local").exists() and (open_directory / ".local").stat().st_uid == 0:
        run_as_owner.stop()


def read_owners(directory: Path) -> set[int]:
    return {path.lstat().st_uid for path in (directory, *directory.rglob("*"))}


def test_a_new_server_becomes_the_owner_of_the_checkout(server: ServerProcess, open_directory: Path) -> None:
    os.chown(open_directory, NOBODY.user, NOBODY.group)

    server.start()

    local = open_directory / ".local"
    assert "going on as account nobody" in server.log
    assert read_owners(local) == {NOBODY.user}
    assert read_mode(local) == 0o700
    pid = (local / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0]
    status = Path(f"/proc/{pid}/status").read_text()
    assert f"Uid:\t{NOBODY.user}\t{NOBODY.user}\t{NOBODY.user}" in status
    assert SECRET not in Path(f"/proc/{pid}/environ").read_text()
    assert server.stop() == 0


def test_what_root_made_keeps_running_and_one_command_moves_it(server: ServerProcess, open_directory: Path) -> None:
    server.start()
    local = open_directory / ".local"
    url = EmbeddedPostgres(local / "postgres").url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'still here' AS word")
    assert server.stop() == 0
    assert read_mode(open_directory) == 0o711
    os.chown(open_directory, NOBODY.user, NOBODY.group)

    server.start()
    command = f"chown -R nobody: {local}"
    assert f"`{command}`" in server.log
    assert local.stat().st_uid == 0
    assert {read_mode(each) for each in (local / "supervisor.lock", local / "api.lock")} == {0o600}
    assert server.stop() == 0

    subprocess.run(command.split(), check=True)
    server.start()
    assert "going on as account nobody" in server.log
    with psycopg.connect(EmbeddedPostgres(local / "postgres").url) as connection:
        assert connection.execute("SELECT word FROM kept").fetchone() == ("still here",)
    assert read_owners(local) == {NOBODY.user}
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda place: place.chmod(0o777), "Any account can create or replace", id="anybody may write"),
        pytest.param(
            lambda place: ((place / "local").mkdir(), os.chown(place / "local", 65534, 65534), place.chmod(0o1777)),
            "Any account can create or replace",
            id="anybody made it",
        ),
        pytest.param(
            lambda place: (
                (place / "local").symlink_to("/etc"),
                os.chown(place / "local", 65534, 65534, follow_symlinks=False),
            ),
            "another account's link to /etc",
            id="another account's link",
        ),
        pytest.param(
            lambda place: ((place / "local").mkdir(), os.chown(place / "local", 65534, 65534)),
            "cannot run",
            id="an owner who cannot run it",
            marks=pytest.mark.skipif(
                can_run(NOBODY, sys.executable, "-c", ""), reason="account nobody can run this Python"
            ),
        ),
    ],
)
def test_root_does_not_work_where_another_account_decides(
    open_directory: Path, make: Callable[[Path], object], words: str
) -> None:
    shared = open_directory / "shared"
    shared.mkdir()
    make(shared)
    before = describe(shared)

    with pytest.raises(AccountError, match=words):
        give_up_root(shared / "local")

    assert describe(shared) == before


def test_an_account_is_told_how_it_gets_what_root_made(open_directory: Path, reachable_python: Path) -> None:
    (open_directory / ".local").mkdir(mode=0o711)

    command = ["/usr/bin/env", f"LOCAL_DIRECTORY={open_directory}/.local", "ATTIC_TECH_EMAIL=a@b.example"]
    command += ["ATTIC_TECH_PASSWORD=made-up", str(reachable_python), "-m", "estimatesync_local"]
    ended = run_as(NOBODY, *command)

    assert ended.returncode == 1
    assert f"another account made {open_directory}/.local. As root, run `chown -R nobody: {open_directory}/.local`" in (
        ended.stderr
    )


@pytest.mark.parametrize(
    ("name", "is_folder"),
    [
        pytest.param("supervisor.lock", False, id="lock"),
        pytest.param("api.lock", False, id="lock of the API"),
        pytest.param("api-key", False, id="key"),
        pytest.param("jobs", True, id="jobs"),
        pytest.param("jobs/estimatesync-est-1", True, id="a job"),
        pytest.param("postgres", True, id="PostgreSQL"),
        pytest.param("postgres/data", True, id="data"),
    ],
)
def test_an_account_is_told_how_it_gets_the_one_thing_that_root_made(
    open_directory: Path, reachable_python: Path, name: str, *, is_folder: bool
) -> None:
    local = open_directory / ".local"
    path = local / name
    for folder in reversed([each for each in path.parents if each.is_relative_to(local)]):
        folder.mkdir(mode=0o700)
        os.chown(folder, NOBODY.user, NOBODY.group)
    path.mkdir(mode=0o711) if is_folder else path.touch(mode=0o600)

    command = ["/usr/bin/env", f"LOCAL_DIRECTORY={local}", "ATTIC_TECH_EMAIL=a@b.example"]
    ended = run_as(NOBODY, *command, "ATTIC_TECH_PASSWORD=made-up", str(reachable_python), "-m", "estimatesync_local")

    assert ended.returncode == 1
    assert f"another account made {path}. As root, run `chown -R nobody: {local}`" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_directory_in_a_closed_home_is_refused_without_a_traceback(
    open_directory: Path, reachable_python: Path
) -> None:
    (open_directory / "home").mkdir(mode=0o700)

    command = ["/usr/bin/env", f"LOCAL_DIRECTORY={open_directory}/home/local", "ATTIC_TECH_EMAIL=a@b.example"]
    ended = run_as(NOBODY, *command, "ATTIC_TECH_PASSWORD=made-up", str(reachable_python), "-m", "estimatesync_local")

    assert ended.returncode == 1
    assert f"Cannot use {open_directory}/home/local: " in ended.stderr
    assert "set LOCAL_DIRECTORY to another one" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_root_says_so_where_it_stays(open_directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert give_up_root(open_directory / ".local") == {}

    assert os.geteuid() == 0
    assert "EstimateSync runs as root, which it does not need" in caplog.text
    assert f"chown -R estimatesync: {open_directory}/.local" in caplog.text


def test_a_lock_of_another_account_is_not_held(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    os.chown(lock, NOBODY.user, NOBODY.group)

    with pytest.raises(PermissionError, match="not a file that root made"), locked(lock):
        pass
