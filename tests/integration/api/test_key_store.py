"""Keys in files that are replaced while the API serves, as Kubernetes replaces those of a mounted Secret."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from estimatesync_api.adapters.key_store import KeyStore
from estimatesync_api.settings import parse_settings
from estimatesync_contract.settings import SettingsError

OLD, NEW, LOOK = "made-up-key-before", "made-up-key-after-it", "made-up-key-to-open_store"


@dataclass
class Secret:
    """A mounted Secret: files that are links into a directory which is replaced as a whole."""

    directory: Path
    version: int = 0

    def replace(self, **files: str) -> None:
        self.version += 1
        (self.directory / f"..{self.version}").mkdir()
        for name, text in files.items():
            (self.directory / f"..{self.version}" / name).write_text(text)
            link = self.directory / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
        (self.directory / "..new").symlink_to(f"..{self.version}")
        (self.directory / "..new").rename(self.directory / "..data")


@pytest.fixture
def secret(tmp_path: Path) -> Secret:
    return Secret(tmp_path)


@pytest.fixture
def open_store(secret: Secret) -> Callable[[], KeyStore]:
    """Open a store that reads its files each time it is asked."""

    def open_store() -> KeyStore:
        seconds = iter(range(0, 10_000, 10))
        files = {
            "API_KEYS_FILE": str(secret.directory / "full"),
            "READ_ONLY_API_KEYS_FILE": str(secret.directory / "read"),
        }
        return KeyStore(parse_settings(files).keys, monotonic=lambda: float(next(seconds)))

    return open_store


def name(store: KeyStore, key: str) -> str | None:
    found = store.find(key)
    return found.name if found else None


def test_keys_are_replaced_without_a_restart(secret: Secret, open_store: Callable[[], KeyStore]) -> None:
    secret.replace(full=f"# Make.com\nmake:{OLD}\n", read=f"grafana:{LOOK}")
    store = open_store()
    before = [name(store, key) for key in (OLD, NEW, LOOK)]

    secret.replace(full=f"make:{NEW}\nmake-old:{OLD}", read="")
    between = [name(store, key) for key in (OLD, NEW, LOOK)]
    secret.replace(full=f"make:{NEW}", read="")

    assert before == ["make", None, "grafana"]
    assert between == ["make-old", "make", None]
    assert [name(store, key) for key in (OLD, NEW, LOOK)] == [None, "make", None]


@pytest.mark.parametrize("full", ["make:short", "", f"a:{OLD}\nb:{OLD}"])
def test_faulty_files_leave_the_keys_as_they_were_and_the_log_says_why(
    secret: Secret, open_store: Callable[[], KeyStore], caplog: pytest.LogCaptureFixture, full: str
) -> None:
    secret.replace(full=f"make:{OLD}", read="")
    store = open_store()

    secret.replace(full=full, read="")
    faulty = [name(store, OLD) for _ in range(3)]
    secret.replace(full=f"make:{NEW}", read="")

    assert faulty == ["make"] * 3
    assert caplog.text.count("the API keys stay as they were") == 1
    assert OLD not in caplog.text
    assert (name(store, OLD), name(store, NEW)) == (None, "make")


def test_keys_stay_valid_when_their_file_vanishes(secret: Secret, open_store: Callable[[], KeyStore]) -> None:
    secret.replace(full=f"make:{OLD}", read="")
    store = open_store()

    (secret.directory / "full").unlink()

    assert name(store, OLD) == "make"


def test_a_file_that_is_missing_at_the_start_is_reported_with_the_other_faults(
    secret: Secret, open_store: Callable[[], KeyStore]
) -> None:
    with pytest.raises(SettingsError) as caught:
        open_store()

    assert caught.value.faults == [
        f"API_KEYS_FILE must name a readable file: {secret.directory}/full: No such file or directory",
        f"READ_ONLY_API_KEYS_FILE must name a readable file: {secret.directory}/read: No such file or directory",
    ]
