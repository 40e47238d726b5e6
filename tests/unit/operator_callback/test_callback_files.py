"""Settings of callbacks in files, which a mounted Secret replaces while the operator runs."""

import logging
from pathlib import Path

import pytest
from estimatesync_contract.settings import SettingsError
from estimatesync_operator.callback.files import CHECK_SECONDS, CallbackFiles
from estimatesync_operator.main import read_settings

URL = "https://hook.test/s3cret"
SIGNING_SECRET = "whsec_bWFkZS11cC1rZXktb2YtMzItYnl0ZXMtaGVyZSEhISE="
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
            "MAKE_SYNC_ALERT_WEBHOOK_URL_FILE": str(directory / "alert"),
        }

    def write(self, name: str, text: str) -> None:
        """As the kubelet does: the new file takes the place of the old one at once."""
        new = self.directory / "new"
        new.write_text(text)
        new.replace(self.directory / name)

    def replace(self, name: str, text: str | None) -> None:
        """Write it, or remove it."""
        if text is None:
            (self.directory / name).unlink()
        else:
            self.write(name, text)

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


@pytest.mark.parametrize(("name", "named"), [("signing", "CALLBACK_SIGNING_SECRETS"), ("key", "CALLBACK_MAKE_API_KEY")])
@pytest.mark.parametrize("text", [pytest.param("\n", id="emptied"), pytest.param(None, id="removed")])
def test_what_is_no_longer_sent_with_callbacks_is_said(
    mounted: Mounted, caplog: pytest.LogCaptureFixture, name: str, named: str, text: str | None
) -> None:
    mounted.write("signing", SIGNING_SECRET)
    mounted.write("key", "made-up-key")
    files = mounted.open()
    before = files.read()
    assert before.signing_keys
    assert before.make_api_key

    mounted.replace(name, text)
    mounted.seconds += CHECK_SECONDS
    after = files.read()

    assert [bool(after.signing_keys), bool(after.make_api_key)] == [name != "signing", name != "key"]
    (record,) = caplog.records
    assert (record.levelname, named in record.getMessage()) == ("WARNING", True)


def test_the_webhook_of_alerts_may_come_and_go(mounted: Mounted, caplog: pytest.LogCaptureFixture) -> None:
    files = mounted.open()
    urls = [files.read().alert_url]

    for text in (f"{URL}/alert\n", None):
        mounted.replace("alert", text)
        mounted.seconds += CHECK_SECONDS
        urls.append(files.read().alert_url)

    assert urls == [None, f"{URL}/alert", None]
    (record,) = caplog.records
    assert (record.levelname, "no alerts are sent" in record.getMessage()) == ("WARNING", True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("url", "s3cret no url", id="no URL"),
        pytest.param("alert", "s3cret no url", id="no URL of alerts"),
        pytest.param("signing", "s3cret no signature", id="no signing secret"),
        pytest.param("url", None, id="no file"),
        pytest.param("url", " \n", id="an empty file"),
    ],
)
def test_what_cannot_be_used_changes_nothing_and_is_said_without_its_value(
    mounted: Mounted, caplog: pytest.LogCaptureFixture, name: str, text: str | None
) -> None:
    files = mounted.open()

    mounted.replace(name, text)
    mounted.seconds += CHECK_SECONDS
    with caplog.at_level(logging.ERROR):
        assert files.read().default_url == URL
        mounted.seconds += CHECK_SECONDS
        files.read()

    (record,) = caplog.records
    assert "stay as they were" in record.getMessage()
    assert "s3cret" not in record.getMessage()


@pytest.mark.parametrize("text", [None, "\n"])
def test_a_file_of_the_url_must_be_there_and_hold_it_at_the_start(mounted: Mounted, text: str | None) -> None:
    mounted.replace("url", text)

    with pytest.raises(SettingsError, match="MAKE_SYNC_CALLBACK_WEBHOOK_URL_FILE must name a readable file"):
        mounted.open()


