"""The console script against the real server of one machine: real syncs, a real database, a real webhook."""

import json
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from estimatesync_demo.server_process import ServerProcess, build_sample_settings
from sample_attic_tech import RunningSample, SampleConfig, build_records, running_sample
from sample_attic_tech.receiver import Receiver
from sample_attic_tech.server import Response

WAIT_SECONDS = 60.0
RECORDS = 230
KEY = "made-up-key-of-this-test"
PASSWORD = SampleConfig().password


@pytest.fixture
def sample() -> Iterator[RunningSample]:
    records = build_records(RECORDS, 7, datetime.now(UTC))
    with running_sample(SampleConfig(records=records, page_delay_seconds=0.3)) as running:
        yield running


@pytest.fixture
def server(tmp_path: Path, database_url: str, sample: RunningSample, receiver: Receiver) -> Iterator[ServerProcess]:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    settings = {
        **build_sample_settings(source_url=sample.url, callback_url=f"{receiver.url}/hook"),
        "DATABASE_URL": database_url,
        "API_KEYS": f"test:{KEY}",
        "RETRY_SECONDS": "1",
        # The same port after each start.
        "BIND": address,
    }
    server = ServerProcess(tmp_path, settings)
    yield server
    server.end()


def slow_down(sample: RunningSample, seconds: float) -> None:
    def delay(request: Any) -> None:
        if request.path == "/api/job-estimates":
            time.sleep(seconds)

    sample.on_request = delay


def check(document: dict[str, Any]) -> dict[str, str]:
    return {found["check"]: found["verdict"] for found in document["checks"]}


def test_a_success_from_start_to_redelivery(
    server: ServerProcess, receiver: Receiver, client: Callable[..., Any]
) -> None:
    server.start()
    program = client(server.url)

    ended = program.run("start", "--wait", "--output", "json")

    assert (ended.code, ended.document["status"]) == (0, "succeeded"), ended.err
    assert ended.document["results"]["new_estimates"] == RECORDS
    name = ended.document["sync_id"]
    assert f"succeeded  page 3/3, {RECORDS} estimates  {RECORDS} new, 0 changed, 0 unchanged" in ended.err
    receiver.wait_for(1, WAIT_SECONDS)
    server.until(lambda: '"delivered"' in program.run("status", name, "-o", "json").out)

    assert [sync["sync_id"] for sync in program.run("list", "-o", "json").document["syncs"]] == [name]
    assert re.search(
        rf"^{name} +succeeded +[-0-9]+ to [-0-9]+ +{RECORDS} new, 0 changed +✔ ", program.run("list").out, re.MULTILINE
    )
    assert program.run("list", "--status", "failed,cancelled", "-o", "json").document["syncs"] == []
    shown = program.run("status", "latest").out
    assert shown.startswith(f"{name}\n✔ succeeded  {RECORDS} new, 0 changed, 0 unchanged\n")
    assert f"  Page       {server.url}/page/syncs/{name}\n" in shown
    assert "  Callback   delivered after 1 attempt" in shown
    assert program.run("logs", name[-8:]).out.endswith(f"finished. New: {RECORDS}, Updated: 0.\n")
    assert program.run("cancel", name).out == f"✔ {name}: The sync had ended already.\n"
    assert program.run("redeliver", name).code == 0
    first, second = receiver.wait_for(2, WAIT_SECONDS)
    assert first.body == second.body
    server.until(lambda: "Callback    delivered after 1 attempt, 2 in all" in program.run("status", name).out)
    examined = program.run("doctor", "-o", "json")
    assert (examined.code, set(check(examined.document).values())) == (0, {"ok"}), examined.out


def test_all_callbacks_that_were_given_up_are_sent_again_at_once(
    server: ServerProcess, receiver: Receiver, client: Callable[..., Any]
) -> None:
    server.environment |= {"CALLBACK_TARGETS": f"billing={receiver.url}/billing", "SYNC_METADATA": "true"}
    receiver.answers = [Response(status=410), Response(status=410)]
    server.start()
    program = client(server.url)
    named = program.run("start", "--wait", "--callback", "billing", "--metadata", "order=4711", "-o", "json")
    receiver.wait_for(1, WAIT_SECONDS)
    plain = program.run("start", "--wait", "-o", "json")
    receiver.wait_for(2, WAIT_SECONDS)
    names = [plain.document["sync_id"], named.document["sync_id"]]
    for name in names:
        server.until(
            lambda name=name: program.run("status", name, "-o", "json").document["callback"]["state"] == "failed"
        )

    again = program.run("redeliver", "--failed", "--since", "2d", "-o", "json")

    assert (again.code, again.document["sync_ids"]) == (0, names)
    deliveries = receiver.wait_for(4, WAIT_SECONDS)
    assert len({(each.path, each.headers["webhook-id"], each.body) for each in deliveries}) == 2
    server.until(lambda: program.run("list").out.count("✔") == len(names))
    shown = program.run("status", names[1]).out
    assert re.search(r"Metadata +order=4711\n", shown)
    assert re.search(r"Callback billing +delivered", shown)
    assert program.run("redeliver", "--failed").out == "✔ Syncs whose callbacks will be sent again: 0.\n"
    assert program.run("redeliver", "--failed", names[0]).code == 2


