"""Keys in files that are replaced while the API serves, as Kubernetes replaces those of a mounted Secret."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from estimatesync_api.adapters.key_store import KeyStore
from estimatesync_api.settings import parse_settings
from estimatesync_contract.settings import SettingsError

OLD, NEW, LOOK, KEPT = "made-up-key-before", "made-up-key-after-it", "made-up-key-to-look", "made-up-key-that-stays"


@dataclass
class Secret:
    """A mounted Secret: files that are links into a directory which is replaced as a whole."""

    directory: Path
    version: int = 0

    def replace(self, **files: str) -> None:
        self.version += 1
        (self.directory / f"..{self.version}").mkdir()
        for name, text in files.items():
            (self.directory / f"..{self.version}" / name).write_text(text, encoding="utf-8", errors="surrogateescape")
            link = self.directory / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
        (self.directory / "..new").symlink_to(f"..{self.version}")
        (self.directory / "..new").rename(self.directory / "..data")


@pytest.fixture
def secret(tmp_path: Path) -> Secret:
    return Secret(tmp_path)


@dataclass
class OpenStore:
    """Opens a store that looks at its files each time it is asked."""

    secret: Secret
    faults: list[int] = field(default_factory=list)
    """As they were reported."""

    def __call__(self) -> KeyStore:
        seconds = iter(range(0, 10_000, 10))
        files = {
            "API_KEYS_FILE": str(self.secret.directory / "full"),
            "READ_ONLY_API_KEYS_FILE": str(self.secret.directory / "read"),
        }
        return KeyStore(
            parse_settings(files).keys, report_faults=self.faults.append, monotonic=lambda: float(next(seconds))
        )


@pytest.fixture
def open_store(secret: Secret) -> OpenStore:
    return OpenStore(secret)


def name(store: KeyStore, key: str) -> str | None:
    found = store.find(key)
    return found.name if found else None


def test_keys_are_replaced_without_a_restart(secret: Secret, open_store: OpenStore) -> None:
    secret.replace(full=f"# Make.com\nmake:{OLD}\n", read=f"grafana:{LOOK}")
    store = open_store()
    before = [name(store, key) for key in (OLD, NEW, LOOK)]

    secret.replace(full=f"make:{NEW}\nmake-old:{OLD}", read="")
    between = [name(store, key) for key in (OLD, NEW, LOOK)]
    secret.replace(full=f"make:{NEW}", read="")

    assert before == ["make", None, "grafana"]
    assert between == ["make-old", "make", None]
    assert [name(store, key) for key in (OLD, NEW, LOOK)] == [None, "make", None]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("new:short", id="short"),
        pytest.param(f"make:{NEW}", id="a name again"),
        pytest.param(f"new:{KEPT}", id="a key again"),
        pytest.param(f"new:{NEW}\u00e4", id="beyond ASCII"),
        pytest.param("new: ", id="no key"),
        pytest.param("\udcff\udcfe\x00n\x00e\x00w\x00", id="bytes of another encoding"),
    ],
)
def test_a_faulty_line_costs_only_itself_and_a_removed_key_is_revoked(
    secret: Secret, open_store: OpenStore, caplog: pytest.LogCaptureFixture, line: str
) -> None:
    secret.replace(full=f"make:{KEPT}\nold:{OLD}", read="")
    store = open_store()

    secret.replace(full=f"make:{KEPT}\n{line}\nlast:{LOOK}", read="")

    assert [name(store, key) for key in (KEPT, OLD, NEW, LOOK)] == ["make", None, None, "last"]
    assert store.is_complete()
    assert [bool(count) for count in open_store.faults] == [False, True]
    assert caplog.text.count("API keys that cannot be used are left out: ") == 1
    assert not [key for key in (KEPT, OLD, NEW, LOOK) if key in caplog.text]


def test_a_faulty_line_does_not_stop_a_server_that_starts(
    secret: Secret, open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    secret.replace(full=f"make:{KEPT}\nnew:short", read="")

    store = open_store()

    assert name(store, KEPT) == "make"
    assert open_store.faults == [1]
    assert "like the one named new" in caplog.text


@pytest.mark.parametrize(
    ("full", "read", "is_complete"),
    [
        pytest.param("", f"look:{LOOK}", False, id="empty"),
        pytest.param(" \n", f"look:{LOOK}", False, id="blank"),
        pytest.param(None, f"look:{LOOK}", False, id="gone"),
        pytest.param("make:short", f"look:{LOOK}", False, id="no line that can be used"),
        pytest.param("", "", False, id="both empty"),
        pytest.param(None, None, False, id="both gone"),
        pytest.param("# nobody any more", f"look:{LOOK}", True, id="a comment says that there are none"),
        pytest.param(f"new:{NEW}", "# nobody any more", True, id="a comment in the other"),
        pytest.param(f"new:{NEW}", "", False, id="the other empty"),
    ],
)
def test_a_file_without_keys_revokes_them_and_says_that_they_may_come_back(
    secret: Secret, open_store: OpenStore, full: str | None, read: str | None, *, is_complete: bool
) -> None:
    secret.replace(full=f"make:{OLD}", read=f"look:{LOOK}")
    store = open_store()

    texts = {"full": full, "read": read}
    secret.replace(**{file: text for file, text in texts.items() if text is not None})
    found = name(store, OLD), name(store, LOOK), store.is_complete(), open_store.faults[-1] > 0
    secret.replace(full=f"make:{OLD}", read=f"look:{LOOK}")

    assert found == (None, "look" if LOOK in (read or "") else None, is_complete, not is_complete)
    assert (name(store, OLD), name(store, LOOK), store.is_complete(), open_store.faults[-1]) == (
        "make",
        "look",
        True,
        0,
    )


def test_a_file_that_was_empty_from_the_start_holds_no_keys(secret: Secret, open_store: OpenStore) -> None:
    secret.replace(full=f"make:{OLD}", read="")

    store = open_store()
    secret.replace(full=f"make:{NEW}", read="")

    assert (name(store, OLD), name(store, NEW), store.is_complete()) == (None, "make", True)


def test_a_mark_at_the_beginning_of_a_file_is_no_part_of_a_key(secret: Secret, open_store: OpenStore) -> None:
    secret.replace(full=f"\ufeff{OLD}\r\n", read=f"\ufefflook:{LOOK}")

    store = open_store()

    assert (name(store, OLD), name(store, LOOK)) == ("file-key-1", "look")


def test_a_file_that_is_missing_at_the_start_is_reported_with_the_other_faults(
    secret: Secret, open_store: OpenStore
) -> None:
    with pytest.raises(SettingsError) as caught:
        open_store()

    assert caught.value.faults == [
        f"API_KEYS_FILE must name a readable file: {secret.directory}/full: No such file or directory",
        f"READ_ONLY_API_KEYS_FILE must name a readable file: {secret.directory}/read: No such file or directory",
    ]


@pytest.mark.parametrize("full", ["", "# none", "make:short"])
def test_a_server_does_not_start_without_a_key(secret: Secret, open_store: OpenStore, full: str) -> None:
    secret.replace(full=full, read="")

    with pytest.raises(SettingsError, match="API_KEYS"):
        open_store()