def test_a_setting_is_either_in_a_file_or_not(mounted: Mounted) -> None:
    mounted.environ["MAKE_SYNC_CALLBACK_WEBHOOK_URL"] = URL

    with pytest.raises(SettingsError, match="remove one of them"):
        mounted.open()


def test_each_target_may_have_its_url_in_a_file_which_is_read_again(mounted: Mounted, tmp_path: Path) -> None:
    mounted.write("billing", f"{URL}/billing\n")
    mounted.environ["CALLBACK_TARGETS"] = f"billing={tmp_path}/billing, crm={URL}/crm"
    files = mounted.open()
    assert files.read().targets == {"billing": f"{URL}/billing", "crm": f"{URL}/crm"}

    mounted.write("billing", f"{URL}/another")
    mounted.seconds += CHECK_SECONDS

    assert files.read().targets == {"billing": f"{URL}/another", "crm": f"{URL}/crm"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="no file"),
        pytest.param(" \n", id="an empty file"),
        pytest.param("s3cret no url", id="no URL"),
        pytest.param("http://hook.test/s3cret", id="without TLS"),
        pytest.param("https://hook.test/s3cret crm=https://thief.test/", id="another target"),
    ],
)
def test_one_target_that_cannot_be_used_keeps_no_other_from_its_callbacks(
    mounted: Mounted, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str | None
) -> None:
    mounted.write("crm", f"{URL}/crm")
    mounted.write("billing", "to be replaced")
    mounted.replace("billing", text)
    mounted.environ["CALLBACK_TARGETS"] = f"billing={tmp_path}/billing,crm={tmp_path}/crm"

    files = mounted.open()

    assert files.read().targets == {"billing": "", "crm": f"{URL}/crm"}
    (record,) = caplog.records
    assert "callback target billing has no URL" in record.getMessage()
    assert "s3cret" not in record.getMessage()

    mounted.write("billing", f"{URL}/billing")
    mounted.seconds += CHECK_SECONDS
    assert files.read().targets == {"billing": f"{URL}/billing", "crm": f"{URL}/crm"}

    mounted.replace("billing", text)
    mounted.write("crm", f"{URL}/another")
    mounted.seconds += CHECK_SECONDS
    assert files.read().targets == {"billing": f"{URL}/billing", "crm": f"{URL}/another"}
    assert "callback target billing stays as it was" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("end", ["?a=1,b=2", "/a,crm=https://thief.test/", "/a,b"])
def test_a_url_in_a_file_is_taken_as_it_is(mounted: Mounted, tmp_path: Path, end: str) -> None:
    mounted.write("billing", f"{URL}{end}")
    mounted.environ["CALLBACK_TARGETS"] = f"billing={tmp_path}/billing,crm={URL}/crm"

    assert mounted.open().read().targets == {"billing": f"{URL}{end}", "crm": f"{URL}/crm"}


@pytest.mark.parametrize(
    ("targets", "fault"),
    [
        pytest.param("billing", "cannot be used: entry 1 is not like billing=https://", id="no place"),
        pytest.param("Billing=https://a.test/s3cret", "cannot be used: entry 1 is not like billing=", id="no name"),
        pytest.param(
            "crm=https://a.test/s3cret,crm=https://b.test/s3cret", "cannot be used: crm is there twice", id="twice"
        ),
        pytest.param("default=https://a.test/s3cret", "default is the name of the webhook of all other", id="default"),
        pytest.param("crm=ftp://a.test/s3cret", "cannot be used: crm: ", id="no URL"),
        pytest.param("crm=http://a.test/s3cret", "cannot be used: crm: ", id="without TLS"),
    ],
)
def test_targets_that_cannot_be_used_are_named_and_their_urls_are_not(
    mounted: Mounted, tmp_path: Path, targets: str, fault: str
) -> None:
    mounted.environ["CALLBACK_TARGETS"] = targets.format(tmp_path)

    with pytest.raises(SettingsError) as error:
        mounted.open()

    assert fault.format(tmp_path, tmp_path) in str(error.value)
    assert "s3cret" not in str(error.value)