def test_a_failure_its_cause_and_its_cure(server: ServerProcess, tmp_path: Path, client: Callable[..., Any]) -> None:
    server.environment["ATTIC_TECH_PASSWORD"] = "wrong"
    server.start()
    program = client(server.url)

    ended = program.run("start", "--wait")

    assert ended.code == 3
    assert (
        "✘ failed  LoginFailed: Login to Attic Tech failed: Invalid credentials\n"
        "  → Check ATTIC_TECH_EMAIL and ATTIC_TECH_PASSWORD\n"
    ) in ended.out
    examined = program.run("doctor")
    assert examined.code == 10
    assert re.search(
        r"✘  source login  Login to Attic Tech failed: Invalid credentials, \d+ s ago in est-\w+\n"
        r" +→ Check ATTIC_TECH_EMAIL and ATTIC_TECH_PASSWORD",
        examined.out,
    )
    assert "?  database      its settings are not known here, and no recent sync got far enough" in examined.out

    env_file = tmp_path / "corrected.env"
    settings = server.environment | {"ATTIC_TECH_PASSWORD": PASSWORD}
    env_file.write_text("".join(f"{name}='{settings[name]}'\n" for name in settings if name.startswith("ATTIC_TECH")))
    corrected = program.run("doctor", "--env-file", str(env_file), "-o", "json")
    assert check(corrected.document)["source login"] == "unknown"
    assert f"accepts the login and lists {RECORDS} estimates; but syncs say: Login" in corrected.out
    assert PASSWORD not in corrected.out + corrected.err


def test_a_sync_is_cancelled_while_others_wait_for_it(
    server: ServerProcess, sample: RunningSample, client: Callable[..., Any]
) -> None:
    slow_down(sample, 5.0)
    server.start()
    program = client(server.url)
    waiting = program.start("start", "--wait", "-o", "json")
    waiting.wait_for("running")
    following = program.start("logs", "latest", "--follow")
    following.wait_for("Fetching page 1")

    too_early = program.run("redeliver", "latest", "-o", "json")
    cancelled = program.run("cancel", "latest", "-o", "json")

    assert (too_early.code, too_early.document["code"]) == (9, "sync_not_finished")
    assert (cancelled.code, cancelled.document["message"]) == (0, "The sync will be stopped.")
    ended = waiting.end()
    assert (ended.code, ended.document["status"]) == (4, "cancelled")
    assert following.end().code == 0


def test_a_server_killed_during_a_wait_is_waited_for(
    server: ServerProcess, sample: RunningSample, client: Callable[..., Any]
) -> None:
    slow_down(sample, 1.5)
    server.start()
    program = client(server.url)
    waiting = program.start("start", "--wait", "-o", "json")
    waiting.wait_for("running")
    following = program.start("logs", "latest", "--follow")
    following.wait_for("Fetching page 1")

    server.stop(signal.SIGKILL)
    waiting.wait_for("Nothing listens at")
    server.start()

    ended, followed = waiting.end(), following.end()
    assert (ended.code, ended.document["results"]["new_estimates"]) == (0, RECORDS), ended.err
    assert followed.code == 0, followed.err
    assert followed.out == program.run("logs", "latest").out
    assert followed.out.endswith(f"New: {RECORDS}, Updated: 0.\n")


def test_ctrl_c_leaves_a_real_sync_running(
    server: ServerProcess, sample: RunningSample, client: Callable[..., Any]
) -> None:
    slow_down(sample, 1.5)
    server.start()
    program = client(server.url)
    waiting = program.start("start", "--wait")
    waiting.wait_for("running")

    left = waiting.interrupt()

    assert left.code == 130
    (command,) = re.findall(r"estimatesync (status \S+ --wait)", left.err)
    assert program.run(*command.split()).code == 0


def test_a_read_only_key_is_recognised(server: ServerProcess, client: Callable[..., Any]) -> None:
    server.environment["READ_ONLY_API_KEYS"] = "look:made-up-key-that-only-looks"
    server.start()
    looking = client(server.url, ESTIMATESYNC_API_KEY="made-up-key-that-only-looks")

    listed, started, examined = (looking.run(command, "-o", "json") for command in ("list", "start", "doctor"))

    assert (listed.code, listed.document["syncs"]) == (0, [])
    assert (started.code, started.document["code"]) == (6, "api_key_read_only")
    (finding,) = [found for found in examined.document["checks"] if found["check"] == "API key"]
    assert (examined.code, finding["verdict"], finding["cause"]) == (0, "ok", "accepted, but read-only")


def test_keys_and_ids_that_are_not_known_have_codes_of_their_own(
    server: ServerProcess, client: Callable[..., Any]
) -> None:
    server.start()
    wrong = client(server.url, ESTIMATESYNC_API_KEY="another-made-up-key-0123")

    listed, examined = wrong.run("list", "-o", "json"), wrong.run("doctor", "-o", "json")

    assert (listed.code, listed.document["code"]) == (6, "api_key_wrong")
    assert examined.code == 10
    assert check(examined.document) == {
        "server": "ok",
        "API key": "fault",
        "storage": "ok",
        "source login": "unknown",
        "database": "unknown",
        "callback": "unknown",
        "last success": "unknown",
    }
    assert client(server.url).run("status", "est-unknown").code == 7
    assert client(server.url).run("logs", "latest").code == 7
    keyed = [client(server.url).run("start", "--idempotency-key", "nightly", "-o", "json") for _ in range(2)]
    assert len({json.loads(ended.out)["sync_id"] for ended in keyed}) == 1
