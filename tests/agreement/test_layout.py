"""The house keeps its shape: each rule here has a failure behind it that is hard to recognise."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE_ROOTS = (
    "api",
    "operator",
    "syncjob",
    "deploy/docker",
    "deploy/local",
    "deploy/moving",
    "tests/support",
)


@pytest.mark.parametrize("folder", PACKAGE_ROOTS)
def test_a_package_root_is_never_a_package(folder: str) -> None:
    """`operator/__init__.py` would replace the standard library's operator for every program started in this folder."""
    assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize("folder", PACKAGE_ROOTS)
def test_a_package_root_holds_no_module_named_like_a_standard_one(folder: str) -> None:
    """These folders are on sys.path, before the standard library: a stray types.py there breaks the interpreter."""
    names = {path.stem for path in (ROOT / folder).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

    assert not names & sys.stdlib_module_names


def test_no_module_anywhere_is_named_like_a_standard_one() -> None:
    modules = {path for folder in PACKAGE_ROOTS for path in (ROOT / folder).rglob("*.py")}

    assert not {path for path in modules if path.stem in sys.stdlib_module_names}


def test_tests_are_not_packages_and_none_lies_under_operator() -> None:
    """The test runner would import `tests/operator/…` as `operator…`."""
    packages = [
        path for path in (ROOT / "tests").rglob("__init__.py") if ROOT / "tests" / "support" not in path.parents
    ]
    assert not packages
    assert not list((ROOT / "operator").rglob("test_*.py")) + list((ROOT / "operator").rglob("conftest.py"))
    assert not [path for path in (ROOT / "tests").rglob("operator") if path.is_dir()]


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("folder", PACKAGE_ROOTS)
def test_every_package_is_typed_and_says_why_it_exists(folder: str) -> None:
    for init in (ROOT / folder).glob("*/__init__.py"):
        assert (init.parent / "py.typed").exists(), init
        assert init.read_text().startswith('"""'), init


def read_map() -> set[str]:
    """Every package of ARCHITECTURE.md's tables, as `place/package`."""
    rows = re.findall(r"^\| `([\w/]+)/` \| `(\w+)` \|", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    return {f"{place}/{package}" for place, package in rows}


def test_the_map_names_every_package_and_no_other() -> None:
    packages = {
        f"{folder}/{init.parent.name}" for folder in PACKAGE_ROOTS for init in (ROOT / folder).glob("*/__init__.py")
    }

    assert read_map() == packages


def test_every_module_on_the_way_of_a_sync_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    way = text[text.index("## One sync, module by module") : text.index("## One reconcile")]
    missing = []

    for step in re.split(r"^\d+\. ", way, flags=re.MULTILINE)[1:]:
        named = re.findall(r"`([\w/]+\.py)`", step)
        # A step's first module says which package the shorter paths after it are in.
        package = ROOT.joinpath(*Path(named[0]).parts[:2])
        missing += [path for path in named if not (ROOT / path).exists() and not (package / path).exists()]

    assert missing == []


def test_layers_are_folders_in_every_part() -> None:
    parts = ("api/estimatesync_api", "api/estimatesync_client", "operator/estimatesync_operator")
    parts += ("syncjob/estimatesync_job", "deploy/local/estimatesync_local", "deploy/moving/estimatesync_import")

    for part in parts:
        for layer in ("core", "adapters"):
            assert list((ROOT / part / layer).glob("[a-z]*.py")), f"{part}/{layer}"
