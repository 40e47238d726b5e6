"""What the documents promise exists: commands, files, settings."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from estimatesync_contract import names

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")
PAGES = tuple(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "charts/*/README.md", "deploy/*/README.md", "tests/support/README.md")
    for path in sorted(ROOT.glob(pattern))
)
MAKE_TASKS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def read(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("page", PAGES)
def test_every_make_command_in_a_page_is_a_task(page: str) -> None:
    mentioned = set(re.findall(r"(?:^\$ |`|\$\()make (?:-s )?([a-z-]+)", read(page), re.MULTILINE))

    assert mentioned - MAKE_TASKS == set()
    assert mentioned or page not in {"README.md", "CONTRIBUTING.md"}


def test_make_help_is_complete() -> None:
    phony = set(re.findall(r"^\.PHONY: (.+)$", read("Makefile"), re.MULTILINE))

    assert phony == MAKE_TASKS


def test_make_help_shows_what_is_used_first_and_the_variables_that_are_read() -> None:
    shown = subprocess.run(
        [shutil.which("make") or "make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    use, work, variables = re.split(r"Work on it\n|Variables, .*\n", shown)
    used, worked_on = (re.findall(r"^  make ([a-z-]+)", part, re.MULTILINE) for part in (use, work))
    assert {"demo", "local", "sample", "webhook"} < set(used)
    assert sorted([*used, *worked_on]) == sorted(MAKE_TASKS)
    named = set(re.findall(r"^  ([A-Z_]+)=", variables, re.MULTILINE))
    assert named - {"BIND"} <= set(re.findall(r"^([A-Z_]+) \?=", read("Makefile"), re.MULTILINE))
    assert "\n#BIND=" in read(".env.example")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_and_path_in_a_document_exists(document: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", read(document)) if not link.startswith("http")]
    paths = re.findall(r"`((?:api|operator|syncjob|deploy|charts|tests|changelog\.d)/[\w./-]*)`", read(document))

    assert [path for path in (*links, *paths) if not (ROOT / path).exists()] == []


def test_ci_runs_the_very_test_command_of_the_readme() -> None:
    (command,) = re.findall(r"^\$ (make test)$", read("README.md"), re.MULTILINE)

    assert f"\n{command}\n" in read(".ci/run")


def test_the_paths_in_the_readme_are_the_ones_that_are_served() -> None:
    readme = read("README.md")

    for path in (names.START_PATH, names.START_PATH_ALIAS, names.SYNCS_PATH):
        assert path in readme


def test_settings_that_the_readme_names_are_in_the_example_file() -> None:
    example = read(".env.example")

    settings = set(re.findall(r"`([A-Z][A-Z_]{5,})`", read("README.md")))

    assert settings
    assert {name for name in settings if name not in example} == set()


def test_the_map_names_every_package() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/*/__init__.py")} | {
        path.parent.name for path in ROOT.glob("deploy/*/*/__init__.py")
    }

    assert {name for name in packages if f"`{name}`" not in read("ARCHITECTURE.md")} == set()
