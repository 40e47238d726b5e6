"""Settings of callbacks in files, which a mounted Secret replaces while the operator runs."""

import logging
from pathlib import Path

import pytest
from estimatesync_contract.settings import SettingsError
from estimatesync_operator.callback.files import CHECK_SECONDS, CallbackFiles
from estimatesync_operator.main import read_settings

URL = "https://hook.test/s3cret"
REQUIRED = {"NAMESPACE": "ns", "SYNC_IMAGE": "image:1"}


class Mounted:
    """A mounted Secret, and the time that passes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.seconds = 0.0
        self.environ = {
            **REQUIRED,
            "MAKE_SYNC_CALLBACK_WEBHOOK_URL_FILE": str(directory / "url"),
            "CALLBACK_SIGNING_SECRETS_FILE": str(directory / "signing"),
            "CALLBACK_MAKE_API_KEY_FILE": str(directory / "key"),
        }

    def write(self, name: str, text: str) -> None:
        """As the kubelet does: the new file takes the place of the old one at once."""
        new = self.directory / "new"
        new.write_text(text)
        new.replace(self.directory / name)

    def open(self) -> CallbackFiles:
        _, callback = read_settings(self.environ)
        return CallbackFiles(self.environ, callback, monotonic=lambda: self.seconds)


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    mounted = Mounted(tmp_path)
    mounted.write("url", f"{URL}\n")
    return mounted


def test_a_change_applies_from_the_next_look_on(mounted: Mounted) -> None:
    files = mounted.open()
    assert (files.read().default_url, files.read().make_api_key) == (URL, None)

    mounted.write("url", "https://hook.test/another")
    mounted.write("key", "made-up-key")
    assert files.read().default_url == URL
    mounted.seconds += CHECK_SECONDS

    assert (files.read().default_url, files.read().make_api_key) == ("https://hook.test/another", "made-up-key")


def test_an_empty_file_is_no_webhook(mounted: Mounted) -> None:
    mounted.write("url", "\n")

    assert mounted.open().read().default_url is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("url", "s3cret no url", id="no URL"),
        pytest.param("signing", "s3cret no signature", id="no signing secret"),
        pytest.param("url", None, id="no file"),
    ],
)
def test_what_cannot_be_used_changes_nothing_and_is_said_without_its_value(
    mounted: Mounted, caplog: pytest.LogCaptureFixture, name: str, text: str | None
) -> None:
    files = mounted.open()

    if text is None:
        (mounted.directory / name).unlink()
    else:
        mounted.write(name, text)
    mounted.seconds += CHECK_SECONDS
    with caplog.at_level(logging.ERROR):
        assert files.read().default_url == URL
        mounted.seconds += CHECK_SECONDS
        files.read()

    (record,) = caplog.records
    assert "stay as they were" in record.getMessage()
    assert "s3cret" not in record.getMessage()


def test_a_file_of_the_url_must_be_there_at_the_start(mounted: Mounted) -> None:
    (mounted.directory / "url").unlink()

    with pytest.raises(SettingsError, match="MAKE_SYNC_CALLBACK_WEBHOOK_URL_FILE must name a readable file"):
        mounted.open()


def test_a_setting_is_either_in_a_file_or_not(mounted: Mounted) -> None:
    mounted.environ["MAKE_SYNC_CALLBACK_WEBHOOK_URL"] = URL

    with pytest.raises(SettingsError, match="remove one of them"):
        mounted.open()
